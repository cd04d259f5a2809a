//! Images of all shapes, and pulling them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "every test file is a crate and uses a part of it"
)]

pub mod place;

use std::error::Error;

use oci::Image;
use serde_json::Value;
use store::Store;
use unlade_pipeline::Event;
use unlade_pipeline::pull::{self, Options};

pub use testkit::layout::{
    CONFIG, INDEX, LAYER, Layout, MANIFEST, assert_sound, config, describe, index, named, platform,
};

/// Pulls into a store, for linux/amd64.
pub fn pull_into(store: &Store, source: &str, options: &Options) -> Result<Image, String> {
    pull_for("linux/amd64", store, source, options, &|_| {})
}

pub fn pull_for(
    platform: &str,
    store: &Store,
    source: &str,
    options: &Options,
    report: &(dyn Fn(Event) + Sync),
) -> Result<Image, String> {
    let source = source.parse().unwrap();
    pull::pull(&source, &platform.parse().unwrap(), store, options, report).map_err(|error| chain(&error))
}

/// Pulls into a new store, which must hold nothing wrong, and no tag after a failure.
pub fn pull_anew(platform: &str, source: &str) -> Result<Image, String> {
    let store = Store::temporary(None).unwrap();
    let pulled = pull_for(platform, &store, source, &Options::default(), &|_| {});
    match &pulled {
        Ok(image) => assert!(store.missing(image).is_empty()),
        Err(_) => assert!(store.tags().unwrap().is_empty()),
    }
    assert_sound(store.path());
    pulled
}

pub const AMD64: &str = "linux/amd64";

/// Pulls for a platform, and gives the manifest's digest or what went wrong, without the layout's path.
pub fn pulled(layout: &Layout, source: &str, platform: &str) -> Result<String, String> {
    pull_anew(platform, source)
        .map(|image| image.descriptor.digest.to_string())
        .map_err(|said| said.replace(&layout.path.display().to_string(), "DIR"))
        // Below the layout as every host says it.
        .map_err(|said| {
            if cfg!(windows) {
                said.replace("DIR\\", "DIR/").replace("blobs\\sha256\\", "blobs/sha256/")
            } else {
                said
            }
        })
}

pub fn digest(descriptor: &Value) -> String {
    descriptor["digest"].as_str().unwrap().to_string()
}

/// What is said of a layout made by `make`, which gives the source.
pub fn refused(make: impl FnOnce(&Layout) -> String) -> String {
    let layout = Layout::new();
    let source = make(&layout);
    pulled(&layout, &source, AMD64).unwrap_err()
}

/// An error with all its causes.
pub fn chain(error: &dyn Error) -> String {
    let mut said = vec![error.to_string()];
    let mut link = error.source();
    while let Some(cause) = link {
        // Some errors say what their cause says.
        if said.last() != Some(&cause.to_string()) {
            said.push(cause.to_string());
        }
        link = cause.source();
    }
    said.join(": ")
}
