//! Regular files in plain ustar, for readers that know nothing else: no other kind of entry, no pax or GNU header, one
//! owner, no times. What cannot be said like that has a named reason.

use tree::{Content, Output};

use super::entry::{blank, checksum, octal, split};
use crate::error::Error;
use crate::front::Front;
use crate::tar::{BLOCK, field};

/// Owner and group of every file.
pub const OWNER: u16 = 1000;

/// Why a file cannot be said in plain ustar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// No slash leaves at most 155 bytes in front of it and 100 behind it.
    #[error("the path is too long for ustar, or has no slash where it could be split")]
    Long,
    /// It is no UTF-8.
    #[error("the path is no UTF-8")]
    NotText,
    /// It has eight gigabytes or more.
    #[error("the file has 8 GiB or more, too much for ustar")]
    Large,
}

/// A file's header. The path has no leading slash; of the mode the permissions count.
pub fn header(path: &[u8], mode: u16, size: u64) -> Result<[u8; BLOCK], Unfit> {
    if std::str::from_utf8(path).is_err() {
        return Err(Unfit::NotText);
    }
    let (prefix, name) = split(path).ok_or(Unfit::Long)?;
    let mut block = blank(b'0');
    block[..name.len()].copy_from_slice(name);
    block[field::PREFIX][..prefix.len()].copy_from_slice(prefix);
    octal(&mut block[field::MODE], u64::from(mode & 0o7777));
    for owner in [field::UID, field::GID] {
        octal(&mut block[owner], u64::from(OWNER));
    }
    octal(&mut block[field::MTIME], 0);
    if !octal(&mut block[field::SIZE], size) {
        return Err(Unfit::Large);
    }
    checksum(&mut block);
    Ok(block)
}

/// A tarball while it is written, from front to back.
pub struct Writer<'o> {
    front: Front<'o>,
}

impl<'o> Writer<'o> {
    /// Begins a tarball.
    pub fn new(out: &'o mut dyn Output) -> Writer<'o> {
        Writer { front: Front::new(out) }
    }

    /// Adds a file whose bytes lie in a layer, behind its [`header`]. Holes become zeros.
    ///
    /// # Errors
    ///
    /// `Io` for what the output fails with.
    pub fn content(&mut self, header: &[u8; BLOCK], content: &Content) -> Result<(), Error> {
        self.front.bytes(header)?;
        self.front.content(content)?;
        self.front.pad(BLOCK as u64)
    }

    /// Adds a file of these bytes, behind its [`header`].
    ///
    /// # Errors
    ///
    /// `Io` for what the output fails with.
    pub fn bytes(&mut self, header: &[u8; BLOCK], bytes: &[u8]) -> Result<(), Error> {
        self.front.bytes(header)?;
        self.front.bytes(bytes)?;
        self.front.pad(BLOCK as u64)
    }

    /// Ends the tarball with two blocks of zeros, and gives its length in bytes.
    ///
    /// # Errors
    ///
    /// `Io` for what the output fails with.
    pub fn finish(mut self) -> Result<u64, Error> {
        self.front.zeros(2 * BLOCK as u64)?;
        self.front.finish()
    }
}
