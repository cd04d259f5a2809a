//! A tarball of an OCI image layout.

use std::path::Path;

use hash::{Digest, Mismatch};
use oci::{Descriptor, Platform};
use store::Store;

use super::archive::{Archive, Extent};
use super::listing::{FILE_MAX, INDEX_FILE, LAYOUT_FILE, Listing};
use super::{Error, Origin, Progress};
use crate::pull;

const WHAT: &str = "an OCI archive";

/// An open archive.
pub(super) struct OciArchive {
    archive: Archive,
    listing: Listing,
}

impl OciArchive {
    /// Lists what is in an archive.
    pub(super) fn open(path: &Path, chosen: Option<&str>, scratch: &Path) -> Result<OciArchive, Error> {
        let archive = Archive::open(path, scratch)?;
        if !archive.has(LAYOUT_FILE) && archive.has("manifest.json") {
            let hint = "it looks like one of docker save: docker-archive: reads those";
            return Err(Error::OtherKind { path: path.into(), what: WHAT, hint });
        }
        let read = |file| {
            if archive.has(file) {
                archive.read(file, FILE_MAX)
            } else {
                Err(Error::Kind { path: path.into(), what: WHAT, file })
            }
        };
        let (marker, index) = (read(LAYOUT_FILE)?, read(INDEX_FILE)?);
        let listing = Listing::read(path, &marker, &index, chosen)?;
        Ok(OciArchive { archive, listing })
    }

    fn find(&self, descriptor: &Descriptor) -> Result<Extent, Error> {
        let digest = descriptor.digest;
        let found = self.archive.find(&blob_name(&digest)).map_err(|error| match error {
            Error::MissingFile { path, .. } => Error::MissingBlob { path, digest },
            error => error,
        })?;
        check_size(&self.archive, found, descriptor)?;
        Ok(found)
    }
}

impl Origin for OciArchive {
    fn root(&self, platform: &Platform) -> Result<Descriptor, pull::Error> {
        self.listing.root(platform)
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, pull::Error> {
        let bytes = self.archive.read_extent(self.find(descriptor)?)?;
        hash::verify(&bytes, &descriptor.digest, Some(descriptor.size))
            .map_err(|mismatch| wrong(&self.archive, descriptor, mismatch))?;
        Ok(bytes)
    }

    fn put(&self, descriptor: &Descriptor, store: &Store, progress: Progress<'_>) -> Result<(), pull::Error> {
        put(&self.archive, self.find(descriptor)?, descriptor, store, progress)
    }
}

/// The name of a blob in a layout.
pub(crate) fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().name(), digest.hex())
}

/// Brings a part of an archive into a store.
pub(super) fn put(
    archive: &Archive,
    extent: Extent,
    descriptor: &Descriptor,
    store: &Store,
    progress: Progress<'_>,
) -> Result<(), pull::Error> {
    store.put_file(descriptor, &archive.file, extent.offset, progress).map_err(|error| match error {
        store::Error::Mismatch(mismatch) => wrong(archive, descriptor, mismatch).into(),
        store::Error::Fetch { source, .. } => Error::io(&archive.path)(source).into(),
        error => error.into(),
    })
}

fn check_size(archive: &Archive, extent: Extent, descriptor: &Descriptor) -> Result<(), Error> {
    let (digest, expected, found) = (descriptor.digest, descriptor.size, extent.size);
    if found < expected {
        return Err(wrong(archive, descriptor, Mismatch::Short { digest, expected, found }));
    }
    if found > expected {
        return Err(wrong(archive, descriptor, Mismatch::Long { digest, expected }));
    }
    Ok(())
}

fn wrong(archive: &Archive, descriptor: &Descriptor, mismatch: Mismatch) -> Error {
    Error::Mismatch { path: archive.path.clone(), digest: descriptor.digest, mismatch }
}
