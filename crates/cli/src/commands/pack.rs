//! `unlade pack`.

use std::ffi::OsStr;

use pipeline::pack::{self, Include, Packed};
use serde_json::json;

use super::Outcome;
use super::shared::{Session, layer_options, path_in_image};
use crate::args::{Common, Pack};
use crate::exit::Usage;
use crate::progress::Progress;
use crate::{render, size, terminal};

/// Packs an image, or programs of this machine.
pub(crate) fn run(common: &Common, command: &Pack) -> Outcome {
    if command.output.extension() != Some(OsStr::new("tar")) {
        return Err(Usage("LiteBox takes a package by its name: let it end in .tar".into()).into());
    }
    let includes = [(&command.include, false), (&command.rewrite_include, true)];
    let mut options = pack::Options {
        layers: layer_options(&command.layers),
        scratch: command.scratch.clone(),
        allow_bun: command.allow_unrewritable,
        ..pack::Options::default()
    };
    for (given, program) in includes {
        for text in given {
            options.includes.push(include(text, program)?);
        }
    }
    for path in &command.no_rewrite {
        options.left.push(path_in_image(path)?);
    }
    if command.entrypoint_closure {
        let keep = command.keep.iter().map(|path| path_in_image(path));
        options.closure = Some(keep.collect::<Result<_, _>>()?);
    }
    let Some(image) = &command.image else {
        let progress = Progress::new(common);
        let report = |event| progress.report(event);
        let packed = pack::pack_host(&command.host, &options, &command.output, &report)
            .map_err(Box::<dyn std::error::Error>::from)?;
        return show(&packed, command, &|line| {
            if !common.quiet {
                progress.say(line);
            }
        });
    };
    let session = Session::start(common, image, &command.source)?;
    let packed = session
        .with_image(|image, report| pack::pack(&session.store, image, &options, &command.output, report))?;
    session.show_notes(&packed.notes);
    show(&packed, command, &|line| session.say(line))
}

/// Says what became of it.
fn show(packed: &Packed, command: &Pack, say: &dyn Fn(&str)) -> Outcome {
    if packed.architecture != "amd64" {
        let architecture = tree::escape(packed.architecture.as_bytes()).to_string();
        say(&format!("note: programs for {architecture} are packed as they are"));
    }
    for found in &packed.unrewritten {
        say(&format!("note: {} is left as it is: {}", path(&found.path), found.why));
    }
    for (link, name) in packed.part.iter().flat_map(|part| &part.astray) {
        let (link, name) = (path(link), path(name));
        say(&format!("note: {link} is no link in the package, and finds its libraries only as {name}"));
    }
    for line in &packed.not_exported {
        say(&format!("note: no shell can export {}", tree::escape(line.as_bytes())));
    }
    if command.json {
        terminal::answer_json(&summary_json(packed, command))?;
    } else {
        summary(packed, command).iter().for_each(|line| say(line));
    }
    Ok(())
}

/// A path in the package, as a person or a program reads it.
fn path(path: &[u8]) -> String {
    tree::escape(path).to_string()
}

/// `HOST:TAR`, split at the first colon.
fn include(text: &OsStr, program: bool) -> Result<Include, Usage> {
    let bytes = text.as_encoded_bytes();
    let wrong = || Usage(format!("\"{}\" is not HOST:TAR", text.to_string_lossy().escape_debug()));
    let drive = host::drive(bytes);
    let colon = bytes[drive..].iter().position(|byte| *byte == b':').filter(|at| *at > 0);
    let at = drive + colon.ok_or_else(wrong)?;
    let path = path_in_image(&host::os_string(&bytes[at + 1..]))?;
    if path.as_bytes().is_empty() {
        return Err(wrong());
    }
    Ok(Include { host: host::os_string(&bytes[..at]).into(), path: path.as_bytes().to_vec(), program })
}

fn summary(packed: &Packed, command: &Pack) -> Vec<String> {
    let dropped = packed.dropped;
    let mut lines = vec![format!(
        "{}: {} files in {}, {} programs rewritten, {} left as they are",
        command.output.display(),
        packed.files,
        size::show(packed.bytes),
        packed.rewritten,
        packed.unrewritten.len(),
    )];
    if let Some(left_out) = packed.part.as_ref().and_then(|part| part.left_out) {
        lines.push(format!("left out: {left_out} files that the command does not need"));
    }
    if dropped != Default::default() {
        lines.push(format!(
            "left out: {} links to nowhere, {} that lead back to themselves, {} devices, pipes and sockets",
            dropped.dangling, dropped.loops, dropped.special
        ));
    }
    lines
}

fn summary_json(packed: &Packed, command: &Pack) -> serde_json::Value {
    json!({
        "output": render::path(&command.output),
        "manifest": packed.manifest,
        "files": packed.files,
        "bytes": packed.bytes,
        "rewritten": packed.rewritten,
        "unrewritten": packed
            .unrewritten
            .iter()
            .map(|found| json!({ "path": path(&found.path), "why": found.why.to_string() }))
            .collect::<Vec<_>>(),
        "kept": packed.part.as_ref().map(|part| {
            let wanted_by = |by: &Option<Vec<u8>>| by.as_ref().map(|by| path(by));
            let kept = part.files.iter().map(|(name, by)| json!({ "path": path(name), "wantedBy": wanted_by(by) }));
            kept.collect::<Vec<_>>()
        }),
        "leftOut": packed.part.as_ref().and_then(|part| part.left_out),
        "astray": packed
            .part
            .iter()
            .flat_map(|part| &part.astray)
            .map(|(link, name)| json!({ "path": path(link), "name": path(name) }))
            .collect::<Vec<_>>(),
        "dropped": {
            "dangling": packed.dropped.dangling,
            "loops": packed.dropped.loops,
            "special": packed.dropped.special,
        },
        "notExported": packed.not_exported,
    })
}
