//! Images of all shapes, and pulling them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(dead_code, unreachable_pub, reason = "every test file is a crate and uses a part of it")]

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use hash::Digest;
use oci::Image;
use serde_json::{Value, json};
use store::Store;
use unlade_pipeline::Event;
use unlade_pipeline::pull::{self, Options};

pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// An OCI layout under construction.
pub struct Layout {
    _temporary: tempfile::TempDir,
    pub path: PathBuf,
}

impl Layout {
    pub fn new() -> Layout {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("layout");
        fs::create_dir_all(path.join("blobs/sha256")).unwrap();
        Layout { _temporary: temporary, path }
    }

    pub fn blob(&self, descriptor: &Value) -> PathBuf {
        self.path.join("blobs").join(descriptor["digest"].as_str().unwrap().replace(':', "/"))
    }

    /// Puts bytes in, and describes them.
    pub fn put(&self, media_type: &str, bytes: impl AsRef<[u8]>) -> Value {
        let descriptor = describe(media_type, bytes.as_ref());
        fs::write(self.blob(&descriptor), bytes).unwrap();
        descriptor
    }

    /// Puts a document in, and describes it.
    pub fn document(&self, media_type: &str, document: &Value) -> Value {
        self.put(media_type, document.to_string())
    }

    /// Puts an image in, of layers that need not be tarballs.
    pub fn image(&self, platform: &str, layers: &[&[u8]]) -> Value {
        let layers: Vec<Value> = layers.iter().map(|bytes| self.put(LAYER, bytes)).collect();
        self.image_of(platform, &layers)
    }

    /// Puts an image in, of layers that are described.
    pub fn image_of(&self, platform: &str, layers: &[Value]) -> Value {
        let manifest = self.manifest(&config(platform, layers), layers);
        let mut descriptor = self.document(MANIFEST, &manifest);
        descriptor["platform"] = self::platform(platform);
        descriptor
    }

    pub fn manifest(&self, config: &Value, layers: &[Value]) -> Value {
        let config = self.document(CONFIG, config);
        json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers})
    }

    /// Puts an index in.
    pub fn index(&self, manifests: &[Value]) -> Value {
        self.document(INDEX, &index(manifests))
    }

    /// Writes what makes it a layout, and gives its name as a source.
    pub fn finish(&self, manifests: &[Value]) -> String {
        fs::write(self.path.join("index.json"), index(manifests).to_string()).unwrap();
        fs::write(self.path.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        format!("oci:{}", self.path.display())
    }
}

pub fn describe(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": Digest::sha256(bytes).to_string(), "size": bytes.len()})
}

pub fn index(manifests: &[Value]) -> Value {
    json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})
}

/// A config for layers that are not compressed.
pub fn config(platform: &str, layers: &[Value]) -> Value {
    let mut config = self::platform(platform);
    let diff_ids: Vec<&Value> = layers.iter().map(|layer| &layer["digest"]).collect();
    config["rootfs"] = json!({"type": "layers", "diff_ids": diff_ids});
    config
}

pub fn platform(text: &str) -> Value {
    serde_json::to_value(text.parse::<oci::Platform>().unwrap()).unwrap()
}

pub fn named(mut descriptor: Value, name: &str) -> Value {
    descriptor["annotations"]["org.opencontainers.image.ref.name"] = name.into();
    descriptor
}

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

/// Everything under a final name is what its name says, and nothing is left of what failed.
pub fn assert_sound(store: &Path) {
    for blob in fs::read_dir(store.join("blobs/sha256")).unwrap() {
        let blob = blob.unwrap().path();
        let digest = Digest::sha256(&fs::read(&blob).unwrap());
        assert_eq!(blob.file_name().unwrap().to_str().unwrap(), digest.hex());
    }
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
