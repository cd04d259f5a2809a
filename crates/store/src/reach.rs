//! What the tags lead to: from the list of tags through indexes and manifests to every blob.
//!
//! This looks at documents more leniently than whoever uses an image: also what this program cannot build from, an
//! artifact of another tool for one, keeps what it names.

use std::collections::{BTreeMap, BTreeSet};

use hash::Digest;
use oci::{DOCUMENT_MAX, Descriptor, MediaType};
use serde_json::Value;

use crate::error::Error;
use crate::open::Store;
use crate::tags::INDEX_ANNOTATION;

/// An entry of the list of tags.
#[derive(Debug, Clone)]
pub(crate) struct Root {
    /// Its name; a number if it has none.
    pub(crate) name: String,
    /// What it names.
    pub(crate) link: Link,
    /// The index that the image was chosen from: kept, but not followed.
    pub(crate) index: Option<Digest>,
}

/// One document's word of another blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) digest: Digest,
    /// Bytes that it is said to have.
    pub(crate) size: Option<u64>,
    /// What it is.
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A manifest or an index, to be followed.
    Document,
    /// An image of an index, or what an artifact belongs to: followed if it is there.
    Optional,
    /// Something of unknown type: followed if it turns out to be a document.
    Unknown,
    /// A config or a layer.
    Leaf,
}

/// Documents that were read, each once.
#[derive(Default)]
pub(crate) struct Documents {
    read: BTreeMap<Digest, Result<Vec<Link>, Fault>>,
}

/// Why a document cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    Missing,
    Corrupt(hash::Mismatch),
    NotAFile,
    Unreadable(String),
    /// It is no document that anybody knows.
    Unusable(String),
}

impl Root {
    /// Reads an entry, leniently: what has a digest is a root, whatever else is wrong with it.
    pub(crate) fn read(number: usize, entry: &Value) -> Option<Root> {
        let annotation = |name: &str| entry.get("annotations")?.get(name)?.as_str();
        let name = annotation(Descriptor::REF_NAME).map_or_else(|| format!("#{}", number + 1), String::from);
        let index = annotation(INDEX_ANNOTATION).and_then(|index| index.parse().ok());
        let link = Link::read(entry, Kind::Document)?;
        Some(Root { name, link, index })
    }
}

impl Link {
    fn read(descriptor: &Value, kind: Kind) -> Option<Link> {
        let digest = descriptor.get("digest")?.as_str()?.parse().ok()?;
        let size = descriptor.get("size").and_then(Value::as_u64);
        let media_type = MediaType::parse(descriptor.get("mediaType").and_then(Value::as_str).unwrap_or(""));
        let known = matches!(media_type, MediaType::Index(_) | MediaType::Manifest(_));
        let kind = if kind == Kind::Document && !known { Kind::Unknown } else { kind };
        Some(Link { digest, size, kind })
    }
}

impl Documents {
    /// What a document names.
    pub(crate) fn links(&mut self, store: &Store, digest: &Digest) -> &Result<Vec<Link>, Fault> {
        self.read.entry(*digest).or_insert_with(|| match store.peek(digest) {
            Ok(bytes) => {
                links(&bytes).ok_or_else(|| Fault::Unusable("it is no manifest and no index".into()))
            }
            Err(Error::Missing { .. }) => Err(Fault::Missing),
            Err(Error::Corrupt { mismatch, .. }) => Err(Fault::Corrupt(mismatch)),
            Err(Error::NotAFile { .. }) => Err(Fault::NotAFile),
            Err(Error::Document(fault)) => Err(Fault::Unusable(fault.to_string())),
            Err(error) => {
                let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
                Err(Fault::Unreadable(format!("{error}{}", cause.unwrap_or_default())))
            }
        })
    }

    /// Whether all of a document's bytes were read and have its digest.
    pub(crate) fn is_verified(&self, digest: &Digest) -> bool {
        matches!(self.read.get(digest), Some(Ok(_)))
    }

    /// Everything that a link leads to, itself included, each once. `fault` is told what cannot be followed.
    pub(crate) fn walk(
        &mut self,
        store: &Store,
        from: &Link,
        mut seen: impl FnMut(&Link),
        mut fault: impl FnMut(&Link, &Fault),
    ) {
        let mut known = BTreeSet::from([from.digest]);
        let mut waiting = vec![from.clone()];
        while let Some(link) = waiting.pop() {
            if link.kind == Kind::Leaf || is_large(store, &link) {
                seen(&link);
                continue;
            }
            match (self.links(store, &link.digest), link.kind) {
                (Ok(links), _) => {
                    seen(&link);
                    waiting.extend(links.iter().filter(|link| known.insert(link.digest)).cloned());
                }
                (Err(Fault::Missing), Kind::Optional) => {}
                (Err(Fault::Unusable(_)), Kind::Unknown) => seen(&link),
                (Err(found), _) => {
                    seen(&link);
                    fault(&link, found);
                }
            }
        }
    }

    /// All that a root needs, or why that cannot be told.
    pub(crate) fn needs(&mut self, store: &Store, root: &Root) -> Result<BTreeSet<Digest>, Error> {
        let mut needed: BTreeSet<Digest> = root.index.into_iter().collect();
        let mut failed = None;
        let seen = |link: &Link| {
            needed.insert(link.digest);
        };
        self.walk(store, &root.link, seen, |link, fault| {
            failed.get_or_insert_with(|| fault.error(store, &link.digest));
        });
        match failed {
            None => Ok(needed),
            Some(error) => Err(Error::Unreachable { name: root.name.clone(), source: Box::new(error) }),
        }
    }

    /// All that a blob leads to if it is a document.
    pub(crate) fn closure(&mut self, store: &Store, digest: &Digest) -> BTreeSet<Digest> {
        let mut needed = BTreeSet::new();
        let from = Link { digest: *digest, size: None, kind: Kind::Unknown };
        let seen = |link: &Link| {
            needed.insert(link.digest);
        };
        self.walk(store, &from, seen, |_, _| {});
        needed
    }
}

/// Something of unknown type that has more bytes than a document may have is none, and is not read.
fn is_large(store: &Store, link: &Link) -> bool {
    link.kind == Kind::Unknown
        && std::fs::symlink_metadata(store.paths.blob(&link.digest))
            .is_ok_and(|found| found.len() > DOCUMENT_MAX)
}

impl Fault {
    fn error(&self, store: &Store, digest: &Digest) -> Error {
        match self {
            Fault::NotAFile => Error::NotAFile { path: store.paths.blob(digest) },
            Fault::Missing => Error::Missing { digest: *digest },
            Fault::Corrupt(mismatch) => Error::Corrupt { digest: *digest, mismatch: mismatch.clone() },
            Fault::Unreadable(cause) | Fault::Unusable(cause) => {
                oci::Error::Unsupported(format!("{digest}: {cause}")).into()
            }
        }
    }
}

/// What a manifest or an index names. `None` for anything else.
fn links(bytes: &[u8]) -> Option<Vec<Link>> {
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return None;
    }
    let document: Value = serde_json::from_slice(bytes).ok()?;
    let list = |name: &str| document.get(name).and_then(Value::as_array).map(Vec::as_slice);
    let one = |name: &str| document.get(name).map(std::slice::from_ref).unwrap_or_default();
    let parts = [
        (list("manifests").unwrap_or_default(), Kind::Optional),
        (one("config"), Kind::Leaf),
        (list("layers").unwrap_or_default(), Kind::Leaf),
        // An artifact manifest of an earlier draft.
        (list("blobs").unwrap_or_default(), Kind::Leaf),
        (one("subject"), Kind::Optional),
    ];
    let is_index = list("manifests").is_some();
    let is_manifest = document.get("config").is_some_and(|config| config.get("digest").is_some());
    let is_artifact = list("blobs").is_some();
    (is_index || is_manifest || is_artifact).then(|| {
        parts
            .into_iter()
            .flat_map(|(links, kind)| links.iter().filter_map(move |link| Link::read(link, kind)))
            .collect()
    })
}
