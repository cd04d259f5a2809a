//! Blobs: reading those that are there. How they come in stands in `put`.

mod part;
mod put;
mod stream;

use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::PathBuf;

use hash::{Digest, Hasher, Mismatch, Verifier};
use oci::{DOCUMENT_MAX, Descriptor};

use crate::error::Error;
use crate::open::Store;
use part::Part;

/// An open blob of the right size. Its bytes are not verified yet.
#[derive(Debug)]
pub struct Blob {
    file: File,
    digest: Digest,
    size: u64,
}

impl Blob {
    /// A reader that fails at its end unless the bytes have the right digest.
    pub fn verify(self) -> Verifier<File> {
        Verifier::new(self.file, self.digest, Some(self.size))
    }

    /// The file, for whoever verifies by other means.
    pub fn into_inner(self) -> File {
        self.file
    }
}

impl Store {
    /// Whether a blob of this size is there. Its bytes are not looked at. If it is, no sweep takes it away
    /// while this object lives, and so it is for all that is opened or read through it.
    pub fn contains(&self, digest: &Digest, size: u64) -> bool {
        self.hold(digest);
        let found = fs::symlink_metadata(self.paths.blob(digest));
        found.is_ok_and(|found| found.is_file() && found.len() == size)
    }

    /// Whether this very object put the blob in, and so checked all of its bytes moments ago.
    pub fn is_fresh(&self, digest: &Digest) -> bool {
        self.fresh.lock().is_ok_and(|fresh| fresh.contains(digest))
    }

    /// Opens a blob for reading.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`]; [`Error::Corrupt`] if its size is wrong; [`Error::NotAFile`] for a symlink.
    pub fn open_blob(&self, descriptor: &Descriptor) -> Result<Blob, Error> {
        let digest = descriptor.digest;
        self.hold(&digest);
        let file = self.open_file(&digest)?;
        let found = file.metadata().map_err(Error::io("read", &self.paths.blob(&digest)))?.len();
        let expected = descriptor.size;
        if found == expected {
            return Ok(Blob { file, digest, size: expected });
        }
        let mismatch = if found < expected {
            Mismatch::Short { digest, expected, found }
        } else {
            Mismatch::Long { digest, expected }
        };
        Err(Error::Corrupt { digest, mismatch })
    }

    /// The bytes of a small blob, verified.
    pub fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
        check_document_size(descriptor.size)?;
        let mut bytes = Vec::with_capacity(descriptor.size as usize);
        let mut blob = self.open_blob(descriptor)?;
        self.read_verified(&mut blob.file, &descriptor.digest, &mut bytes)?;
        Ok(bytes)
    }

    /// The bytes of a small blob of which nothing but the digest is known, verified.
    pub(crate) fn document_by_digest(&self, digest: &Digest) -> Result<Vec<u8>, Error> {
        self.hold(digest);
        self.peek(digest)
    }

    /// The same for whoever only looks: a sweep may take it away a moment later.
    pub(crate) fn peek(&self, digest: &Digest) -> Result<Vec<u8>, Error> {
        let mut file = self.open_file(digest)?;
        let size = file.metadata().map_err(Error::io("read", &self.paths.blob(digest)))?.len();
        check_document_size(size)?;
        let mut bytes = Vec::new();
        self.read_verified(&mut file, digest, &mut bytes)?;
        Ok(bytes)
    }

    /// Takes a blob away if its bytes are not those that its digest names, so that the next pull fetches it
    /// again. Says whether it did: it may have been a false alarm, or another process may have healed it.
    pub fn discard(&self, digest: &Digest) -> Result<bool, Error> {
        let part = loop {
            if let Some(part) = Part::lock(self, digest, &|_| ControlFlow::Continue(()))? {
                break part;
            }
        };
        let corrupt = match self.open_file(digest) {
            Ok(file) => self.digest_of(file, digest)? != *digest,
            Err(Error::Missing { .. }) => false,
            Err(Error::NotAFile { .. }) => true,
            Err(error) => return Err(error),
        };
        if corrupt {
            let path = self.paths.blob(digest);
            if let Ok(mut fresh) = self.fresh.lock() {
                fresh.remove(digest);
            }
            fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        }
        part.leave()?;
        Ok(corrupt)
    }

    /// Opens a blob's file. Nothing is followed, and a pipe is not waited for.
    pub(crate) fn open_file(&self, digest: &Digest) -> Result<File, Error> {
        let path = self.paths.blob(digest);
        match host::open_regular(&path) {
            Ok(Some(file)) => Ok(file),
            Ok(None) => Err(Error::NotAFile { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::Missing { digest: *digest }),
            Err(error) => Err(Error::io("open", &path)(error)),
        }
    }

    fn read_verified(&self, file: &mut File, digest: &Digest, bytes: &mut Vec<u8>) -> Result<(), Error> {
        let read = file.take(DOCUMENT_MAX + 1).read_to_end(bytes);
        read.map_err(Error::io("read", &self.paths.blob(digest)))?;
        hash::verify(bytes, digest, None).map_err(|mismatch| Error::Corrupt { digest: *digest, mismatch })
    }

    fn digest_of(&self, mut file: File, digest: &Digest) -> Result<Digest, Error> {
        let mut hasher = Hasher::new(digest.algorithm());
        let mut buffer = vec![0; stream::CHUNK];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(hasher.finish()),
                Ok(count) => hasher.update(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("read", &self.blob_path(digest))(error)),
            }
        }
    }

    /// Where a blob is, or would be.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.paths.blob(digest)
    }
}

fn check_document_size(size: u64) -> Result<(), Error> {
    if size > DOCUMENT_MAX {
        return Err(oci::Error::TooLarge { what: "document", size, limit: DOCUMENT_MAX }.into());
    }
    Ok(())
}
