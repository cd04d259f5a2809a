//! `unlade gc`.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::time::{Instant, SystemTime};

use serde_json::json;
use store::gc::{LeftoverKind, Options, PATIENCE, Plan};
use tree::escape;

use super::Outcome;
use super::shared::open_store;
use crate::args::{Common, Gc};
use crate::{duration, render, size, terminal};

/// Removes from the store what nobody needs.
pub(crate) fn run(common: &Common, command: &Gc) -> Outcome {
    let options = Options { older_than: command.older_than, keep_bytes: command.keep_bytes };
    let store = open_store(common)?;
    let plan = if command.dry_run {
        store.plan_gc(&options)?
    } else {
        let (start, told) = (Instant::now(), Cell::new(false));
        store.gc(&options, &|| {
            if start.elapsed().as_secs() > 0 && !told.replace(true) && !common.quiet {
                terminal::tell("waiting for another process that uses the store");
            }
            if start.elapsed() > PATIENCE { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?
    };
    if command.json {
        terminal::answer_json(&to_json(&plan, command.dry_run))?;
    } else if command.dry_run || !common.quiet {
        // A plan is read for what is in it; afterwards the sum is enough.
        terminal::answer(&to_text(&plan, command.dry_run, common.verbose > 0))?;
    }
    Ok(())
}

fn kind(kind: LeftoverKind) -> &'static str {
    match kind {
        LeftoverKind::Part => "part",
        LeftoverKind::Temporary => "temporary",
        LeftoverKind::Known => "known",
        LeftoverKind::Rootfs => "rootfs",
    }
}

fn to_json(plan: &Plan, dry_run: bool) -> serde_json::Value {
    let shown = |name: &String| escape(name.as_bytes()).to_string();
    let images = plan.images.iter().map(|image| {
        json!({
            "digest": image.digest,
            "names": image.names.iter().map(shown).collect::<Vec<_>>(),
            "used": image.used.map(render::instant),
        })
    });
    let blobs = plan.blobs.iter().map(|(digest, bytes)| json!({ "digest": digest, "bytes": bytes }));
    let files = plan.files.iter().map(
        |file| json!({ "path": render::path(&file.path), "bytes": file.bytes, "kind": kind(file.kind) }),
    );
    json!({
        "dryRun": dry_run,
        "images": images.collect::<Vec<_>>(),
        "blobs": blobs.collect::<Vec<_>>(),
        "files": files.collect::<Vec<_>>(),
        "freedBytes": plan.freed_bytes(),
        "keptBlobs": plan.kept_blobs,
        "keptRootfs": plan.kept_rootfs,
        "keptBytes": plan.kept_bytes,
    })
}

fn to_text(plan: &Plan, dry_run: bool, verbose: bool) -> String {
    let now = SystemTime::now();
    let mut text = String::new();
    for image in &plan.images {
        let used = image.used.and_then(|used| now.duration_since(used).ok()).map(duration::show);
        let used = used.map_or_else(String::new, |used| format!(", last used {used} ago"));
        for name in &image.names {
            text += &format!("image {} ({}{used})\n", escape(name.as_bytes()), image.digest);
        }
    }
    if dry_run || verbose {
        for (digest, bytes) in &plan.blobs {
            text += &format!("blob {digest} {}\n", size::show(*bytes));
        }
        for file in &plan.files {
            text += &format!("{} {} {}\n", kind(file.kind), render::path(&file.path), size::show(file.bytes));
        }
    }
    let rootfs = match plan.kept_rootfs {
        0 => String::new(),
        count => format!(" and {count} rootfs"),
    };
    let s = |count: usize| if count == 1 { "" } else { "s" };
    let (images, blobs, files) = (plan.images.len(), plan.blobs.len(), plan.files.len());
    text + &format!(
        "{}{images} image{}, {blobs} blob{}, {files} other file{}: {}; {} in {} blob{}{rootfs} kept\n",
        if dry_run { "would remove " } else { "removed " },
        s(images),
        s(blobs),
        s(files),
        size::show(plan.freed_bytes()),
        size::show(plan.kept_bytes),
        plan.kept_blobs,
        s(plan.kept_blobs),
    )
}
