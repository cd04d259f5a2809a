//! `unlade pack`.

use std::ffi::OsStr;

use pipeline::pack::{self, Include, Packed};
use serde_json::json;

use super::Outcome;
use super::shared::{Session, layer_options, path_in_image};
use crate::args::{Common, Pack};
use crate::exit::Usage;
use crate::{render, size, terminal};

/// Packs an image.
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
    let session = Session::start(common, &command.image, &command.source)?;
    let packed = session
        .with_image(|image, report| pack::pack(&session.store, image, &options, &command.output, report))?;
    session.show_notes(&packed.notes);
    if packed.architecture != "amd64" {
        let architecture = tree::escape(packed.architecture.as_bytes()).to_string();
        session.say(&format!("note: programs for {architecture} are packed as they are"));
    }
    for found in &packed.unrewritten {
        let path = tree::escape(&found.path).to_string();
        session.say(&format!("note: {path} is left as it is: {}", found.why));
    }
    for line in &packed.not_exported {
        session.say(&format!("note: no shell can export {}", tree::escape(line.as_bytes())));
    }
    if command.json {
        terminal::answer_json(&summary_json(&packed, command))?;
    } else {
        summary(&packed, command).iter().for_each(|line| session.say(line));
    }
    Ok(())
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
    if dropped != Default::default() {
        lines.push(format!(
            "left out: {} links to nowhere, {} that lead back to themselves, {} devices, pipes and sockets",
            dropped.dangling, dropped.loops, dropped.special
        ));
    }
    lines
}

fn summary_json(packed: &Packed, command: &Pack) -> serde_json::Value {
    let path = |path: &[u8]| tree::escape(path).to_string();
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
        "dropped": {
            "dangling": packed.dropped.dangling,
            "loops": packed.dropped.loops,
            "special": packed.dropped.special,
        },
        "notExported": packed.not_exported,
    })
}
