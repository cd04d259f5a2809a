//! `unlade composefs oci-layout`.

use composefs::Access;
use pipeline::compose::{Exported, to_layout};
use pipeline::source::{Source, SourceError};
use serde_json::json;

use super::open;
use crate::args::{Common, OciLayout};
use crate::commands::Outcome;
use crate::commands::shared::open_store;
use crate::exit::Usage;
use crate::{size, terminal};

/// Writes an image of a repository to a layout.
pub(super) fn run(common: &Common, command: &OciLayout) -> Outcome {
    let output = format!("oci:{}", command.output).parse();
    let output = output.map_err(|error: SourceError| Usage(error.to_string()))?;
    let Source::Layout { path, reference } = output else {
        return Err(Usage("the output is no directory".into()).into());
    };
    let repository = open(&command.repo, Access::Read)?;
    let manifest = repository.resolve(&command.tag)?;
    let store = if command.as_pulled { Some(open_store(common)?) } else { None };
    let exported = to_layout(&repository, &manifest, store.as_ref(), &path, reference.as_deref())?;
    if command.json {
        terminal::answer_json(&to_json(&exported))?;
        return Ok(());
    }
    terminal::answer(&format!("{}\n", exported.root.digest))?;
    if !common.quiet {
        let (blobs, bytes) = (exported.blobs, size::show(exported.bytes));
        let tag = tree::escape(command.tag.to_string().as_bytes()).to_string();
        terminal::tell(&format!("{tag}: {blobs} blobs, {bytes}"));
        if exported.root.digest != exported.pulled {
            terminal::tell(&format!(
                "note: the manifest is another than {}, since its layers are not compressed",
                exported.pulled
            ));
        }
    }
    Ok(())
}

fn to_json(exported: &Exported) -> serde_json::Value {
    json!({
        "digest": exported.root.digest,
        "mediaType": exported.root.media_type,
        "pulledDigest": exported.pulled,
        "blobs": exported.blobs,
        "bytes": exported.bytes,
        "present": exported.present,
    })
}
