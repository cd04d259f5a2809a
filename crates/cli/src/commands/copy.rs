//! `unlade copy`.

use pipeline::copy::{Copied, Place};
use serde_json::json;

use super::Outcome;
use super::shared::{Session, check_login, image_place};
use crate::args::{Common, Copy, PullKind};
use crate::exit::Usage;
use crate::{size, terminal};

/// Copies an image.
pub(crate) fn run(common: &Common, command: &Copy) -> Outcome {
    let from = image_place(&command.from)?;
    let to = Place::destination(&command.to).map_err(|error| Usage(error.to_string()))?;
    check_login(&command.source, &from, &to)?;
    // Who copies from a registry wants what it has now; what the store has is named as such.
    let session = Session::of(common, from.source(), &command.source, PullKind::Always)?;
    let copied = session.copy(&from, &to, command.all_platforms)?;
    if command.json {
        terminal::answer_json(&to_json(&copied))?;
    } else {
        terminal::answer(&format!("{}\n", copied.root.digest))?;
        session.say(&summary(&copied));
    }
    Ok(())
}

/// What was copied, in one line.
pub(crate) fn summary(copied: &Copied) -> String {
    let many = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    let (manifests, blobs) = (many(copied.manifests, "manifest"), many(copied.blobs, "blob"));
    let present = match copied.present {
        0 => String::new(),
        present => format!(", {present} of the blobs there before"),
    };
    format!("{manifests} and {blobs}, {}{present}", size::show(copied.bytes))
}

/// The same for programs.
pub(crate) fn to_json(copied: &Copied) -> serde_json::Value {
    json!({
        "digest": copied.root.digest,
        "mediaType": copied.root.media_type,
        "manifests": copied.manifests,
        "blobs": copied.blobs,
        "bytes": copied.bytes,
        "present": copied.present,
    })
}
