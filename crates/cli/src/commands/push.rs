//! `unlade push`.

use oci::Reference;
use pipeline::copy::Place;
use pipeline::prebuilt::Pushed;
use pipeline::scratch::Registered;
use pipeline::source::Source;
use pipeline::{Options, Scratch, Target};
use serde_json::json;

use super::Outcome;
use super::build::{latest_mtime, of_kind, source_date_epoch};
use super::copy::{summary, to_json};
use super::shared::{Session, check_login, image_place, layer_options};
use crate::args::{Common, FormatKind, PullKind, Push};
use crate::exit::Usage;
use crate::{size, terminal};

/// Pushes an image or a rootfs.
pub(crate) fn run(common: &Common, command: &Push) -> Outcome {
    let from = image_place(&command.image)?;
    let reference = match &command.reference {
        Some(text) => Some(in_registry(text)?),
        None => None,
    };
    if let Some(reference) = &reference {
        let to = Place::Elsewhere(Source::Registry(reference.clone()));
        check_login(&command.source, &from, &to)?;
    }
    let mut session = Session::of(common, from.source(), &command.source, PullKind::Missing)?;
    if let Place::Store(_) = from {
        session.never_pull();
    }
    match command.rootfs {
        Some(kind) => {
            let reference = match (reference, from.source()) {
                (Some(reference), _) | (None, Source::Registry(reference)) => reference,
                (None, _) => {
                    let text = "the image is of no registry: say behind it which repository has it";
                    return Err(Usage(text.into()).into());
                }
            };
            rootfs(command, kind, &reference, &session)
        }
        None => {
            let Some(reference) = reference else { return Err(Usage("nowhere to push to".into()).into()) };
            let to = Place::Elsewhere(Source::Registry(reference));
            let copied = session.copy(&from, &to, command.all_platforms)?;
            if command.json {
                terminal::answer_json(&to_json(&copied))?;
            } else {
                terminal::answer(&format!("{}\n", copied.root.digest))?;
                session.say(&summary(&copied));
            }
            Ok(())
        }
    }
}

/// A name in a registry, whether it says so or not.
fn in_registry(text: &str) -> Result<Reference, Usage> {
    match text.parse::<Place>() {
        Ok(Place::Elsewhere(Source::Registry(reference))) => Ok(reference),
        Ok(place) => Err(Usage(format!("{place} is not in a registry: unlade copy goes there"))),
        Err(error) => Err(Usage(error.to_string())),
    }
}

fn rootfs(command: &Push, kind: FormatKind, reference: &Reference, session: &Session) -> Outcome {
    let epoch = source_date_epoch()?;
    let format = match kind {
        FormatKind::Dir => {
            return Err(Usage("a directory cannot be pushed: it is not one file".into()).into());
        }
        _ if command.formats.common.verity_tree.is_some() => {
            return Err(Usage("one file is pushed: --verity puts the hash tree into it".into()).into());
        }
        kind => of_kind(kind, &command.formats, epoch)?,
    };
    let options = Options {
        format,
        layers: layer_options(&command.layers),
        latest_mtime: latest_mtime(command.clamp_mtime, epoch)?,
        scratch: Scratch::Beside,
        allow_empty: false,
        remember: false,
    };
    let scratch = command.scratch.clone().unwrap_or_else(|| session.store.path().into());
    let file = Registered::beside(&scratch.join("rootfs"));
    let mut built_from = None;
    session.with_image(|image, report| {
        built_from = Some(image.clone());
        pipeline::build(&session.store, image, &options, Target::Path(file.path()), report)
    })?;
    let Some(image) = built_from else { return Err(Usage("nothing was built".into()).into()) };
    let pushed = session.push_rootfs(file.path(), &image, &options, reference, &scratch)?;
    if command.json {
        terminal::answer_json(&pushed_json(&pushed, &image))?;
    } else {
        terminal::answer(&format!("{}\n", pushed.reference))?;
        session.say(&format!(
            "{} in {}, for image {}",
            size::show(pushed.size),
            size::show(pushed.packed),
            image.descriptor.digest
        ));
    }
    Ok(())
}

fn pushed_json(pushed: &Pushed, image: &oci::Image) -> serde_json::Value {
    json!({
        "artifact": pushed.reference.to_string(),
        "image": image.descriptor.digest,
        "digest": pushed.rootfs,
        "size": pushed.size,
        "packed": pushed.packed,
        "listed": pushed.listed,
    })
}
