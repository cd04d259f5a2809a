//! Files of the host in a package.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;

use super::PackError;
use super::package::Added;
use super::programs::{self, PROGRAM_MAX, Unrewritten};

/// A file of the host, and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Include {
    /// The file.
    pub host: PathBuf,
    /// Its path in the package, without a leading slash.
    pub path: Vec<u8>,
    /// Whether anything but a program is refused.
    pub program: bool,
}

/// A file that was read.
pub(super) struct Read {
    pub(super) file: Added,
    pub(super) unrewritten: Option<Unrewritten>,
}

/// Reads the files, and rewrites the programs among them.
pub(super) fn read(includes: &[Include], allow_bun: bool) -> Result<Vec<Read>, PackError> {
    includes.iter().map(|include| one(include, allow_bun)).collect()
}

fn one(include: &Include, allow_bun: bool) -> Result<Read, PackError> {
    let fail = |cause| PackError::Include { path: include.host.clone(), cause };
    let mut bytes = Vec::new();
    let file = File::open(&include.host).map_err(fail)?;
    if !file.metadata().map_err(fail)?.is_file() {
        return Err(fail(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")));
    }
    file.take(PROGRAM_MAX + 1).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() as u64 > PROGRAM_MAX {
        let text = format!("it has more than {PROGRAM_MAX} bytes");
        return Err(fail(io::Error::new(io::ErrorKind::FileTooLarge, text)));
    }
    let is_program = bytes.starts_with(b"\x7fELF");
    if include.program && !is_program {
        return Err(fail(io::Error::new(io::ErrorKind::InvalidInput, "it is no ELF file")));
    }
    let why = if is_program { programs::of_host(&include.path, &mut bytes, allow_bun)? } else { None };
    // The host's modes are not asked: not every host has them.
    let mode = if is_program || bytes.starts_with(b"#!") { 0o755 } else { 0o644 };
    let unrewritten = why.map(|why| Unrewritten { path: include.path.clone(), why });
    Ok(Read { file: (include.path.clone(), mode, bytes), unrewritten })
}
