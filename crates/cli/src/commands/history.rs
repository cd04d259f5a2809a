//! `unlade history`.

use std::time::{Duration, SystemTime};

use oci::{Descriptor, Image};
use serde_json::json;
use tree::escape;

use super::Outcome;
use super::named::Named;
use super::shared::{Session, open_store};
use crate::args::{Common, History};
use crate::{duration, render, size, terminal};

/// Most characters of a command in the table; JSON has all of them.
const WORDS_MAX: usize = 60;

/// Shows how an image was made.
pub(crate) fn run(common: &Common, command: &History) -> Outcome {
    let image = match Named::is_digest(&command.image) {
        true => {
            let store = open_store(common)?;
            let name = || store::Error::NoTag { name: command.image.clone() };
            let digest = Named::digest(&store, &command.image)?.ok_or_else(name)?;
            store.image_by_digest(&digest)?.ok_or_else(name)?
        }
        false => Session::start(common, &command.image, &command.source)?.resolve()?,
    };
    let steps = steps(&image);
    if command.json {
        terminal::answer_json(&steps.iter().rev().map(to_json).collect())?;
    } else {
        terminal::answer(&to_text(&steps))?;
    }
    Ok(())
}

/// A step, and what came of it.
struct Step<'a> {
    said: Option<&'a oci::History>,
    layer: Option<&'a Descriptor>,
}

/// The steps, the first first. Builders may say less than there is, or more.
fn steps(image: &Image) -> Vec<Step<'_>> {
    let mut layers = image.manifest.layers.iter();
    let mut steps: Vec<Step<'_>> = Vec::new();
    for said in &image.config.history {
        let layer = if said.empty_layer { None } else { layers.next() };
        steps.push(Step { said: Some(said), layer });
    }
    steps.extend(layers.map(|layer| Step { said: None, layer: Some(layer) }));
    steps
}

fn to_json(step: &Step<'_>) -> serde_json::Value {
    json!({
        "created": step.said.and_then(|said| said.created.as_ref()),
        "createdBy": step.said.and_then(|said| said.created_by.as_ref()),
        "digest": step.layer.map(|layer| layer.digest),
        "size": step.layer.map(|layer| layer.size),
    })
}

fn to_text(steps: &[Step<'_>]) -> String {
    let now = SystemTime::now();
    let mut rows = vec![["LAYER", "CREATED", "SIZE", "CREATED BY"].map(String::from)];
    for step in steps.iter().rev() {
        let made = step.said.and_then(|said| render::seconds(said.created.as_deref()?));
        let made = made.and_then(|made| u64::try_from(made).ok()).map(Duration::from_secs);
        let since = made.and_then(|made| now.duration_since(SystemTime::UNIX_EPOCH + made).ok());
        let words = step.said.and_then(|said| said.created_by.as_deref()).unwrap_or_default();
        let words = escape(words.split_whitespace().collect::<Vec<_>>().join(" ").as_bytes()).to_string();
        let shown: String = words.chars().take(WORDS_MAX).collect();
        rows.push([
            step.layer.map_or("<none>".into(), |layer| layer.digest.hex()[..12].to_string()),
            since.map_or("<none>".into(), |since| format!("{} ago", duration::show(since))),
            step.layer.map_or("0 B".into(), |layer| size::show(layer.size)),
            if shown.len() < words.len() { format!("{shown}…") } else { shown },
        ]);
    }
    render::table(&rows, &[2])
}
