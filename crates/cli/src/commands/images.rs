//! `unlade images`.

use std::time::{Duration, SystemTime};

use oci::Reference;
use serde_json::json;
use store::Stored;
use tree::escape;

use super::Outcome;
use super::shared::open_store;
use crate::args::{Common, Images};
use crate::{duration, render, size, terminal};

/// Lists the images of the store.
pub(crate) fn run(common: &Common, command: &Images) -> Outcome {
    let store = open_store(common)?;
    let mut images = store.images()?;
    if command.all {
        images.extend(store.untagged()?);
    }
    if command.json {
        terminal::answer_json(&images.iter().map(to_json).collect())?;
        return Ok(());
    }
    let now = SystemTime::now();
    if let Some(template) = &command.format {
        let lines = images.iter().map(|image| template.fill(|name| field(image, name, now)) + "\n");
        terminal::answer_columns(&lines.collect::<String>())?;
        return Ok(());
    }
    let columns = ["Name", "Digest", "Platform", "Size", "Created", "Used", "Rootfs", "State"];
    let mut rows = vec![columns.map(str::to_uppercase)];
    for image in &images {
        let mut row = columns.map(|name| field(image, name, now));
        row[1] = short(&image.digest);
        rows.push(row);
    }
    // What is as it should be needs no column, nor what is nowhere.
    for column in [6, 7] {
        if rows.iter().skip(1).all(|row| row[column].is_empty()) {
            rows[0][column].clear();
        }
    }
    terminal::answer(&render::table(&rows, &[3, 6]))?;
    Ok(())
}

/// A digest as far as people read it, and as commands take it.
fn short(digest: &hash::Digest) -> String {
    digest.to_string().chars().take("sha256:".len() + 12).collect()
}

fn to_json(image: &Stored) -> serde_json::Value {
    json!({
        "name": image.name.as_ref().map(|name| escape(name.as_bytes()).to_string()),
        "digest": image.digest,
        "platform": image.platform.as_ref().map(ToString::to_string),
        "bytes": image.bytes,
        "created": image.created,
        "used": image.used.map(render::instant),
        "missingBlobs": image.missing,
        "rootfsBytes": image.rootfs_bytes,
    })
}

/// A field as people read it.
fn field(image: &Stored, name: &str, now: SystemTime) -> String {
    let nothing = || "<none>".to_string();
    let reference: Option<Reference> = image.name.as_ref().and_then(|name| name.parse().ok());
    let ago = |span: Duration| format!("{} ago", duration::show(span));
    match name {
        "Name" => image.name.as_ref().map_or_else(nothing, |name| escape(name.as_bytes()).to_string()),
        "Repository" => reference
            .map(|reference| format!("{}/{}", reference.registry(), reference.repository()))
            .unwrap_or_else(nothing),
        "Tag" => reference.and_then(|reference| reference.tag().map(String::from)).unwrap_or_else(nothing),
        "Digest" => image.digest.to_string(),
        "Platform" => {
            let platform = image.platform.as_ref().map(ToString::to_string).unwrap_or_else(nothing);
            escape(platform.as_bytes()).to_string()
        }
        "Size" => size::show(image.bytes),
        "Bytes" => image.bytes.to_string(),
        "Created" => {
            let made = image.created.as_ref().and_then(|created| render::seconds(created));
            let made = made.and_then(|made| u64::try_from(made).ok()).map(Duration::from_secs);
            let since = made.and_then(|made| now.duration_since(SystemTime::UNIX_EPOCH + made).ok());
            since.map_or_else(nothing, ago)
        }
        "Used" => image.used.map_or_else(nothing, |used| ago(now.duration_since(used).unwrap_or_default())),
        "Rootfs" => match image.rootfs_bytes {
            0 => String::new(),
            bytes => size::show(bytes),
        },
        "State" => match image.missing {
            0 => String::new(),
            missing => format!("{missing} blob{} missing", if missing == 1 { "" } else { "s" }),
        },
        other => unreachable!("a template has no field {other}"),
    }
}
