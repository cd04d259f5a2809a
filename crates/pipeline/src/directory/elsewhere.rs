//! A tree as a plain directory of the host: not of this one. Owners, modes, links and most names are Unix's.

mod shortfall;

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::Path;

use tree::{Node, Tree};

use crate::event::Report;
use crate::spool::Spool;
pub use shortfall::{Error, Unkept};

/// A directory that is being made and does not have its name yet.
pub struct Unpublished {
    /// What this user or this filesystem could not hold.
    pub unkept: Unkept,
}

/// Refuses a place for the output before any work is done: every one.
pub fn check_free(_: &Path) -> io::Result<()> {
    Err(unsupported())
}

impl Unpublished {
    /// Makes the whole tree in a directory beside `path`.
    pub fn write(_: &Tree, _: &Spool, _: &Path, _: Report<'_>) -> Result<Unpublished, Error> {
        Err(Error { path: Box::default(), cause: unsupported() })
    }

    /// Makes everything durable and lets the name mean it.
    pub fn publish(self) -> io::Result<()> {
        Err(unsupported())
    }
}

/// Gives an open file what its node says: nothing of it can be said here.
pub(crate) fn describe(_: &File, _: &Node, _: &mut Unkept) -> io::Result<()> {
    Ok(())
}

/// Removes a directory with all that is in it.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    fs::remove_dir_all(path)
}

fn unsupported() -> io::Error {
    let text = "a directory with the owners, modes and links of an image can be made on Linux only";
    io::Error::new(ErrorKind::Unsupported, text)
}
