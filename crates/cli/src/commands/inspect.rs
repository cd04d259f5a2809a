//! `unlade inspect`.

use oci::Image;
use pipeline::reuse::{self, Remembered};
use serde_json::json;

use super::Outcome;
use super::shared::Session;
use crate::args::{Common, Inspect};
use crate::{size, terminal};

/// Shows an image's documents.
pub(crate) fn run(common: &Common, command: &Inspect) -> Outcome {
    let session = Session::start(common, &command.image, &command.source)?;
    let image = session.resolve()?;
    let rootfs = reuse::remembered(&session.store, &image)?;
    if command.json {
        let mut document = to_json(&image);
        document["rootfs"] = rootfs.iter().map(rootfs_to_json).collect();
        terminal::answer_json(&document)?;
    } else {
        terminal::answer(&to_text(&image, &rootfs))?;
    }
    Ok(())
}

/// The documents, and what follows from them.
pub(crate) fn to_json(image: &Image) -> serde_json::Value {
    let layers: Vec<_> = image
        .layers()
        .map(|layer| {
            json!({
                "digest": layer.descriptor.digest,
                "mediaType": layer.descriptor.media_type,
                "size": layer.descriptor.size,
                "diffId": layer.diff_id,
            })
        })
        .collect();
    json!({
        "digest": image.descriptor.digest,
        "size": image.size(),
        "platform": image.config.platform.to_string(),
        "layers": layers,
        "manifest": image.manifest,
        "config": image.config,
    })
}

fn rootfs_to_json(rootfs: &Remembered) -> serde_json::Value {
    json!({ "options": rootfs.terms, "size": rootfs.size, "storedBytes": rootfs.stored_bytes })
}

fn to_text(image: &Image, rootfs: &[Remembered]) -> String {
    let config = &image.config;
    let execution = &config.execution;
    let mut rows: Vec<(&str, String)> = vec![
        ("Digest", image.descriptor.digest.to_string()),
        ("Media type", image.descriptor.media_type.to_string()),
        ("Platform", config.platform.to_string()),
        ("Created", config.created.clone().unwrap_or_default()),
        ("Config", image.manifest.config.digest.to_string()),
        ("Entrypoint", words(&execution.entrypoint)),
        ("Command", words(&execution.cmd)),
        ("User", execution.user.clone()),
        ("Directory", execution.working_dir.clone()),
        ("Stop signal", execution.stop_signal.clone()),
    ];
    rows.extend(execution.env.iter().map(|variable| ("Environment", variable.clone())));
    rows.extend(execution.exposed_ports.keys().map(|port| ("Port", port.clone())));
    rows.extend(execution.volumes.keys().map(|volume| ("Volume", volume.clone())));
    rows.extend(execution.labels.iter().map(|(name, value)| ("Label", format!("{name}={value}"))));

    let mut text = String::new();
    let mut last = "";
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        let shown = if *name == last { "" } else { name };
        // Everything here is a stranger's text.
        text += &format!("{shown:<12} {}\n", tree::escape(value.as_bytes()));
        last = name;
    }
    text += &format!("{:<12} {} in {}\n", "Layers", image.manifest.layers.len(), size::show(image.size()));
    for (number, layer) in (1..).zip(image.layers()) {
        let oci::MediaType::Layer(compression, _) = &layer.descriptor.media_type else { continue };
        text += &format!(
            "{number:>12} {} {:>10} {compression}\n",
            layer.descriptor.digest,
            size::show(layer.descriptor.size)
        );
    }
    for Remembered { terms, size, stored_bytes } in rootfs {
        let (size, stored) = (size::show(*size), size::show(*stored_bytes));
        text +=
            &format!("{:<12} {size}, {stored} in the store: {}\n", "Rootfs", tree::escape(terms.as_bytes()));
    }
    text
}

/// Words of a command, quoted where they would not be one word.
fn words(words: &[String]) -> String {
    let plain = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(&b))
    };
    let quoted: Vec<String> = words
        .iter()
        .map(|word| if plain(word) { word.clone() } else { format!("'{}'", word.replace('\'', "'\\''")) })
        .collect();
    quoted.join(" ")
}
