//! OCI layouts piece by piece, so that every piece can be wrong.
#![allow(clippy::unwrap_used, reason = "a test without its image has failed")]

use std::fs;
use std::path::{Path, PathBuf};

use hash::Digest;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Media type of a manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of an index.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Media type of a config.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Media type of a layer that is not compressed.
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// An OCI layout under construction.
#[derive(Debug)]
pub struct Layout {
    /// Where it is.
    pub path: PathBuf,
    /// Held for its `Drop`.
    _temporary: Option<TempDir>,
}

impl Default for Layout {
    fn default() -> Layout {
        Layout::new()
    }
}

impl Layout {
    /// Starts one that goes away when it is dropped.
    pub fn new() -> Layout {
        let temporary = tempfile::tempdir().unwrap();
        let layout = Layout::at(&temporary.path().join("layout"));
        Layout { _temporary: Some(temporary), ..layout }
    }

    /// Starts one in `path`, which is made.
    pub fn at(path: &Path) -> Layout {
        fs::create_dir_all(path.join("blobs/sha256")).unwrap();
        Layout { path: path.to_path_buf(), _temporary: None }
    }

    /// The file of a blob.
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

    /// A manifest, whose config is put in.
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

/// What names these bytes.
pub fn describe(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": Digest::sha256(bytes).to_string(), "size": bytes.len()})
}

/// An index.
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

/// A platform as documents spell it.
pub fn platform(text: &str) -> Value {
    let mut parts = text.split('/');
    let mut platform = json!({"os": parts.next(), "architecture": parts.next()});
    if let Some(variant) = parts.next() {
        platform["variant"] = variant.into();
    }
    platform
}

/// The descriptor with the name by which an index's reader chooses it.
pub fn named(mut descriptor: Value, name: &str) -> Value {
    descriptor["annotations"]["org.opencontainers.image.ref.name"] = name.into();
    descriptor
}

/// Fails unless every blob under a final name is what its name says.
///
/// # Panics
///
/// If it is not.
pub fn assert_sound(store: &Path) {
    for blob in fs::read_dir(store.join("blobs/sha256")).unwrap() {
        let blob = blob.unwrap().path();
        let digest = Digest::sha256(&fs::read(&blob).unwrap());
        assert_eq!(blob.file_name().unwrap().to_str().unwrap(), digest.hex());
    }
}
