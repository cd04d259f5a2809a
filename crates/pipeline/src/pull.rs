//! Bringing an image into the store: its documents, its config, its layers, and last its tag.

pub(crate) mod blobs;

use std::io::ErrorKind;
use std::sync::{Arc, mpsc};
use std::thread;

use hash::Digest;
use oci::{Descriptor, Image, Platform, Reference};
use store::{Resolved, Store, Tag};

use crate::arrivals::Arrivals;
use crate::event::{Event, Report};
use crate::source::{self, Origin, Source};

/// How many blobs are fetched at once, if the caller does not say. More than this makes registries slow down
/// their answers rather than a line faster.
pub const PARALLEL: usize = 4;

/// What the caller decides about a pull.
#[derive(Clone)]
pub struct Options {
    /// When to ask the registry.
    pub policy: Policy,
    /// Whether an image is taken that says to be for another platform.
    pub any_platform: bool,
    /// How many blobs are fetched at once.
    pub parallel: usize,
    /// How to speak to registries. Unless it says itself what to do about retries, they become events.
    pub registry: registry::Options,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            policy: Policy::Missing,
            any_platform: false,
            parallel: PARALLEL,
            registry: registry::Options::default(),
        }
    }
}

/// When to ask the registry for an image that is named by a tag. What is named by a digest cannot change, and
/// is asked for only if the store does not have it. Layouts and archives are at hand, and always asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// If the store does not have the image.
    Missing,
    /// Always, so that a moved tag is noticed.
    Always,
    /// Never.
    Never,
}

/// Why an image could not be brought into the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A layout or an archive cannot be read.
    #[error("{0}")]
    Source(#[from] source::Error),
    /// A registry did not give it.
    #[error("{0}")]
    Registry(#[from] registry::Error),
    /// The store failed.
    #[error("{0}")]
    Store(#[from] store::Error),
    /// The image cannot be used, or not on the platform.
    #[error("cannot use {name}")]
    Image {
        /// Which image.
        name: String,
        /// What is wrong with it.
        #[source]
        fault: oci::Error,
    },
    /// A layer that came makes no sense, and nobody wants the others.
    #[error("nobody wants the rest of the image")]
    Unwanted,
    /// A layer could not be fetched.
    #[error("cannot fetch layer {} ({blob})", number + 1)]
    Layer {
        /// Number of the layer, from 0.
        number: usize,
        /// Its blob.
        blob: Digest,
        /// Why.
        #[source]
        cause: Box<Error>,
    },
    /// It is not in the store, and the registry is not to be asked.
    #[error("{reference} is not in the store for {platform}, and the registry is not to be asked")]
    NotInStore {
        /// The image.
        reference: Reference,
        /// The platform.
        platform: Platform,
    },
}

/// Brings an image into the store, whole.
///
/// What comes from a registry is tagged there with its full name. What comes from a layout or an archive is
/// not: its names are those of whoever made it, and it is at hand to be named again.
pub fn pull(
    source: &Source,
    platform: &Platform,
    store: &Store,
    options: &Options,
    report: Report<'_>,
) -> Result<Image, Error> {
    pull_unless(source, platform, store, options, report, |_| false)
}

/// As [`pull`], but if the image's documents are enough, no layer is fetched and no tag is given.
pub fn pull_unless(
    source: &Source,
    platform: &Platform,
    store: &Store,
    options: &Options,
    report: Report<'_>,
    enough: impl FnOnce(&Image) -> bool,
) -> Result<Image, Error> {
    pull_telling(source, platform, store, options, report, (enough, &Arrivals::awaited()))
}

/// As [`pull_unless`]. `arrivals` is told what of the image is there.
pub(crate) fn pull_telling(
    source: &Source,
    platform: &Platform,
    store: &Store,
    options: &Options,
    report: Report<'_>,
    (enough, arrivals): (impl FnOnce(&Image) -> bool, &Arrivals),
) -> Result<Image, Error> {
    with_retries(options, report, |options| {
        let found = find(source, platform, store, options, report)?;
        if enough(&found.image) {
            return Ok(found.image);
        }
        complete(&found, source, store, options, (arrivals, report))?;
        if let Source::Registry(reference) = source {
            tag(reference, &found, store)?;
        }
        store.touch(&found.image.descriptor.digest);
        Ok(found.image)
    })
}

/// Fetches again what the store lacks of the image that a tag names, from where the tag's name says.
pub fn refetch(tag: &Tag, store: &Store, options: &Options, report: Report<'_>) -> Result<(), Error> {
    let source = Source::Registry(tag.reference.with_digest(tag.descriptor.digest));
    let platform = tag.descriptor.platform.clone().unwrap_or_else(Platform::host);
    // It was taken once, whatever it is for.
    let options = Options { policy: Policy::Missing, any_platform: true, ..options.clone() };
    with_retries(&options, report, |options| {
        let found = find(&source, &platform, store, options, report)?;
        complete(&found, &source, store, options, (&Arrivals::awaited(), report))
    })
}

/// Brings in what the store lacks of an image.
fn complete(
    found: &Found<'_>,
    source: &Source,
    store: &Store,
    options: &Options,
    (arrivals, report): (&Arrivals, Report<'_>),
) -> Result<(), Error> {
    let image = &found.image;
    report(Event::Resolved {
        manifest: image.descriptor.digest,
        layers: image.manifest.layers.len(),
        bytes: image.size(),
    });
    // Each blob once, however often the image has it.
    let missing = store.missing(image);
    arrivals.resolved(image, &missing);
    if missing.is_empty() {
        return Ok(());
    }
    let opened;
    let origin = match &found.origin {
        Some(origin) => origin.as_ref(),
        None => {
            opened = source.open(store.path(), &options.registry)?;
            opened.as_ref()
        }
    };
    blobs::fetch(origin, (image, &missing), store, options.parallel, arrivals, report)
}

/// Finds an image and brings its documents into the store, but none of its layers, and no tag.
pub fn resolve(
    source: &Source,
    platform: &Platform,
    store: &Store,
    options: &Options,
    report: Report<'_>,
) -> Result<Image, Error> {
    with_retries(options, report, |options| {
        find(source, platform, store, options, report).map(|found| found.image)
    })
}

/// An image of which the documents are in the store.
pub(crate) struct Found<'a> {
    pub(crate) image: Image,
    /// The index that it was chosen from.
    pub(crate) index: Option<Digest>,
    /// Where it was found, unless that was the store.
    pub(crate) origin: Option<Box<dyn Origin + 'a>>,
}

pub(crate) fn find<'a>(
    source: &'a Source,
    platform: &Platform,
    store: &Store,
    options: &Options,
    report: Report<'_>,
) -> Result<Found<'a>, Error> {
    if let Source::Registry(reference) = source
        && (options.policy != Policy::Always || reference.digest().is_some())
    {
        let image = in_store(reference, platform, store, options, report)?;
        // Without its layers it is only half of what "never" allows; the others fetch the rest.
        let enough = |image: &Image| options.policy != Policy::Never || store.missing(image).is_empty();
        // A tag that another tool wrote may not say for which platform it is: the registry may have more.
        let final_answer = reference.digest().is_some() || options.any_platform;
        let fits = |image: &Image| final_answer || image.check_platform(platform).is_ok();
        if let Some(image) = image.filter(enough).filter(fits) {
            check_platform(&image, source, platform, options)?;
            return Ok(Found { image, index: None, origin: None });
        }
        if options.policy == Policy::Never {
            let (reference, platform) = (reference.clone(), platform.clone());
            return Err(Error::NotInStore { reference, platform });
        }
    }
    let origin = source.open(store.path(), &options.registry)?;
    let fault = |fault| Error::Image { name: source.to_string(), fault };
    let refused = |refused| match refused {
        Refused::Here(error) => error,
        Refused::Document(error) => fault(error),
    };
    let root = origin.root(platform)?;
    let mut fetch = |descriptor: &Descriptor| document(descriptor, origin.as_ref(), store, report);
    let resolved = store::resolve(root, platform, &mut fetch).map_err(refused)?;
    let Resolved { descriptor, manifest, index } = resolved;
    Image::check_kind(&manifest).map_err(fault)?;
    let config = fetch(&manifest.config).map_err(refused)?;
    let image = Image::new(descriptor, manifest, &config).map_err(fault)?;
    check_platform(&image, source, platform, options)?;
    Ok(Found { image, index, origin: Some(origin) })
}

/// Tells errors of documents apart from errors on the way to them.
pub(crate) enum Refused {
    Here(Error),
    Document(oci::Error),
}

impl From<oci::Error> for Refused {
    fn from(error: oci::Error) -> Refused {
        Refused::Document(error)
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Refused {
        Refused::Here(error)
    }
}

impl From<store::Error> for Refused {
    fn from(error: store::Error) -> Refused {
        match error {
            store::Error::Document(fault) => Refused::Document(fault),
            error => Refused::Here(error.into()),
        }
    }
}

/// Looks an image up in the store. A document that went bad there is taken away, and counts as not there.
fn in_store(
    reference: &Reference,
    platform: &Platform,
    store: &Store,
    options: &Options,
    report: Report<'_>,
) -> Result<Option<Image>, Error> {
    loop {
        let found = store.image(reference, platform).and_then(|found| match found {
            None if options.any_platform => any_platform(reference, platform, store),
            found => Ok(found),
        });
        match found {
            Ok(found) => return Ok(found),
            Err(store::Error::Document(fault)) => {
                return Err(Error::Image { name: reference.to_string(), fault });
            }
            Err(error) => match error.corrupt_blob() {
                Some(digest) if store.discard(&digest)? => report(healing(&digest)),
                _ => return Err(error.into()),
            },
        }
    }
}

/// The image that a tag names, whatever it is for, if there is no other of that name.
fn any_platform(
    reference: &Reference,
    platform: &Platform,
    store: &Store,
) -> Result<Option<Image>, store::Error> {
    let mut named = store.tags()?;
    named.retain(|tag| tag.reference == *reference);
    match &named[..] {
        [only] => store.image(&reference.with_digest(only.descriptor.digest), platform),
        _ => Ok(None),
    }
}

/// A document out of the store, into which it is brought first if it is not there.
pub(crate) fn document(
    descriptor: &Descriptor,
    origin: &dyn Origin,
    store: &Store,
    report: Report<'_>,
) -> Result<Vec<u8>, Refused> {
    match store.document(descriptor) {
        Ok(bytes) => return Ok(bytes),
        Err(store::Error::Missing { .. } | store::Error::NotAFile { .. }) => {}
        Err(error @ store::Error::Corrupt { .. }) => {
            // It may be the descriptor that is wrong, too: then its origin has something to say about it.
            let corrupt = error.corrupt_blob().map_or(Ok(false), |digest| store.discard(&digest))?;
            if corrupt {
                report(healing(&descriptor.digest));
            }
        }
        Err(error) => return Err(error.into()),
    }
    let bytes = origin.document(descriptor)?;
    store.put_document(&descriptor.digest, &bytes)?;
    Ok(bytes)
}

pub(crate) fn healing(digest: &Digest) -> Event {
    Event::Retry { message: format!("blob {digest} in the store is corrupt, and is fetched again") }
}

fn check_platform(
    image: &Image,
    source: &Source,
    platform: &Platform,
    options: &Options,
) -> Result<(), Error> {
    if options.any_platform {
        return Ok(());
    }
    image.check_platform(platform).map_err(|fault| Error::Image { name: source.to_string(), fault })
}

/// Lets the name have the image. One that was found in the store by its digest may have been put there under
/// another name, or by who only looked at it.
fn tag(reference: &Reference, found: &Found<'_>, store: &Store) -> Result<(), Error> {
    let (image, here) = (&found.image, found.origin.is_none());
    let index = match reference.digest() {
        None if here => return Ok(()),
        Some(digest) if *digest != image.descriptor.digest => Some(*digest),
        _ => found.index,
    };
    match store.tag(reference, tagged(image), index.as_ref()) {
        // A store that is only for reading has the image all the same.
        Err(store::Error::Io { source, .. })
            if here
                && matches!(source.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) =>
        {
            Ok(())
        }
        done => Ok(done?),
    }
}

/// What a tag says of an image: the index knows best for what it is, else the image itself.
pub(crate) fn tagged(image: &Image) -> Descriptor {
    let mut descriptor = image.descriptor.clone();
    let own = Some(image.config.platform.clone());
    descriptor.platform = descriptor.platform.filter(Platform::is_stated).or(own.filter(Platform::is_stated));
    descriptor
}

/// Runs `work` with retries of the registry told as events. They come from wherever the client is used, and
/// must not borrow anything, so they take the way through a thread.
pub(crate) fn with_retries<T, E>(
    options: &Options,
    report: Report<'_>,
    work: impl FnOnce(&Options) -> Result<T, E>,
) -> Result<T, E> {
    if options.registry.on_retry.is_some() {
        return work(options);
    }
    thread::scope(|scope| {
        let (sender, messages) = mpsc::channel();
        scope.spawn(move || messages.into_iter().for_each(|message| report(Event::Retry { message })));
        let mut options = options.clone();
        options.registry.on_retry = Some(Arc::new(move |retry: &registry::Retry<'_>| {
            let wait = retry.wait.as_secs_f32();
            let _ = sender.send(match retry.elsewhere {
                Some(host) => format!("{}; asking {host} instead", retry.error),
                None => format!("{}; trying again in {wait:.1} s", retry.error),
            });
        }));
        // The thread ends with the last client, which ends with the work, and with these options.
        let done = work(&options);
        drop(options);
        done
    })
}
