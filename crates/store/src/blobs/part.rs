//! A blob that is arriving, and the lock on it.
//!
//! The lock is on the part file itself, so locks leave no files behind. The part becomes the blob by a rename
//! while it is locked; whoever waited for it then holds a lock on a file that has another name by now, sees
//! that, and looks for the blob.

use std::fs::{self, File};
use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;

use hash::Digest;

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
        let file = host::open_or_create(&path).map_err(Error::io("write", &path))?;
        let waiting = || progress(file.metadata().map_or(0, |found| found.len()));
        lock::exclusive(&file, &path, &waiting)?;
        let named = host::is_named(&file, &path).map_err(Error::io("read", &path))?;
        Ok(named.then(|| Part { store, digest: *digest, file, path }))
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
