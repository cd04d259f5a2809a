//! A blob that is arriving, and the lock on it.
//!
//! The lock is on the part file itself, so locks leave no files behind. The part becomes the blob by a rename
//! while it is locked; whoever waited for it then holds a lock on a file that has another name by now, sees
//! that, and looks for the blob.

use std::fs::{self, File};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use hash::Digest;
use rustix::fs::{Mode, OFlags};

use crate::error::Error;
use crate::lock;
use crate::open::Store;

/// What has arrived of a blob; nobody else touches it while this exists.
pub(crate) struct Part<'a> {
    store: &'a Store,
    digest: Digest,
    pub(crate) file: File,
    pub(crate) path: PathBuf,
}

impl<'a> Part<'a> {
    /// Locks a blob's part, and makes an empty one if there is none. `None` if whoever had the lock before
    /// has finished with it: then it is to be seen what came of that. While waiting, `progress` is told how
    /// much the other one has.
    pub(crate) fn lock(
        store: &'a Store,
        digest: &Digest,
        progress: &dyn Fn(u64) -> ControlFlow<()>,
    ) -> Result<Option<Part<'a>>, Error> {
        store.create_directory(&store.paths.parts())?;
        let path = store.paths.part(digest);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::open(&path, flags, Mode::from_raw_mode(0o666))
            .map_err(|error| Error::io("write", &path)(error.into()))?;
        let file = File::from(file);
        let waiting = || progress(file.metadata().map_or(0, |found| found.len()));
        lock::exclusive(&file, &path, &waiting)?;
        let ours = file.metadata().map_err(Error::io("read", &path))?;
        match fs::symlink_metadata(&path) {
            Ok(named) if (named.dev(), named.ino()) == (ours.dev(), ours.ino()) => {
                Ok(Some(Part { store, digest: *digest, file, path }))
            }
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", &path)(error)),
        }
    }

    /// Bytes that have arrived.
    pub(crate) fn length(&self) -> Result<u64, Error> {
        Ok(self.file.metadata().map_err(Error::io("read", &self.path))?.len())
    }

    /// Forgets what has arrived.
    pub(crate) fn clear(&self) -> Result<(), Error> {
        self.file.set_len(0).map_err(Error::io("write", &self.path))
    }

    /// Lets the part be the blob. Its bytes have been verified.
    pub(crate) fn finish(self) -> Result<(), Error> {
        self.store.flush(&self.file, &self.path)?;
        let blob = self.store.paths.blob(&self.digest);
        match fs::rename(&self.path, &blob) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.store.create_directory(&self.store.paths.blobs(self.digest.algorithm()))?;
                fs::rename(&self.path, &blob)
            }
            // Somebody's directory or the like: only files are replaced.
            done => done,
        }
        .map_err(Error::io("write", &blob))?;
        // The directory is flushed once for all blobs, before a tag names them.
        if let Ok(mut fresh) = self.store.fresh.lock() {
            fresh.insert(self.digest);
        }
        Ok(())
    }

    /// Takes the part away.
    pub(crate) fn remove(self) -> Result<(), Error> {
        fs::remove_file(&self.path).map_err(Error::io("remove", &self.path))
    }

    /// Lets go of the part without a change; one without bytes needs not stay.
    pub(crate) fn leave(self) -> Result<(), Error> {
        if self.length()? == 0 { self.remove() } else { Ok(()) }
    }
}
