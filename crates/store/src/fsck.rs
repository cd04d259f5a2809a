//! Checking a store: is every blob what its name says, and does every tag lead to all that it needs?
//!
//! First the list of tags and the documents, which take no time, with sweeps kept away; then the bytes of all blobs,
//! in parallel. What other processes add meanwhile is not looked at, and what they remove is no finding. What killed
//! processes leave behind is a note: it harms nothing, and the next sweep removes it.

mod bytes;
mod finding;
mod own;
mod repair;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;

use hash::Digest;
use oci::{Descriptor, Platform};

use crate::error::Error;
use crate::format::Listing;
use crate::open::Store;
use crate::reach::{Documents, Fault, Root};

pub use finding::{Finding, Fix, Severity};

/// How much is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Every byte of every blob.
    Bytes,
    /// Documents; of the other blobs only that they are there and how long they are.
    References,
}

/// What the caller decides.
pub struct Options<'a> {
    /// How much is looked at.
    pub depth: Depth,
    /// Whether bytes are an outline; what that is, the store does not know.
    pub is_outline: &'a (dyn Fn(&[u8]) -> bool + Sync),
    /// Whether a file is a remembered rootfs and whole, at a depth; what that is, the store does not know either.
    pub is_rootfs: &'a (dyn Fn(&File, Depth) -> bool + Sync),
    /// Blobs whose bytes were read just before: they need not be read once more.
    pub verified: &'a BTreeSet<Digest>,
    /// Is told how many bytes of blobs were read, and how many there are. Called by several threads.
    pub progress: &'a (dyn Fn(u64, u64) + Sync),
}

/// What was seen.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// What is wrong or odd, the worst first.
    pub findings: Vec<Finding>,
    /// How many blobs there are.
    pub blobs: usize,
    /// Their bytes.
    pub bytes: u64,
    /// The blobs whose bytes were read and are right.
    pub verified: BTreeSet<Digest>,
    /// How many blobs no tag leads to.
    pub unneeded_blobs: usize,
    /// Their bytes.
    pub unneeded_bytes: u64,
    /// How many rootfs are remembered.
    pub rootfs: usize,
    /// Bytes that they take on the disk.
    pub rootfs_bytes: u64,
}

impl Report {
    /// Whether there is nothing but notes.
    pub fn is_clean(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity() == Severity::Note)
    }
}

/// A store to be checked, that may be too broken to be opened.
#[derive(Debug)]
pub struct Checked {
    store: Store,
}

/// What is known of a blob that some tag leads to.
#[derive(Debug, Default)]
struct Needed {
    /// Bytes that it is said to have.
    size: Option<u64>,
    /// The tags.
    names: BTreeSet<String>,
}

impl Checked {
    /// A directory that is, or once was, a store. Nothing in it is changed.
    ///
    /// # Errors
    ///
    /// [`Error::NotAStore`] if it has other things in it; [`Error::Io`] if it cannot be read.
    pub fn new(path: &Path) -> Result<Checked, Error> {
        let store = Store::unchecked(path, None);
        if !store.paths.layout().exists() {
            store.check_unused()?;
        }
        Ok(Checked { store })
    }

    /// Checks everything.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the directories cannot be read. What is wrong with what is in them is a finding.
    pub fn check(&self, options: &Options<'_>) -> Result<Report, Error> {
        let store = &self.store;
        let mut findings = Vec::new();
        let mut documents = Documents::default();
        let shared = store.share_sweep_lock();
        let needed = self.check_tags(&mut documents, &mut findings);
        bytes::check_names(store, &mut findings)?;
        own::check(store, options.is_outline, &mut findings)?;
        let (blobs, rootfs) = (store.blobs()?, store.all_rootfs()?);
        drop(shared);
        // Last: whoever sees what is in a store that is just being made sees its mark as well.
        self.check_layout(&blobs, &mut findings);

        let rootfs_bytes = rootfs.iter().map(|rootfs| rootfs.bytes).sum();
        let mut report =
            Report { blobs: blobs.len(), rootfs: rootfs.len(), rootfs_bytes, ..Report::default() };
        own::check_rootfs(store, rootfs, options, &mut findings);
        for (digest, size) in &blobs {
            report.bytes += size;
            if !needed.contains_key(digest) {
                report.unneeded_blobs += 1;
                report.unneeded_bytes += size;
            }
        }
        let unread: Vec<_> = blobs.into_iter().filter(|(digest, _)| !documents.is_verified(digest)).collect();
        // A document that is corrupt was read to its end as well, and is a finding already.
        let known: BTreeSet<Digest> = findings.iter().filter_map(Finding::broken_blob).collect();
        let unread = unread.into_iter().filter(|(digest, _)| !known.contains(digest)).collect();
        findings.extend(bytes::check(store, unread, &needed, options, &mut report.verified));
        findings.sort_by_key(|finding| (finding.severity(), finding.code(), finding.to_string()));
        findings.dedup();
        report.findings = findings;
        Ok(report)
    }

    fn check_layout(&self, blobs: &[(Digest, u64)], findings: &mut Vec<Finding>) {
        let is_empty =
            || blobs.is_empty() && self.store.read_index().is_ok_and(|listing| listing.raw().is_empty());
        match self.store.check_layout() {
            Ok(true) => {}
            // Nothing was ever in it: whoever was making it was killed, or is about to mark it.
            Ok(false) if is_empty() => {}
            Ok(false) => findings.push(Finding::NoLayout),
            Err(error) => findings.push(Finding::BadLayout { cause: finding::chain(&error) }),
        }
    }

    /// Follows all tags. Gives all blobs that they lead to.
    fn check_tags(&self, documents: &mut Documents, findings: &mut Vec<Finding>) -> BTreeMap<Digest, Needed> {
        let mut needed: BTreeMap<Digest, Needed> = BTreeMap::new();
        let listing = match self.store.read_index() {
            Ok(listing) => listing,
            Err(error) => {
                findings.push(Finding::BadIndex { cause: finding::chain(&error) });
                return needed;
            }
        };
        check_entries(&listing, findings);
        let roots = listing.raw().iter().enumerate();
        for root in roots.filter_map(|(number, entry)| Root::read(number, entry)) {
            self.check_root(&root, documents, findings, &mut needed);
        }
        // Said once for all tags, and not for each.
        for finding in findings.iter_mut() {
            if let (Some(digest), Some(names)) = (finding.digest(), finding.names_mut())
                && let Some(needed) = needed.get(&digest)
            {
                names.clone_from(&needed.names);
            }
        }
        needed
    }

    fn check_root(
        &self,
        root: &Root,
        documents: &mut Documents,
        findings: &mut Vec<Finding>,
        needed: &mut BTreeMap<Digest, Needed>,
    ) {
        let store = &self.store;
        let names = || BTreeSet::from([root.name.clone()]);
        let mut wanted = Vec::new();
        let seen = |link: &crate::reach::Link| wanted.push((link.digest, link.size));
        documents.walk(store, &root.link, seen, |link, fault| {
            let digest = link.digest;
            findings.push(match fault {
                Fault::Missing => Finding::Missing { digest, names: names() },
                Fault::Corrupt(mismatch) => {
                    Finding::Corrupt { digest, mismatch: mismatch.clone(), names: names() }
                }
                Fault::NotAFile => Finding::NotAFile { digest, path: store.paths.blob(&digest) },
                Fault::Unreadable(cause) => Finding::Unreadable { digest, cause: cause.clone() },
                Fault::Unusable(cause) => Finding::Unusable { digest, cause: cause.clone(), names: names() },
            });
        });
        for (digest, size) in wanted {
            match (fs::symlink_metadata(store.paths.blob(&digest)), size) {
                (Err(error), _) if error.kind() == std::io::ErrorKind::NotFound => {
                    findings.push(Finding::Missing { digest, names: names() });
                }
                // The others are compared when their bytes are.
                (Ok(file), Some(stated)) if documents.is_verified(&digest) && file.len() != stated => {
                    findings.push(Finding::WrongSize { digest, stated, found: file.len(), names: names() });
                }
                _ => {}
            }
            let entry = needed.entry(digest).or_default();
            entry.size = entry.size.or(size);
            entry.names.insert(root.name.clone());
        }
        // Where an image came from is nice to know; without it, it builds as well.
        if let Some(index) = root.index {
            needed.entry(index).or_default().names.insert(root.name.clone());
        }
    }
}

/// Looks for entries that nobody can use.
fn check_entries(listing: &Listing, findings: &mut Vec<Finding>) {
    let mut known: Vec<(String, Option<Platform>)> = Vec::new();
    for (number, entry) in listing.raw().iter().enumerate() {
        let descriptor = match serde_json::from_value::<Descriptor>(entry.clone()) {
            Ok(descriptor) => descriptor,
            Err(error) => {
                findings.push(Finding::BadEntry { number, cause: error.to_string() });
                continue;
            }
        };
        let Some(name) = descriptor.annotations.get(Descriptor::REF_NAME) else { continue };
        let platform = descriptor.platform.filter(Platform::is_stated);
        let same = |(other, of): &(String, Option<Platform>)| {
            other == name
                && match (of, &platform) {
                    (Some(one), Some(two)) => one.is_same(two),
                    (None, None) => true,
                    _ => false,
                }
        };
        if known.iter().any(same) {
            findings.push(Finding::TagTwice { number, name: name.clone() });
        }
        known.push((name.clone(), platform));
    }
}
