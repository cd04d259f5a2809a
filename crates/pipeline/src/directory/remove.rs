//! Removing a directory that may be deep and full of directories without permissions.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode};

use super::descent::{self, Descent};
use tree::Tree;

/// Removes `path` and all that lies below, following nothing.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let mut descent = Descent::new(descent::open(path)?);
    // The names by which we came down.
    let mut names: Vec<CString> = Vec::new();
    loop {
        match clear(descent.here())? {
            Some(directory) => {
                rustix::fs::chmodat(descent.here(), &directory, Mode::RWXU, AtFlags::empty())?;
                // Which node it was does not matter: the way up is by one level.
                descent.enter(Tree::ROOT, directory.as_bytes())?;
                names.push(directory);
            }
            None => match names.pop() {
                Some(name) => {
                    descent.up()?;
                    rustix::fs::unlinkat(descent.here(), &name, AtFlags::REMOVEDIR)?;
                }
                None => return fs::remove_dir(path),
            },
        }
    }
}

/// Unlinks what is no directory; gives back the first directory found, if there is one.
fn clear(handle: &File) -> io::Result<Option<CString>> {
    for entry in Dir::read_from(handle)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_bytes() == b"." || name.to_bytes() == b".." {
            continue;
        }
        let file_type = match entry.file_type() {
            FileType::Unknown => {
                let found = rustix::fs::statat(handle, name, AtFlags::SYMLINK_NOFOLLOW)?;
                FileType::from_raw_mode(found.st_mode)
            }
            known => known,
        };
        if file_type == FileType::Directory {
            return Ok(Some(name.to_owned()));
        }
        rustix::fs::unlinkat(handle, name, AtFlags::empty())?;
    }
    Ok(None)
}
