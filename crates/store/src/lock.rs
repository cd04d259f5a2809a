//! Waiting for other processes.

use std::fs::{File, TryLockError};
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::error::Error;
use crate::open::Store;

/// How often a lock that another process holds is tried. It may be held as long as a download takes.
const INTERVAL: Duration = Duration::from_millis(50);

/// Locks a file for this process alone. While another one has it, `waiting` is asked every now and then
/// whether to go on.
pub(crate) fn exclusive(
    file: &File,
    path: &Path,
    waiting: &dyn Fn() -> ControlFlow<()>,
) -> Result<(), Error> {
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => {
                if waiting().is_break() {
                    return Err(Error::Cancelled);
                }
                thread::sleep(INTERVAL);
            }
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(TryLockError::Error(error)) => return Err(Error::io("lock", path)(error)),
        }
    }
}

impl Store {
    /// Locks the list of tags; the lock lasts as long as the file. It is held for moments only, so there is
    /// no way to give up waiting.
    pub(crate) fn lock_tags(&self) -> Result<File, Error> {
        self.create_directory(&self.paths.own())?;
        let path = self.paths.lock();
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(Error::io("open", &path))?;
        loop {
            match file.lock() {
                Ok(()) => return Ok(file),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("lock", &path)(error)),
            }
        }
    }
}
