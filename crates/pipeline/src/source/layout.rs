//! A directory that is an OCI image layout.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use hash::Mismatch;
use oci::{Descriptor, Platform};
use store::Store;

use super::listing::{FILE_MAX, INDEX_FILE, LAYOUT_FILE, Listing};
use super::{Error, Origin, Progress};
use crate::pull;

/// An open layout.
pub(super) struct Layout {
    path: PathBuf,
    listing: Listing,
}

impl Layout {
    /// Reads what is in a layout.
    pub(super) fn open(path: &Path, chosen: Option<&str>) -> Result<Layout, Error> {
        let read = |file: &'static str| match read_file(&path.join(file), FILE_MAX) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound && path.is_dir() => {
                Err(Error::Kind { path: path.into(), what: "an OCI image layout", file })
            }
            // What is wrong is wrong with the directory.
            Err(Error::Io { source, .. }) if !path.is_dir() => Err(Error::Io { path: path.into(), source }),
            read => read,
        };
        let (marker, index) = (read(LAYOUT_FILE)?, read(INDEX_FILE)?);
        let listing = Listing::read(path, &marker, &index, chosen)?;
        Ok(Layout { path: path.into(), listing })
    }

    fn open_blob(&self, descriptor: &Descriptor) -> Result<File, Error> {
        let digest = descriptor.digest;
        // A digest has nothing but hexadecimal digits, so this leads nowhere else.
        let path = self.path.join("blobs").join(digest.algorithm().name()).join(digest.hex());
        let file = match open_regular(&path) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Err(Error::MissingBlob { path: self.path.clone(), digest });
            }
            opened => opened?,
        };
        let (found, expected) = (file.metadata().map_err(Error::io(&path))?.len(), descriptor.size);
        if found < expected {
            return Err(self.mismatch(Mismatch::Short { digest, expected, found }, descriptor));
        }
        if found > expected {
            return Err(self.mismatch(Mismatch::Long { digest, expected }, descriptor));
        }
        Ok(file)
    }

    fn mismatch(&self, mismatch: Mismatch, descriptor: &Descriptor) -> Error {
        Error::Mismatch { path: self.path.clone(), digest: descriptor.digest, mismatch }
    }
}

impl Origin for Layout {
    fn root(&self, platform: &Platform) -> Result<Descriptor, pull::Error> {
        self.listing.root(platform)
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, pull::Error> {
        let mut bytes = Vec::new();
        let mut file = self.open_blob(descriptor)?;
        file.read_to_end(&mut bytes).map_err(Error::io(&self.path))?;
        hash::verify(&bytes, &descriptor.digest, Some(descriptor.size))
            .map_err(|mismatch| self.mismatch(mismatch, descriptor))?;
        Ok(bytes)
    }

    fn put(&self, descriptor: &Descriptor, store: &Store, progress: Progress<'_>) -> Result<(), pull::Error> {
        let file = self.open_blob(descriptor)?;
        store.put_file(descriptor, &file, 0, progress).map_err(|error| match error {
            store::Error::Mismatch(mismatch) => self.mismatch(mismatch, descriptor).into(),
            store::Error::Fetch { source, .. } => Error::io(&self.path)(source).into(),
            error => error.into(),
        })
    }
}

/// Opens a regular file. No symlink is followed: a layout is somebody else's, and what it says of its own
/// files is no reason to read others. A pipe is not waited for.
pub(crate) fn open_regular(path: &Path) -> Result<File, Error> {
    let opened = host::open_regular(path).map_err(Error::io(path))?;
    opened.ok_or_else(|| Error::NotAFile { path: path.into() })
}

/// Reads a small file, and of a large one a byte more than the limit, for whoever parses it to refuse.
pub(crate) fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    open_regular(path)?.take(limit + 1).read_to_end(&mut bytes).map_err(Error::io(path))?;
    Ok(bytes)
}
