//! Long prefixes of attributes' names.

use super::{Filesystem, Place, ReadError};
use crate::format::{PREFIXES, compat, incompat};

/// Longer ones stand for no name.
const INFIX_MAX: u16 = 255;

/// A long prefix: a short one and what follows it.
pub(super) struct Prefix {
    pub(super) base: u8,
    pub(super) infix: Vec<u8>,
}

impl Prefix {
    /// All of it.
    pub(super) fn text(&self) -> Vec<u8> {
        [short(self.base).as_slice(), &self.infix].concat()
    }
}

/// The prefix of a number; the number where nobody knows it.
pub(super) fn short(index: u8) -> Vec<u8> {
    match PREFIXES.iter().find(|(known, _)| *known == index) {
        Some((_, prefix)) => prefix.to_vec(),
        None if index == 0 => Vec::new(),
        None => format!("{index}:").into_bytes(),
    }
}

impl Filesystem<'_> {
    /// All of them, in their order. `None` if there are some, where they cannot be read: in a packed inode that is
    /// compressed.
    pub(super) fn prefixes(&self) -> Result<Option<Vec<Prefix>>, ReadError> {
        let mut found = Vec::new();
        let count = match self.has(incompat::XATTR_PREFIXES) {
            true => self.superblock.xattr_prefix_count,
            false => return Ok(Some(found)),
        };
        let is_plain = self.superblock.feature_compat.get() & compat::PLAIN_XATTR_PREFIXES != 0;
        let packed = match self.packed() {
            Some(nid) if !is_plain && count > 0 => {
                let inode = self.inode(nid)?;
                let Some(flat) = self.flat(&inode)? else { return Ok(None) };
                Some((inode, flat))
            }
            _ => None,
        };
        let mut at = u64::from(self.superblock.xattr_prefix_start.get()) * 4;
        for number in 0..count {
            let place = Place::Prefix(number);
            let read = |at, length: u16| match &packed {
                None => self.bytes(at, length.into(), place),
                Some((inode, flat)) => {
                    let bytes = self.flat_bytes(inode, *flat, at, length.into())?;
                    let is_whole = bytes.len() == usize::from(length);
                    let what = "it lies behind the end of the packed inode";
                    if is_whole { Ok(bytes) } else { Err(ReadError::Corrupt { place, what }) }
                }
            };
            let length = read(at, 2)?;
            let length = u16::from_le_bytes([length[0], length[1]]);
            if !(1..=INFIX_MAX + 1).contains(&length) {
                return Err(ReadError::Corrupt { place, what: "its length is impossible" });
            }
            let bytes = read(at + 2, length)?;
            found.push(Prefix { base: bytes[0], infix: bytes[1..].to_vec() });
            at = (at + 2 + u64::from(length)).next_multiple_of(4);
        }
        Ok(Some(found))
    }

    /// The inode that holds what is not of one file.
    pub(super) fn packed(&self) -> Option<u64> {
        let nid = self.superblock.packed_nid.get();
        let has = self.has(incompat::DEDUPE) || self.has(incompat::XATTR_PREFIXES);
        (has && nid != 0).then_some(nid)
    }
}
