//! Putting a finished file under its name: whole or not at all.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::scratch;

/// A file that is being made and has no name yet.
#[derive(Debug)]
pub(crate) struct Unpublished {
    /// To write into.
    pub(crate) file: File,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// A file without a name: nothing of it stays if the process is killed.
    Nameless { path: PathBuf },
    /// Where the filesystem has no nameless files: a file beside the output, removed on failure.
    Beside { path: PathBuf, beside: scratch::Registered },
    /// A block device, which is written in place.
    Device,
}

impl Unpublished {
    /// Starts the file that is to be `path`, all zeros for `size` bytes. What is there stays until
    /// [`Unpublished::publish`], unless it is a block device, which is written in place.
    pub(crate) fn create(path: &Path, size: u64) -> io::Result<Unpublished> {
        let path = resolve(path)?;
        if Unpublished::check(&path)? {
            return Unpublished::device(&path, size);
        }
        scratch::remove_leftovers(&path);
        let unpublished = match host::nameless(directory_of(&path), 0o666)? {
            Some(file) => Unpublished { file, place: Place::Nameless { path } },
            None => {
                let beside = scratch::Registered::beside(&path);
                let file = File::options().read(true).write(true).create_new(true).open(beside.path())?;
                host::allow_holes(&file);
                Unpublished { file, place: Place::Beside { path, beside } }
            }
        };
        scratch::hold(&unpublished.file);
        unpublished.file.set_len(size)?;
        Ok(unpublished)
    }

    /// Refuses a path that no output can have, before any work is done. Says whether it is a block device.
    pub(crate) fn check(path: &Path) -> io::Result<bool> {
        host::check_name(path)?;
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => {
                Err(io::Error::new(ErrorKind::IsADirectory, "the output is a directory"))
            }
            Ok(found) if host::is_block_device(found.file_type()) => Ok(true),
            Ok(found) if !found.is_file() => {
                Err(io::Error::new(ErrorKind::InvalidInput, "the output is not a regular file"))
            }
            Ok(_) => Ok(false),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // Without its directory there is nowhere to begin.
                fs::metadata(directory_of(path)).map(|_| false)
            }
            Err(error) => Err(error),
        }
    }

    fn device(path: &Path, size: u64) -> io::Result<Unpublished> {
        let file = host::open_device(path)?;
        make_zero(&file, 0, size)?;
        Ok(Unpublished { file, place: Place::Device })
    }

    /// Whether the file has no name, so that its bytes may be anything until it gets one.
    pub(crate) fn is_nameless(&self) -> bool {
        matches!(self.place, Place::Nameless { .. })
    }

    /// Lets the file be `size` bytes, all zeros from `written` on, if it was made before its size was known.
    pub(crate) fn grow(&self, written: u64, size: u64) -> io::Result<()> {
        match self.place {
            Place::Device => make_zero(&self.file, written, size),
            Place::Nameless { .. } | Place::Beside { .. } => self.file.set_len(size),
        }
    }

    /// Makes the bytes durable and lets the name mean them.
    pub(crate) fn publish(self) -> io::Result<()> {
        self.file.sync_all()?;
        match self.rename()? {
            Some(path) => sync_directory(&path),
            None => Ok(()),
        }
    }

    /// Lets the name mean the bytes, for whoever finds out by himself if a crash of the machine has damaged them.
    pub(crate) fn publish_unflushed(self) -> io::Result<()> {
        self.rename().map(drop)
    }

    /// Gives the name that the file has then; a device has always had its own.
    fn rename(self) -> io::Result<Option<PathBuf>> {
        let (path, from) = match self.place {
            Place::Device => return Ok(None),
            Place::Nameless { path } => {
                // A link cannot replace a name, a rename can: so a name beside it for a moment.
                let beside = scratch::Registered::beside(&path);
                host::link_nameless(&self.file, beside.path())?;
                (path, beside)
            }
            Place::Beside { path, beside } => (path, beside),
        };
        host::replace(from.path(), &path)?;
        from.keep();
        Ok(Some(path))
    }
}

/// How long the sectors of a block device are, in bytes. `None` for what is none, or not there.
pub(crate) fn device_sector(path: &Path) -> io::Result<Option<u32>> {
    match fs::metadata(path) {
        Ok(found) if host::is_block_device(found.file_type()) => host::sector(&File::open(path)?).map(Some),
        _ => Ok(None),
    }
}

/// Makes a device zero from `start` to `end`, which it must have room for.
fn make_zero(device: &File, start: u64, end: u64) -> io::Result<()> {
    let mut end_of = device;
    let capacity = end_of.seek(SeekFrom::End(0))?;
    end_of.rewind()?;
    if capacity < end {
        let text = format!("the device has {capacity} bytes, {end} are needed");
        return Err(io::Error::new(ErrorKind::StorageFull, text));
    }
    if start < end {
        host::make_zero(device, start, end - start)?;
    }
    Ok(())
}

/// Makes a rename in the directory of `path` durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    host::sync_directory(directory_of(path)).map_err(|error| {
        let text =
            format!("it is complete and has its name, but the directory could not be flushed: {error}");
        io::Error::new(error.kind(), text)
    })
}

/// The directory that holds `path`.
pub(crate) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Where a symlink at `path` leads: it is what it names that is replaced, not the link.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_symlink() => match fs::canonicalize(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Err(io::Error::new(
                ErrorKind::NotFound,
                "the output is a symlink to something that does not exist",
            )),
            resolved => resolved,
        },
        _ => Ok(path.to_path_buf()),
    }
}
