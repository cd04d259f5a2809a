//! Directories of stores for one run, and what is left of them where a run was killed.
//!
//! Whoever makes one holds it by a lock. The next run removes those of this user that nobody holds: it takes the
//! lock, too, and keeps it until they are gone. So of one that was made a moment ago and is not locked yet, either its
//! maker has the lock, and it stays, or the maker finds it locked or gone, and makes another.

use std::env;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::Error;

/// How the names begin.
const PREFIX: &str = ".unlade-store-";

/// A directory that goes with its owner.
#[derive(Debug)]
pub(crate) struct Temporary {
    directory: TempDir,
    /// Its lock; `None` where there are none, and then nobody takes it for left over.
    _lock: Option<File>,
}

impl Temporary {
    /// Makes one in `parent`, or else where temporary files go.
    pub(crate) fn new(parent: Option<&Path>) -> Result<Temporary, Error> {
        let parent = parent.map_or_else(env::temp_dir, PathBuf::from);
        remove_leftovers(&parent);
        loop {
            let directory = tempfile::Builder::new().prefix(PREFIX).tempdir_in(&parent);
            let directory = directory.map_err(Error::io("make a temporary directory in", &parent))?;
            let Ok(lock) = host::open_directory(directory.path()) else { continue };
            match lock.try_lock() {
                Ok(()) if directory.path().exists() => return Ok(Temporary { directory, _lock: Some(lock) }),
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(_)) => return Ok(Temporary { directory, _lock: None }),
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// Removes what killed runs of this user left.
fn remove_leftovers(parent: &Path) {
    // Failing is no news: what cannot be removed harms nothing but the eye.
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes())
            && let Ok(lock) = host::open_directory(&entry.path())
            && lock.metadata().is_ok_and(|found| host::is_mine(&found))
            && lock.try_lock().is_ok()
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
