//! Finding and making a store.

use std::collections::BTreeSet;
use std::env;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use hash::Digest;

use crate::error::Error;
use crate::format::{self, Layout, Listing, Paths};
use crate::lease::Lease;
use crate::temporary::Temporary;

/// A directory of images. Threads may share it, and so may processes.
#[derive(Debug)]
pub struct Store {
    pub(crate) paths: Paths,
    /// Whether what is stored must survive a crash of the machine.
    pub(crate) durable: bool,
    /// Blobs that this process itself checked on their way in.
    pub(crate) fresh: Mutex<BTreeSet<Digest>>,
    /// What no sweep may take away as long as this object is used.
    pub(crate) lease: Mutex<Lease>,
    /// Held for its `Drop`, which removes the directory.
    _temporary: Option<Temporary>,
}

impl Store {
    /// Where a user's store is: `$XDG_DATA_HOME/unlade`, which by default is `~/.local/share/unlade`; on Windows
    /// `%LOCALAPPDATA%\unlade`.
    ///
    /// It is data and no cache: a tag is something that the user asked to have, and what it named when it was
    /// pulled may exist nowhere else by now. Cleaners of caches must not take it away.
    pub fn default_path() -> Result<PathBuf, Error> {
        // The XDG specification wants relative paths to be ignored.
        let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let data = absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")));
        let data = data.or_else(|| absolute("LOCALAPPDATA"));
        Ok(data.ok_or(Error::NoHome)?.join("unlade"))
    }

    /// Opens the store in a directory, and makes it if there is none. A store that cannot be written to can
    /// be read.
    ///
    /// # Errors
    ///
    /// [`Error::NotAStore`] for a directory with anything else in it.
    pub fn open(path: &Path) -> Result<Store, Error> {
        Store::open_at(path, None)
    }

    /// Makes a store for one run, in `parent` or else where temporary files go. It is removed when dropped,
    /// and never flushed to the disk. What killed runs left there goes.
    pub fn temporary(parent: Option<&Path>) -> Result<Store, Error> {
        let directory = Temporary::new(parent)?;
        let path = directory.path().to_path_buf();
        Store::open_at(&path, Some(directory))
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.paths.root
    }

    fn open_at(path: &Path, temporary: Option<Temporary>) -> Result<Store, Error> {
        let store = Store::unchecked(path, temporary);
        if !store.check_layout()? {
            store.create()?;
        }
        Ok(store)
    }

    /// A store of which nothing is known, not even whether it is one.
    pub(crate) fn unchecked(path: &Path, temporary: Option<Temporary>) -> Store {
        let durable = temporary.is_none();
        let (fresh, lease) = (Mutex::default(), Mutex::default());
        Store { paths: Paths::new(path), durable, fresh, lease, _temporary: temporary }
    }

    /// Whether the directory is marked as a layout, of a version that is known.
    pub(crate) fn check_layout(&self) -> Result<bool, Error> {
        let path = self.paths.layout();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(Error::io("read", &path)(error)),
        };
        let layout: Layout = serde_json::from_slice(&bytes)
            .map_err(|error| Error::Malformed { path, cause: error.to_string() })?;
        if layout.image_layout_version != format::LAYOUT_VERSION {
            let path = self.paths.root.clone();
            return Err(Error::Version { path, version: layout.image_layout_version });
        }
        Ok(true)
    }

    /// Makes the layout, its mark last: whoever sees the mark sees a store.
    fn create(&self) -> Result<(), Error> {
        self.create_directory(&self.paths.root)?;
        self.check_unused()?;
        let _lock = self.lock_tags()?;
        let blobs = self.paths.blobs(hash::Algorithm::Sha256);
        self.create_directory(&blobs)?;
        self.flush_directory(blobs.parent().unwrap_or(&blobs))?;
        let index = self.paths.index();
        if !index.exists() {
            self.replace(&index, &json(&Listing::default()))?;
        }
        self.mark_layout()
    }

    /// Writes the mark.
    pub(crate) fn mark_layout(&self) -> Result<(), Error> {
        let layout = Layout { image_layout_version: format::LAYOUT_VERSION.into() };
        self.replace(&self.paths.layout(), &json(&layout))
    }

    /// Refuses a directory that holds anything but the beginnings of a store.
    pub(crate) fn check_unused(&self) -> Result<(), Error> {
        let root = &self.paths.root;
        let fail = |error| Error::io("read", root)(error);
        for entry in fs::read_dir(root).map_err(fail)? {
            let name = entry.map_err(fail)?.file_name();
            // The mark is among them, since another process may be making the same store.
            let ours = [format::OWN, format::BLOBS, format::INDEX_FILE, format::LAYOUT_FILE];
            if !ours.iter().any(|ours| name == *ours) {
                return Err(Error::NotAStore { path: root.clone() });
            }
        }
        Ok(())
    }

    pub(crate) fn create_directory(&self, path: &Path) -> Result<(), Error> {
        fs::create_dir_all(path).map_err(Error::io("make the directory", path))
    }

    /// Lets a file have other contents, from one moment to the next and for good. The caller holds the lock.
    pub(crate) fn replace(&self, path: &Path, contents: &[u8]) -> Result<(), Error> {
        let name = path.file_name().unwrap_or_default();
        let beside = self.paths.own().join(name).with_extension("new");
        let mut file = File::create(&beside).map_err(Error::io("write", &beside))?;
        file.write_all(contents).map_err(Error::io("write", &beside))?;
        self.flush(&file, &beside)?;
        host::replace(&beside, path).map_err(Error::io("write", path))?;
        self.flush_directory(&self.paths.root)
    }

    /// Makes a file's bytes survive a crash of the machine.
    pub(crate) fn flush(&self, file: &File, path: &Path) -> Result<(), Error> {
        if self.durable { file.sync_data().map_err(Error::io("flush", path)) } else { Ok(()) }
    }

    /// Makes the names in a directory survive a crash of the machine.
    pub(crate) fn flush_directory(&self, path: &Path) -> Result<(), Error> {
        if !self.durable {
            return Ok(());
        }
        host::sync_directory(path).map_err(Error::io("flush", path))
    }
}

/// A document of ours as text.
pub(crate) fn json(document: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(document).expect("it has strings for keys and no way to fail")
}
