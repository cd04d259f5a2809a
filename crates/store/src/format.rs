//! Names in the store's directory, and the file that marks it: `image-layout.md` of the image specification.

use std::ffi::OsStr;
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

    /// The entries as they lie there, also those that cannot be understood.
    pub(crate) fn raw(&self) -> &[Value] {
        self.manifests.as_deref().unwrap_or_default()
    }

    /// Takes entries out.
    pub(crate) fn remove(&mut self, mut which: impl FnMut(&Descriptor) -> bool) {
        let entries = self.manifests.get_or_insert_default();
        entries.retain(|entry| !Descriptor::deserialize(entry).is_ok_and(|entry| which(&entry)));
    }

    /// Keeps the entries, by place and as they lie there, that are to stay.
    pub(crate) fn retain(&mut self, mut stays: impl FnMut(usize, &Value) -> bool) {
        let mut number = 0;
        self.manifests.get_or_insert_default().retain(|entry| {
            number += 1;
            stays(number - 1, entry)
        });
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

    /// Held by a sweep, and shared by whoever puts something where a sweep would look.
    pub(crate) fn sweep_lock(&self) -> PathBuf {
        self.own().join("sweep-lock")
    }

    /// What running processes need.
    pub(crate) fn leases(&self) -> PathBuf {
        self.own().join("leases")
    }

    pub(crate) fn parts(&self) -> PathBuf {
        self.own().join("parts")
    }

    /// What has arrived of a blob.
    pub(crate) fn part(&self, digest: &Digest) -> PathBuf {
        self.parts().join(flat(digest))
    }

    pub(crate) fn diff_ids(&self) -> PathBuf {
        self.own().join("diff-ids")
    }

    /// What a blob is known to expand to.
    pub(crate) fn diff_id(&self, blob: &Digest) -> PathBuf {
        self.diff_ids().join(flat(blob))
    }

    pub(crate) fn outlines(&self) -> PathBuf {
        self.own().join("outlines")
    }

    /// The outline of the layer in a blob.
    pub(crate) fn outline(&self, blob: &Digest) -> PathBuf {
        self.outlines().join(flat(blob))
    }

    /// Rootfs that were built from images.
    pub(crate) fn all_rootfs(&self) -> PathBuf {
        self.own().join("rootfs")
    }

    /// The rootfs that an image gave, built in the way that `key` stands for.
    pub(crate) fn rootfs(&self, manifest: &Digest, key: &Digest) -> PathBuf {
        self.all_rootfs().join(format!("{}.{}", flat(manifest), flat(key)))
    }

    pub(crate) fn uses(&self) -> PathBuf {
        self.own().join("used")
    }

    /// An empty file, as old as the last use of an image.
    pub(crate) fn used(&self, manifest: &Digest) -> PathBuf {
        self.uses().join(flat(manifest))
    }
}

/// The digest that a name in one of our own directories stands for.
pub(crate) fn unflat(name: &OsStr) -> Option<Digest> {
    let (algorithm, hex) = name.to_str()?.split_once('-')?;
    format!("{algorithm}:{hex}").parse().ok()
}

/// The same for two of them.
pub(crate) fn unflat_pair(name: &OsStr) -> Option<(Digest, Digest)> {
    let (one, two) = name.to_str()?.split_once('.')?;
    Some((unflat(OsStr::new(one))?, unflat(OsStr::new(two))?))
}

fn flat(digest: &Digest) -> String {
    format!("{}-{}", digest.algorithm().name(), digest.hex())
}
