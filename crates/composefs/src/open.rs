//! Making and opening a repository.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FlockOperation, StatxAttributes, StatxFlags};

use crate::{Error, Meta};

/// What a repository is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing is changed.
    Read,
    /// Things are added.
    Write,
    /// Things are removed: nobody else may have it open.
    Sweep,
}

/// A repository, and the lock on it.
#[derive(Debug)]
pub struct Repository {
    pub(crate) root: PathBuf,
    /// The directory itself, which is what is locked.
    pub(crate) directory: File,
    meta: Meta,
}

impl Repository {
    /// Makes a repository at `root`. One that is there already with the same settings stays as it is.
    pub fn init(root: &Path, meta: &Meta) -> Result<Repository, Error> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(root).map_err(Error::io("make", root))?;
        let path = root.join("meta.json");
        // Whole or not at all, and never over another one.
        let beside = root.join(format!(".meta.json.{}", std::process::id()));
        let written = File::create(&beside)
            .and_then(|mut file| file.write_all(meta.to_json().as_bytes()).and_then(|()| file.sync_all()))
            .and_then(|()| fs::hard_link(&beside, &path));
        let _ = fs::remove_file(&beside);
        match written {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::io("write", &path)(error)),
        }
        let repository = Repository::open(root, Access::Write)?;
        if repository.meta != *meta {
            return Err(Error::Exists(root.into()));
        }
        sync(&repository.directory, root)?;
        Ok(repository)
    }

    /// Opens the repository at `root`, and waits until its lock allows that.
    pub fn open(root: &Path, access: Access) -> Result<Repository, Error> {
        let directory = match File::open(root) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(Error::NoRepository(root.into()));
            }
            opened => opened.map_err(Error::io("open", root))?,
        };
        let path = root.join("meta.json");
        let json = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(Error::NoRepository(root.into()));
            }
            read => read.map_err(Error::io("read", &path))?,
        };
        let meta = Meta::parse(&json).map_err(|source| Error::Meta { path: path.clone(), source })?;
        if access != Access::Read {
            if meta.read_only {
                return Err(Error::ReadOnly(root.into()));
            }
            if access == Access::Write && has_verity(&path)? {
                return Err(Error::Secure(root.into()));
            }
        }
        let operation = match access {
            Access::Read | Access::Write => FlockOperation::LockShared,
            Access::Sweep => FlockOperation::LockExclusive,
        };
        loop {
            match rustix::fs::flock(&directory, operation) {
                Ok(()) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(Error::io("lock", root)(error)),
            }
        }
        Ok(Repository { root: root.into(), directory, meta })
    }

    /// What kind of repository it is.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Waits until all that was written is on the disk: what is named next must not be there before it.
    pub fn sync(&self) -> Result<(), Error> {
        rustix::fs::syncfs(&self.directory).map_err(Error::io("flush", &self.root))
    }

    /// Makes a directory below the root, unless it is there.
    pub(crate) fn create_directory(&self, below: &Path) -> Result<(), Error> {
        let path = self.root.join(below);
        fs::DirBuilder::new().recursive(true).mode(0o755).create(&path).map_err(Error::io("make", &path))
    }
}

/// Whether the file has fs-verity enabled.
fn has_verity(path: &Path) -> Result<bool, Error> {
    let stat = rustix::fs::statx(rustix::fs::CWD, path, AtFlags::empty(), StatxFlags::BASIC_STATS)
        .map_err(Error::io("read", path))?;
    Ok(stat.stx_attributes.contains(StatxAttributes::VERITY))
}

pub(crate) fn sync(directory: &File, path: &Path) -> Result<(), Error> {
    match directory.sync_all() {
        Ok(()) => Ok(()),
        // Not every filesystem does this to directories.
        Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(()),
        Err(error) => Err(Error::io("flush", path)(error)),
    }
}

/// The entries of a directory, sorted by name; none if it is not there.
pub(crate) fn list(path: &Path) -> Result<Vec<fs::DirEntry>, Error> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(Error::io("read", path))?,
    };
    let mut entries = entries.collect::<Result<Vec<_>, io::Error>>().map_err(Error::io("read", path))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    Ok(entries)
}
