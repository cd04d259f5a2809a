//! `unlade pull`.

use super::Outcome;
use super::inspect::to_json;
use super::shared::Session;
use crate::args::{Common, Pull, PullKind};
use crate::{size, terminal};

/// Brings an image into the store.
pub(crate) fn run(common: &Common, command: &Pull) -> Outcome {
    let mut session = Session::start(common, &command.image, &command.source)?;
    // Who says "pull" wants to know what the registry has now.
    session.default_pull(PullKind::Always);
    let image = session.pull()?;
    if command.json {
        terminal::answer_json(&to_json(&image))?;
    } else {
        terminal::answer(&format!("{}\n", image.descriptor.digest))?;
        let layers = image.manifest.layers.len();
        let s = if layers == 1 { "" } else { "s" };
        session.say(&format!("{layers} layer{s}, {}", size::show(image.size())));
    }
    Ok(())
}
