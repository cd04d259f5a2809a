//! What an image consists of: one manifest and its blobs, or an index and everything below it.

use std::collections::BTreeSet;
use std::sync::Arc;

use hash::Digest;
use oci::{Descriptor, Document, Image, MediaType, Platform, Reference};
use store::{INDEX_DEPTH_MAX, Store};

use super::{Bundle, Error, Options};
use crate::event::{Event, Report};
use crate::pull::{self, Found, Refused};
use crate::source::{Origin, Source};

/// How many manifests and indexes an index may lead to: the largest in use have a few hundred.
pub const DOCUMENTS_MAX: usize = 4_096;

type Opened<'a> = Option<Arc<dyn Origin + 'a>>;

/// Finds an image, brings its documents into the store, and lists what it consists of.
pub(super) fn gather<'a>(
    source: &'a Source,
    platform: &Platform,
    store: &Store,
    options: &Options,
    report: Report<'_>,
) -> Result<(Bundle, Opened<'a>), Error> {
    let (bundle, origin) = if options.all_platforms {
        everything(source, platform, store, options, report)?
    } else {
        let Found { image, origin, .. } = pull::find(source, platform, store, &options.pull, report)?;
        (one(image), origin.map(Arc::from))
    };
    report(Event::Resolved {
        manifest: bundle.root.digest,
        layers: bundle.images.iter().map(|image| image.manifest.layers.len()).sum(),
        bytes: bundle.blobs.iter().fold(0, |sum, blob| blob.size.saturating_add(sum)),
    });
    Ok((bundle, origin))
}

fn one(image: Image) -> Bundle {
    let mut bundle = Bundle {
        root: image.descriptor.clone(),
        documents: vec![image.descriptor.clone()],
        blobs: Vec::new(),
        images: Vec::new(),
        is_index: false,
    };
    for blob in std::iter::once(&image.manifest.config).chain(&image.manifest.layers) {
        if !bundle.blobs.iter().any(|known| known.digest == blob.digest) {
            bundle.blobs.push(blob.clone());
        }
    }
    bundle.images.push(image);
    bundle
}

fn everything<'a>(
    source: &'a Source,
    platform: &Platform,
    store: &Store,
    options: &Options,
    report: Report<'_>,
) -> Result<(Bundle, Opened<'a>), Error> {
    let (root, origin) = match source {
        Source::Registry(reference) if options.pull.policy == pull::Policy::Never => {
            let missing =
                || pull::Error::NotInStore { reference: reference.clone(), platform: platform.clone() };
            (root_in_store(reference, store)?.ok_or_else(missing)?, None)
        }
        _ => {
            let origin = source.open(store.path(), &options.pull.registry)?;
            (origin.root(platform)?, Some(Arc::from(origin)))
        }
    };
    let mut gathering = Gathering {
        source,
        origin: origin.clone(),
        store,
        report,
        bundle: Bundle {
            root: root.clone(),
            documents: Vec::new(),
            blobs: Vec::new(),
            images: Vec::new(),
            is_index: false,
        },
        documents: BTreeSet::new(),
        blobs: BTreeSet::new(),
    };
    gathering.visit(root, 0)?;
    let mut bundle = gathering.bundle;
    if let Some(root) = bundle.documents.last() {
        bundle.root = root.clone();
    }
    bundle.is_index = matches!(bundle.root.media_type, MediaType::Index(_));
    Ok((bundle, origin))
}

/// The index that all images of a tag were chosen from, or the only image.
fn root_in_store(reference: &Reference, store: &Store) -> Result<Option<Descriptor>, Error> {
    let describe = |digest: &Digest| {
        let size = std::fs::metadata(store.blob_path(digest)).map_or(0, |found| found.len());
        Descriptor::new(MediaType::Other(String::new()), *digest, size)
    };
    if let Some(digest) = reference.digest() {
        return Ok(Some(describe(digest)));
    }
    let mut tags = store.tags()?;
    tags.retain(|tag| tag.reference == *reference);
    let Some(first) = tags.first() else { return Ok(None) };
    if tags.iter().any(|tag| tag.index != first.index) || (first.index.is_none() && tags.len() > 1) {
        return Err(Error::SeveralIndexes { reference: reference.clone() });
    }
    Ok(Some(first.index.as_ref().map_or_else(|| first.descriptor.clone(), describe)))
}

struct Gathering<'a, 's> {
    source: &'a Source,
    origin: Opened<'a>,
    store: &'s Store,
    report: Report<'s>,
    bundle: Bundle,
    documents: BTreeSet<Digest>,
    blobs: BTreeSet<Digest>,
}

impl Gathering<'_, '_> {
    fn visit(&mut self, mut descriptor: Descriptor, depth: usize) -> Result<(), Error> {
        if !self.documents.insert(descriptor.digest) {
            return Ok(());
        }
        if self.documents.len() > DOCUMENTS_MAX {
            let said = format!("it has more than {DOCUMENTS_MAX} manifests");
            return Err(self.refused(oci::Error::Unsupported(said)));
        }
        let bytes = self.document(&descriptor)?;
        let document =
            Document::parse(&bytes, Some(&descriptor.media_type)).map_err(|fault| self.refused(fault))?;
        descriptor.media_type = document.media_type(&descriptor.media_type);
        match document {
            Document::Index(_) if depth == INDEX_DEPTH_MAX => {
                let (digest, limit) = (descriptor.digest, INDEX_DEPTH_MAX);
                return Err(self.refused(oci::Error::TooDeep { digest, limit }));
            }
            Document::Index(index) => {
                for entry in index.manifests {
                    self.visit(entry, depth + 1)?;
                }
            }
            Document::Manifest(manifest) => {
                for blob in std::iter::once(&manifest.config).chain(&manifest.layers) {
                    // No registry has those: they are for who may have them from elsewhere.
                    let foreign = matches!(blob.media_type, MediaType::ForeignLayer(..));
                    if !foreign && self.blobs.insert(blob.digest) {
                        self.bundle.blobs.push(blob.clone());
                    }
                }
                let stated = descriptor.platform.as_ref().is_none_or(Platform::is_stated);
                let unknown = descriptor.platform.as_ref().is_some_and(|platform| platform.os == "unknown");
                if stated && !unknown && Image::check_kind(&manifest).is_ok() {
                    let config = self.document(&manifest.config)?;
                    // What cannot be used as an image can be copied all the same.
                    self.bundle.images.extend(Image::new(descriptor.clone(), *manifest, &config));
                }
            }
        }
        self.bundle.documents.push(descriptor);
        Ok(())
    }

    /// A document out of the store, into which it is brought first.
    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
        match &self.origin {
            Some(origin) => pull::document(descriptor, &**origin, self.store, self.report).map_err(
                |refused| match refused {
                    Refused::Here(error) => error.into(),
                    Refused::Document(fault) => self.refused(fault),
                },
            ),
            None => Ok(self.store.document(descriptor)?),
        }
    }

    fn refused(&self, fault: oci::Error) -> Error {
        pull::Error::Image { name: self.source.to_string(), fault }.into()
    }
}
