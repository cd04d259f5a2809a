//! Copying an image from one place to another, its bytes unchanged.
//!
//! Everything goes through the store, where it is verified: a source brings a blob there ([`source`](crate::source)),
//! and a `Sink` takes it from there, unless it has the blob already; then nobody fetches it. Manifests follow when
//! all blobs are there, those that others name first, and the name comes last. `gather` finds out what an image
//! consists of.

mod archive;
mod error;
mod gather;
pub(crate) mod layout;
mod place;
mod registry;
mod stored;
mod tarball;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hash::Digest;
use oci::{Descriptor, Image, Platform};
use store::Store;

use crate::event::Report;
use crate::pull::{self, blobs};
use crate::source::{Origin, Source};

pub use error::Error;
pub use gather::DOCUMENTS_MAX;
pub use place::{Place, PlaceError};
pub(crate) use registry::send_file;

/// What the caller decides about a copy.
#[derive(Clone, Default)]
pub struct Options {
    /// How the source is read, and how many blobs are under way at once. The registry's options serve both ends.
    pub pull: pull::Options,
    /// Whether the index is copied with all that it names, rather than the image for one platform.
    pub all_platforms: bool,
}

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// The manifest or index that has the name now.
    pub root: Descriptor,
    /// How many manifests and indexes there are.
    pub manifests: usize,
    /// How many blobs there are, configs included.
    pub blobs: usize,
    /// Bytes of all of them as transferred.
    pub bytes: u64,
    /// How many of the blobs were there before.
    pub present: usize,
}

/// All that is copied. The documents are in the store.
pub(crate) struct Bundle {
    /// What gets the name.
    root: Descriptor,
    /// Manifests and indexes, each behind all that it names, the root last.
    documents: Vec<Descriptor>,
    /// Configs and layers, each once.
    blobs: Vec<Descriptor>,
    /// Those of the manifests that are images which can be read, with their platforms.
    images: Vec<Image>,
    /// Whether the root is an index.
    is_index: bool,
}

impl Bundle {
    /// What the image is for, by its own word; an index is for many.
    fn platform(&self) -> Option<Platform> {
        match &self.images[..] {
            [image] if !self.is_index => platform_of(image),
            _ => None,
        }
    }
}

/// What an image says that it is for.
pub(crate) fn platform_of(image: &Image) -> Option<Platform> {
    Some(image.config.platform.clone()).filter(Platform::is_stated)
}

/// Gives a blob of the store, into which it is brought first if it is not there.
type Bring<'a> = &'a dyn Fn() -> Result<store::Blob, Error>;

/// Where images go. Threads share it.
trait Sink: Sync {
    /// Makes sure that a blob is there. Says whether it was before; only if not, `bring` is called. Ends soon after
    /// `stop` says so.
    fn put(
        &self,
        blob: &Descriptor,
        bring: Bring<'_>,
        stop: &AtomicBool,
        report: Report<'_>,
    ) -> Result<bool, Error>;

    /// Writes the documents and the name; all blobs are there. Gives what has the name then.
    fn finish(self: Box<Self>, bundle: &Bundle, store: &Store) -> Result<Descriptor, Error>;
}

/// Copies an image. What it goes through stays in the store until that is cleaned up; where the destination is the
/// store, it gets a tag there.
pub fn copy(
    from: &Place,
    to: &Place,
    platform: &Platform,
    store: &Store,
    options: &Options,
    report: Report<'_>,
) -> Result<Copied, Error> {
    let source = from.source();
    let policy = if let Place::Store(_) = from { pull::Policy::Never } else { options.pull.policy };
    let pull_options = pull::Options { policy, ..options.pull.clone() };
    pull::with_retries(&pull_options, report, |pull_options| {
        let mut healed = BTreeSet::new();
        loop {
            let options = Options { pull: pull_options.clone(), ..options.clone() };
            let failure = match copy_once(&source, to, platform, store, &options, report) {
                Ok(copied) => return Ok(copied),
                Err(failure) => failure,
            };
            // A stored blob that has gone bad is fetched again, once.
            match failure.corrupt_blob() {
                Some(blob) if healed.insert(blob) && store.discard(&blob)? => report(pull::healing(&blob)),
                _ => return Err(failure),
            }
        }
    })
}

fn copy_once(
    source: &Source,
    to: &Place,
    platform: &Platform,
    store: &Store,
    options: &Options,
    report: Report<'_>,
) -> Result<Copied, Error> {
    // What cannot be a destination is refused before anything is fetched.
    let sink = open(to, source, store, options)?;
    let (bundle, origin) = gather::gather(source, platform, store, options, report)?;
    if !to.holds_indexes() && bundle.is_index {
        return Err(Error::OneImage { place: to.to_string() });
    }
    let (bytes, present) = (AtomicU64::new(0), AtomicU64::new(0));
    let opened = Mutex::new(origin);
    let blobs: Vec<&Descriptor> = bundle.blobs.iter().collect();
    let put = |blob: &Descriptor, stop: &AtomicBool| -> Result<(), Error> {
        let bring = || bring(blob, source, &opened, store, options, stop, report);
        let there = sink.put(blob, &bring, stop, report)?;
        bytes.fetch_add(blob.size, Ordering::Relaxed);
        present.fetch_add(there.into(), Ordering::Relaxed);
        Ok(())
    };
    let stop = AtomicBool::new(false);
    blobs::each(&blobs, options.pull.parallel, &stop, &put).map_err(|(error, blob)| error.about(blob))?;
    let root = sink.finish(&bundle, store)?;
    let documents: u64 = bundle.documents.iter().map(|document| document.size).sum();
    Ok(Copied {
        root,
        manifests: bundle.documents.len(),
        blobs: bundle.blobs.len(),
        bytes: bytes.into_inner() + documents,
        present: present.into_inner() as usize,
    })
}

/// An opened source, if it was opened; all threads that need it share it.
type Opened<'a> = Mutex<Option<Arc<dyn Origin + 'a>>>;

fn bring<'a>(
    blob: &Descriptor,
    source: &'a Source,
    opened: &Opened<'a>,
    store: &Store,
    options: &Options,
    stop: &AtomicBool,
    report: Report<'_>,
) -> Result<store::Blob, Error> {
    if !store.contains(&blob.digest, blob.size) {
        if let (Source::Registry(_), pull::Policy::Never) = (source, options.pull.policy) {
            return Err(store::Error::Missing { digest: blob.digest }.into());
        }
        let origin = {
            let mut opened = opened.lock().unwrap_or_else(PoisonError::into_inner);
            match &*opened {
                Some(origin) => origin.clone(),
                None => {
                    let origin = source.open(store.path(), &options.pull.registry)?;
                    opened.insert(origin.into()).clone()
                }
            }
        };
        blobs::fetch_one(&*origin, blob, store, stop, report)?;
    }
    Ok(store.open_blob(blob)?)
}

/// Opens a destination.
fn open<'a>(
    to: &'a Place,
    source: &Source,
    store: &Store,
    options: &Options,
) -> Result<Box<dyn Sink + 'a>, Error> {
    Ok(match to {
        Place::Store(reference) => Box::new(stored::ToStore { reference }),
        Place::Elsewhere(Source::Registry(reference)) => {
            let client = ::registry::Client::new(options.pull.registry.clone()).map_err(pull::Error::from)?;
            Box::new(registry::ToRegistry::new(client, reference, source))
        }
        Place::Elsewhere(Source::Layout { path, reference }) => {
            Box::new(layout::ToLayout::open(path, reference.as_deref(), Some(store))?)
        }
        Place::Elsewhere(Source::OciArchive { path, reference }) => {
            Box::new(archive::ToOciArchive::open(path, reference.as_deref())?)
        }
        Place::Elsewhere(Source::DockerArchive { path, reference }) => {
            Box::new(archive::ToDockerArchive::open(path, reference.as_deref())?)
        }
    })
}

/// The digest of a store's blob that cannot be what it was, if that is what an I/O error says.
fn mismatched(error: std::io::Error, digest: Digest) -> Result<store::Error, std::io::Error> {
    let mismatch = error.downcast::<hash::Mismatch>()?;
    Ok(store::Error::Corrupt { digest, mismatch })
}
