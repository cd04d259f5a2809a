//! Leases: what a process needs of the store while it runs, so that no sweep takes it away.
//!
//! A [`Store`] writes the digest of every blob that it looks for into a file of its own, *before* it looks, and
//! keeps that file locked while it lives. A sweep reads the files that are locked, and spares what they name. So
//! neither waits for the other for longer than a moment, however long a pull or a build takes: the sweep lock is
//! shared while a digest is written down, and held alone while a sweep reads the leases and removes the rest.
//! Whoever comes too late finds the blob gone, and fetches it.
//!
//! The lock on a lease is the kernel's, and gone with the process, however that ended; the file it may leave is
//! removed by the next sweep.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;

use hash::Digest;
use tempfile::NamedTempFile;

use crate::error::Error;
use crate::lock;
use crate::open::Store;

/// What one [`Store`] object holds.
#[derive(Debug, Default)]
pub(crate) struct Lease {
    held: BTreeSet<Digest>,
    means: Means,
}

/// How a sweep is kept away.
#[derive(Debug, Default)]
enum Means {
    /// Nothing is held yet.
    #[default]
    None,
    /// By a lease; the second file is the sweep lock, not locked.
    Lease(NamedTempFile, File),
    /// By sharing the sweep lock all the time: where no lease can be written, to a full disk for one, or none could be
    /// read while it is locked.
    Lock(File),
    /// Not at all: whoever may not even open the lock, in a store of somebody else, or on a filesystem without
    /// locks, takes his chance.
    Chance,
}

/// What all leases say.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    /// What running processes need.
    pub(crate) held: BTreeSet<Digest>,
    /// Files of processes that are gone.
    pub(crate) dead: Vec<PathBuf>,
}

/// Keeps everybody else from sweeping, and from looking at what is there.
pub(crate) struct Sweeping<'a> {
    store: &'a Store,
    lock: File,
}

impl Drop for Sweeping<'_> {
    fn drop(&mut self) {
        let _ = self.lock.unlock();
        self.store.share_own(true);
    }
}

impl Store {
    /// From now on no sweep takes the blob away, if it is there. To be called before looking for it.
    pub(crate) fn hold(&self, digest: &Digest) {
        // A store for one run is nobody else's.
        if self.durable
            && let Ok(mut lease) = self.lease.lock()
            && lease.held.insert(*digest)
        {
            lease.means = std::mem::take(&mut lease.means).with(self, digest);
        }
    }

    /// Keeps sweeps away for a moment. `None` where that is not possible.
    pub(crate) fn share_sweep_lock(&self) -> Option<File> {
        if !self.durable {
            return None;
        }
        let file = self.open_sweep_lock()?;
        share(&file).then_some(file)
    }

    /// Opens the sweep lock, for reading alone where it cannot be written: that is enough for sharing.
    fn open_sweep_lock(&self) -> Option<File> {
        let path = self.paths.sweep_lock();
        let open = || File::options().create(true).truncate(false).write(true).read(true).open(&path);
        match open() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                fs::create_dir_all(self.paths.own()).and_then(|()| open()).ok()
            }
            Err(_) => File::open(&path).ok(),
            Ok(file) => Some(file),
        }
    }

    /// The sweep lock for this process alone. While another one has it, `waiting` is asked whether to go on.
    ///
    /// # Errors
    ///
    /// [`Error::InUse`] if it is not to go on.
    pub(crate) fn lock_sweep(
        &self,
        waiting: &dyn Fn() -> std::ops::ControlFlow<()>,
    ) -> Result<Sweeping<'_>, Error> {
        self.create_directory(&self.paths.own())?;
        let path = self.paths.sweep_lock();
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(Error::io("open", &path))?;
        self.share_own(false);
        let sweeping = Sweeping { store: self, lock: file };
        match lock::exclusive(&sweeping.lock, &path, waiting) {
            Ok(()) => Ok(sweeping),
            Err(Error::Cancelled) => Err(Error::InUse { path }),
            Err(error) => Err(error),
        }
    }

    /// Lets go of the sweep lock, or shares it again, if that is how this object keeps sweeps away: it is not to wait for
    /// itself. A sweep of its own spares what it holds.
    fn share_own(&self, shared: bool) {
        if let Ok(lease) = self.lease.lock()
            && let Means::Lock(lock) = &lease.means
        {
            let _ = if shared { share(lock) } else { lock.unlock().is_ok() };
        }
    }

    /// Reads all leases. Whoever acts on it holds the sweep lock.
    pub(crate) fn leases(&self) -> Result<Leases, Error> {
        let directory = self.paths.leases();
        let mut leases = Leases::default();
        if let Ok(own) = self.lease.lock()
            && matches!(own.means, Means::Lock(_))
        {
            leases.held.clone_from(&own.held);
        }
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(leases),
            Err(error) => return Err(Error::io("read", &directory)(error)),
        };
        for entry in entries {
            let path = entry.map_err(Error::io("read", &directory))?.path();
            let file = match File::open(&path) {
                Ok(file) => file,
                // Its process ended just now.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(Error::io("read", &path)(error)),
            };
            match file.try_lock_shared() {
                Ok(()) => leases.dead.push(path),
                Err(TryLockError::WouldBlock) => {
                    let text = io::read_to_string(&file).map_err(Error::io("read", &path))?;
                    for line in text.lines() {
                        let digest: Digest = line.parse().map_err(|error: hash::DigestError| {
                            Error::Malformed { path: path.clone(), cause: error.to_string() }
                        })?;
                        leases.held.insert(digest);
                    }
                }
                Err(TryLockError::Error(error)) => return Err(Error::io("lock", &path)(error)),
            }
        }
        Ok(leases)
    }
}

impl Means {
    /// Holds one more blob.
    fn with(self, store: &Store, digest: &Digest) -> Means {
        let (lease, lock) = match self {
            Means::Lease(lease, lock) => (Some(lease), lock),
            Means::None => match store.open_sweep_lock() {
                Some(lock) => (None, lock),
                None => return Means::Chance,
            },
            other => return other,
        };
        // Under the lock, so that no sweep takes a lease without its lock for one of a process that is gone.
        if !share(&lock) {
            return Means::Chance;
        }
        let written = lease.map_or_else(|| create(store), Ok).and_then(|mut lease| {
            // In one piece, for whoever reads it.
            lease.as_file_mut().write_all(format!("{digest}\n").as_bytes())?;
            Ok(lease)
        });
        match written {
            Ok(lease) => match lock.unlock() {
                Ok(()) => Means::Lease(lease, lock),
                Err(_) => Means::Lock(lock),
            },
            Err(_) => Means::Lock(lock),
        }
    }
}

/// Makes a lease, locked.
fn create(store: &Store) -> io::Result<NamedTempFile> {
    if host::LOCKS_HINDER_READING {
        return Err(ErrorKind::Unsupported.into());
    }
    let directory = store.paths.leases();
    fs::create_dir_all(&directory)?;
    let prefix = format!("{}-", std::process::id());
    let mut temporary = tempfile::Builder::new();
    temporary.prefix(&prefix);
    // Whoever sweeps has to read it.
    host::permissions_for_all().map(|all| temporary.permissions(all));
    let lease = temporary.tempfile_in(&directory)?;
    lease.as_file().lock()?;
    Ok(lease)
}

fn share(lock: &File) -> bool {
    loop {
        match lock.lock_shared() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done.is_ok(),
        }
    }
}
