//! `unlade composefs pull`.

use composefs::{Access, Tag};
use erofs::composefs::Version;
use hash::FileDigest;
use pipeline::compose::{self, Composed};
use pipeline::source::Source;
use serde_json::json;

use super::open;
use crate::args::{Common, ComposefsPull, PullKind};
use crate::commands::Outcome;
use crate::commands::shared::{Fallible, Session, image_source, layer_options};
use crate::exit::Usage;
use crate::terminal;

/// Puts an image into a repository.
pub(super) fn run(common: &Common, command: &ComposefsPull) -> Outcome {
    let tag = match &command.tag {
        Some(tag) => tag.clone(),
        None => own_name(&command.image)?,
    };
    let repository = open(&command.repo, Access::Write)?;
    let mut session = Session::start(common, &command.image, &command.source)?;
    session.default_pull(PullKind::Always);
    let options = compose::Options {
        layers: layer_options(&command.layers),
        bootable: command.bootable,
        verify: command.verify,
    };
    let composed = session.with_image(|image, report| {
        compose::compose(&session.store, image, &repository, Some(&tag), &options, report)
    })?;
    session.show_notes(&composed.notes);
    if command.json {
        terminal::answer_json(&to_json(&composed, &tag))?;
        return Ok(());
    }
    for (_, digest) in composed.images.iter().chain(&composed.boot_images) {
        terminal::answer(&format!("{}\n", digest.hex()))?;
    }
    let (new, known) = (composed.layers_new, composed.layers_known);
    session.say(&format!("{tag}: {} layers, {new} of them new", new + known));
    Ok(())
}

/// The tag of an image that is given none: its full name.
fn own_name(image: &str) -> Fallible<Tag> {
    match image_source(image)? {
        Source::Registry(reference) => Ok(reference
            .to_string()
            .parse()
            .map_err(|error: composefs::TagError| Usage(error.to_string()))?),
        _ => Err(Usage("an image that is not from a registry needs a TAG".into()).into()),
    }
}

fn to_json(composed: &Composed, tag: &Tag) -> serde_json::Value {
    let list = |images: &[(Version, FileDigest)]| -> Vec<_> {
        images
            .iter()
            .map(|(version, digest)| json!({"version": version.number(), "id": digest.hex()}))
            .collect()
    };
    json!({
        "tag": tag.to_string(),
        "manifest": composed.manifest.digest(),
        "images": list(&composed.images),
        "bootImages": list(&composed.boot_images),
        "newLayers": composed.layers_new,
        "knownLayers": composed.layers_known,
    })
}
