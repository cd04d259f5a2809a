//! A store with images in it, for what keeps a store small and true.

#![allow(dead_code, reason = "each test file uses some of it")]

use std::path::{Path, PathBuf};

use hash::Digest;
use oci::{Descriptor, MediaType, Reference};
use serde_json::{Value, json};
use tempfile::TempDir;
use unlade_store::Store;

/// A store in a directory of its own.
pub(crate) struct Place {
    directory: TempDir,
}

/// An image that was put in.
pub(crate) struct Put {
    pub(crate) manifest: Descriptor,
    pub(crate) config: Digest,
    pub(crate) layers: Vec<Digest>,
}

impl Place {
    pub(crate) fn new() -> Place {
        Place { directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    /// Opens the store: what one such object looks for is safe only as long as it lives.
    pub(crate) fn open(&self) -> Store {
        Store::open(&self.path()).unwrap()
    }

    /// The file of a blob.
    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        self.path().join("blobs").join(digest.to_string().replace(':', "/"))
    }

    /// A file in one of the directories of what is known.
    pub(crate) fn own(&self, directory: &str, digest: &Digest) -> PathBuf {
        self.path().join("unlade").join(directory).join(digest.to_string().replace(':', "-"))
    }

    /// Puts an image in and lets it have a name, in a run of its own.
    pub(crate) fn image(&self, name: &str, layers: &[&str]) -> Put {
        let store = self.open();
        let put = put(&store, layers);
        store.tag(&reference(name), put.manifest.clone(), None).unwrap();
        put
    }

    /// Lets the store remember a rootfs of an image.
    pub(crate) fn rootfs(&self, image: &Put, key: &str, contents: &str) -> PathBuf {
        let path = self.open().rootfs_path(&image.manifest.digest, &Digest::sha256(key.as_bytes())).unwrap();
        std::fs::write(&path, contents).unwrap();
        path
    }

    /// Changes the list of tags.
    pub(crate) fn edit_index(&self, edit: impl FnOnce(&mut Vec<Value>)) {
        edit_index(&self.path(), edit);
    }
}

pub(crate) fn edit_index(store: &Path, edit: impl FnOnce(&mut Vec<Value>)) {
    let path = store.join("index.json");
    let mut index: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    edit(index["manifests"].as_array_mut().unwrap());
    std::fs::write(path, index.to_string()).unwrap();
}

pub(crate) fn reference(name: &str) -> Reference {
    name.parse().unwrap()
}

/// Puts an image in, without a name.
pub(crate) fn put(store: &Store, layers: &[&str]) -> Put {
    let blobs: Vec<Value> = layers
        .iter()
        .map(|text| {
            let digest = store.put_bytes(text.as_bytes()).unwrap();
            store.remember_diff_id(&digest, &digest).unwrap();
            store.remember_outline(&digest, b"outline").unwrap();
            json!({"mediaType": testkit::layout::LAYER, "digest": digest, "size": text.len()})
        })
        .collect();
    let config = testkit::layout::config("linux/amd64", &blobs).to_string();
    let config_digest = store.put_bytes(config.as_bytes()).unwrap();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": testkit::layout::MANIFEST,
        "config": {"mediaType": testkit::layout::CONFIG, "digest": config_digest, "size": config.len()},
        "layers": blobs,
    })
    .to_string();
    let digest = store.put_bytes(manifest.as_bytes()).unwrap();
    let media_type = MediaType::parse(MediaType::OCI_MANIFEST);
    let manifest = Descriptor {
        platform: "linux/amd64".parse().ok(),
        ..Descriptor::new(media_type, digest, manifest.len() as u64)
    };
    Put {
        manifest,
        config: config_digest,
        layers: layers.iter().map(|text| Digest::sha256(text.as_bytes())).collect(),
    }
}
