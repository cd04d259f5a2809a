//! What keeps a repository: making it, its tags, checking and sweeping it.

use composefs::{Access, Meta, Repository, Security};
use serde_json::json;
use tree::escape;

use super::{algorithm, open};
use crate::args::{Common, ComposefsFsck, ComposefsGc, ComposefsImages, ComposefsTag, Init, Untag};
use crate::commands::Outcome;
use crate::exit::Findings;
use crate::{render, size, terminal};

/// Makes a repository.
pub(super) fn init(command: &Init) -> Outcome {
    let meta = Meta { algorithm: algorithm(command.hash), version: command.image_version, ..Meta::default() };
    let security = if command.insecure { Security::Insecure } else { Security::Verity };
    Repository::init(&command.repo.repo, &meta, security)?;
    Ok(())
}

/// Lists tags.
pub(super) fn images(command: &ComposefsImages) -> Outcome {
    let repository = open(&command.repo, Access::Read)?;
    let tags = repository.tags()?;
    if command.json {
        let mut all = Vec::new();
        for (tag, manifest) in &tags {
            let images: serde_json::Map<_, _> = repository
                .image(manifest)?
                .images
                .into_iter()
                .map(|(name, id)| (name, id.hex().into()))
                .collect();
            all.push(json!({
                "tag": escape(tag.to_string().as_bytes()).to_string(),
                "manifest": manifest.digest(),
                "images": images,
            }));
        }
        terminal::answer_json(&all.into())?;
        return Ok(());
    }
    let mut rows = vec![["TAG", "MANIFEST"].map(String::from)];
    for (tag, manifest) in &tags {
        rows.push([escape(tag.to_string().as_bytes()).to_string(), manifest.digest().to_string()]);
    }
    terminal::answer(&render::table(&rows, &[]))?;
    Ok(())
}

/// Gives an image another tag.
pub(super) fn tag(command: &ComposefsTag) -> Outcome {
    let repository = open(&command.repo, Access::Write)?;
    let manifest = repository.resolve(&command.source)?;
    repository.tag(&command.tag, &manifest)?;
    repository.sync()?;
    Ok(())
}

/// Takes tags away.
pub(super) fn untag(command: &Untag) -> Outcome {
    let repository = open(&command.repo, Access::Write)?;
    // All of them or none.
    command.tags.iter().try_for_each(|tag| repository.resolve(tag).map(drop))?;
    command.tags.iter().try_for_each(|tag| repository.untag(tag))?;
    repository.sync()?;
    Ok(())
}

/// Checks a repository.
pub(super) fn fsck(common: &Common, command: &ComposefsFsck) -> Outcome {
    let seen = open(&command.repo, Access::Read)?.fsck()?;
    let count = seen.findings.len();
    if command.json {
        let mut value = serde_json::to_value(&seen)?;
        value["clean"] = (count == 0).into();
        terminal::answer_json(&value)?;
    } else {
        let mut text: String = seen.findings.iter().map(|finding| format!("{finding}\n")).collect();
        if !common.quiet {
            text += &format!(
                "{} objects, {} streams, {} images, {} names: {}\n",
                seen.objects_checked,
                seen.streams_checked,
                seen.images_checked,
                seen.names_checked,
                if count == 0 { "clean" } else { "not clean" },
            );
        }
        terminal::answer(&text)?;
    }
    if count == 0 { Ok(()) } else { Err(Findings { of: "repository", count }.into()) }
}

/// Removes what no tag leads to.
pub(super) fn gc(common: &Common, command: &ComposefsGc) -> Outcome {
    let access = if command.dry_run { Access::Read } else { Access::Sweep };
    let repository = open(&command.repo, access)?;
    let plan = repository.plan_gc()?;
    if !command.dry_run {
        repository.sweep(&plan)?;
    }
    if command.json {
        terminal::answer_json(&json!({
            "dryRun": command.dry_run,
            "objects": plan.objects.iter().map(|(object, _)| object.hex()).collect::<Vec<_>>(),
            "files": plan.files.iter().map(|path| render::path(path)).collect::<Vec<_>>(),
            "bytes": plan.bytes(),
            "keptObjects": plan.kept,
        }))?;
    } else if !common.quiet {
        let done = if command.dry_run { "would be removed" } else { "removed" };
        terminal::answer(&format!(
            "{} objects, {}, and {} names {done}; {} objects stay\n",
            plan.objects.len(),
            size::show(plan.bytes()),
            plan.files.len(),
            plan.kept,
        ))?;
    }
    Ok(())
}
