//! Making and opening a repository.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use crate::{Error, Meta, verity};

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

/// What watches over the bytes of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// The kernel: fs-verity is enabled on everything, and nothing without it belongs there.
    Verity,
    /// The program, which compares digests; the kernel as well where the filesystem has fs-verity.
    Insecure,
}

/// A repository, and the lock on it.
#[derive(Debug)]
pub struct Repository {
    pub(crate) root: PathBuf,
    /// The directory itself, which is what is locked.
    pub(crate) directory: File,
    meta: Meta,
    security: Security,
    /// Whether the filesystem was asked for fs-verity and had none.
    pub(crate) lacks_verity: AtomicBool,
}

impl Repository {
    /// Makes a repository at `root`. One that is there already with the same settings stays as it is.
    pub fn init(root: &Path, meta: &Meta, security: Security) -> Result<Repository, Error> {
        check_host(root)?;
        host::make_directories(root, 0o700).map_err(Error::io("make", root))?;
        let path = root.join("meta.json");
        // Whole or not at all, and never over another one.
        let beside = root.join(format!(".meta.json.{}", std::process::id()));
        let written = File::create(&beside)
            .and_then(|mut file| file.write_all(meta.to_json().as_bytes()).and_then(|()| file.sync_all()))
            .and_then(|()| match security {
                Security::Verity => verity::enable(&File::open(&beside)?, meta.algorithm),
                Security::Insecure => Ok(true),
            })
            .and_then(
                |enabled| if enabled { fs::hard_link(&beside, &path).map(|()| true) } else { Ok(false) },
            );
        let _ = fs::remove_file(&beside);
        if !matches!(written, Ok(true)) {
            // As it was, if there was nothing.
            let _ = fs::remove_dir(root);
        }
        match written {
            Ok(true) => {}
            Ok(false) => return Err(Error::NoVerity(root.into())),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::io("write", &path)(error)),
        }
        let repository = Repository::open(root, Access::Write)?;
        if repository.meta != *meta || repository.security != security {
            return Err(Error::Exists(root.into()));
        }
        sync(&repository.directory, root)?;
        Ok(repository)
    }

    /// Opens the repository at `root`, and waits until its lock allows that.
    pub fn open(root: &Path, access: Access) -> Result<Repository, Error> {
        check_host(root)?;
        let directory = match File::open(root) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(Error::NoRepository(root.into()));
            }
            opened => opened.map_err(Error::io("open", root))?,
        };
        let path = root.join("meta.json");
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(Error::NoRepository(root.into()));
            }
            opened => opened.map_err(Error::io("open", &path))?,
        };
        let mut json = Vec::new();
        file.read_to_end(&mut json).map_err(Error::io("read", &path))?;
        let security = match verity::measure(&file).map_err(Error::io("measure", &path))? {
            Some(_) => Security::Verity,
            None => Security::Insecure,
        };
        let meta = Meta::parse(&json).map_err(|source| Error::Meta { path: path.clone(), source })?;
        if access != Access::Read && meta.read_only {
            return Err(Error::ReadOnly(root.into()));
        }
        let lock = || match access {
            Access::Read | Access::Write => directory.lock_shared(),
            Access::Sweep => directory.lock(),
        };
        loop {
            match lock() {
                Ok(()) => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("lock", root)(error)),
            }
        }
        let lacks_verity = AtomicBool::new(false);
        Ok(Repository { root: root.into(), directory, meta, security, lacks_verity })
    }

    /// What kind of repository it is.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// What watches over it.
    pub fn security(&self) -> Security {
        self.security
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Waits until all that was written is on the disk: what is named next must not be there before it.
    pub fn sync(&self) -> Result<(), Error> {
        host::sync_filesystem(&self.directory).map_err(Error::io("flush", &self.root))
    }

    /// Makes a directory below the root, unless it is there.
    pub(crate) fn create_directory(&self, below: &Path) -> Result<(), Error> {
        let path = self.root.join(below);
        host::make_directories(&path, 0o755).map_err(Error::io("make", &path))
    }
}

/// Refuses a host on which not everybody can make what a repository consists of.
fn check_host(root: &Path) -> Result<(), Error> {
    if host::HAS_SYMLINKS { Ok(()) } else { Err(Error::NoSymlinks(root.into())) }
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
