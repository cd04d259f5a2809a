//! Looking into images: `ls`, `cat`, `diff`, `export`, and into what was built of them: `dump`. What umoci unpacks is
//! the judge.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod cat;
mod diff;
mod dump;
mod export;
mod known;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde_json::Value;
use support::Place;
use testkit::corpus;
use testkit::judge;

/// How a corpus image is named.
pub(crate) fn name_of(image: &str) -> String {
    judge::source(corpus::find(image).unwrap())
}

/// Standard output, which may be anything.
#[track_caller]
pub(crate) fn bytes_of(place: &Place, arguments: &[&OsStr]) -> Vec<u8> {
    let output = place.command(&[]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

pub(crate) fn cat(place: &Place, image: &str, path: &[u8]) -> Vec<u8> {
    bytes_of(
        place,
        &["cat", image].map(OsStr::new).into_iter().chain([OsStr::from_bytes(path)]).collect::<Vec<_>>(),
    )
}

/// The files of a layer's blobs in a store or a layout.
pub(crate) fn blobs_of_layers(layout: &Path) -> Vec<std::path::PathBuf> {
    let json = |path: &Path| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
    let blob = |descriptor: &Value| {
        layout.join("blobs").join(descriptor["digest"].as_str().unwrap().replace(':', "/"))
    };
    let manifest = json(&blob(&json(&layout.join("index.json"))["manifests"][0]));
    manifest["layers"].as_array().unwrap().iter().map(blob).collect()
}

/// Flips a bit in the middle of a file.
pub(crate) fn damage(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}
