//! A directory of the host as a tree: not of this one, which has no owners, modes and links as an image has them.

use std::io;
use std::path::Path;

use erofs::composefs::Files;
use hash::Algorithm;

use super::InputError;

/// The tree that a directory of the host is.
pub fn of_directory(root: &Path, _: Algorithm, _: u64) -> Result<Files, InputError> {
    let text = "a directory can be read as an image's on Linux only";
    let source = io::Error::new(io::ErrorKind::Unsupported, text);
    Err(InputError::Io { path: root.into(), source })
}
