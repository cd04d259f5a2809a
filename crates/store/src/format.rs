//! Names in the store's directory, and the file that marks it: `image-layout.md` of the image specification.

use std::path::{Path, PathBuf};

use hash::Digest;
use oci::{Descriptor, MediaType};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The file that marks an image layout.
pub(crate) const LAYOUT_FILE: &str = "oci-layout";
/// The list of tags.
pub(crate) const INDEX_FILE: &str = "index.json";
/// The directory of blobs.
pub(crate) const BLOBS: &str = "blobs";
/// The directory of what only this program needs.
pub(crate) const OWN: &str = "unlade";

/// The version of the layout that this program reads and writes.
pub(crate) const LAYOUT_VERSION: &str = "1.0.0";

/// What the marking file says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Layout {
    pub(crate) image_layout_version: String,
}

/// The list of tags as it lies there. Entries that other tools made stay as they are, whatever is in them.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Listing {
    /// A Go program writes `null` for none.
    #[serde(default)]
    manifests: Option<Vec<Value>>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl Default for Listing {
    fn default() -> Listing {
        let rest = [("schemaVersion", 2.into()), ("mediaType", MediaType::OCI_INDEX.into())];
        Listing {
            manifests: Some(Vec::new()),
            rest: rest.map(|(name, value)| (name.into(), value)).into_iter().collect(),
        }
    }
}

impl Listing {
    /// The entries that can be understood.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Descriptor> {
        self.manifests.iter().flatten().filter_map(|entry| Descriptor::deserialize(entry).ok())
    }

    /// Takes entries out.
    pub(crate) fn remove(&mut self, which: impl Fn(&Descriptor) -> bool) {
        let entries = self.manifests.get_or_insert_default();
        entries.retain(|entry| !Descriptor::deserialize(entry).is_ok_and(|entry| which(&entry)));
    }

    /// Puts an entry behind the others.
    pub(crate) fn push(&mut self, entry: &Descriptor) {
        let entry = serde_json::to_value(entry).expect("it has strings for keys and no way to fail");
        self.manifests.get_or_insert_default().push(entry);
    }
}

/// The paths in a store.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    pub(crate) root: PathBuf,
}

impl Paths {
    pub(crate) fn new(root: &Path) -> Paths {
        Paths { root: root.into() }
    }

    pub(crate) fn layout(&self) -> PathBuf {
        self.root.join(LAYOUT_FILE)
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.root.join(INDEX_FILE)
    }

    /// The directory of the blobs with digests of one algorithm.
    pub(crate) fn blobs(&self, algorithm: hash::Algorithm) -> PathBuf {
        self.root.join(BLOBS).join(algorithm.name())
    }

    /// A blob. A digest has nothing but hexadecimal digits, so this never leads anywhere else.
    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        self.blobs(digest.algorithm()).join(digest.hex())
    }

    pub(crate) fn own(&self) -> PathBuf {
        self.root.join(OWN)
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.own().join("lock")
    }

    pub(crate) fn parts(&self) -> PathBuf {
        self.own().join("parts")
    }

    /// What has arrived of a blob.
    pub(crate) fn part(&self, digest: &Digest) -> PathBuf {
        self.parts().join(flat(digest))
    }

    /// What a blob is known to expand to.
    pub(crate) fn diff_id(&self, blob: &Digest) -> PathBuf {
        self.own().join("diff-ids").join(flat(blob))
    }

    /// The outline of the layer in a blob.
    pub(crate) fn outline(&self, blob: &Digest) -> PathBuf {
        self.own().join("outlines").join(flat(blob))
    }
}

fn flat(digest: &Digest) -> String {
    format!("{}-{}", digest.algorithm().name(), digest.hex())
}
