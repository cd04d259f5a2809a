//! The names in a directory.

use super::super::format::BLOCK;
use super::Corrupt;
use super::bytes::Bytes;
use super::inode::{Inode, Source};
use crate::parse;

/// A name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name<'a> {
    /// Where its entry lies.
    pub(super) offset: u64,
    pub(super) bytes: &'a [u8],
    pub(super) nid: u64,
    pub(super) file_type: u8,
}

impl Name<'_> {
    pub(super) fn corrupt(&self, what: &'static str) -> Corrupt {
        Corrupt { offset: self.offset, what }
    }
}

/// All names of a directory, in strictly ascending order.
pub(super) fn names<'a>(source: &Source<'a>, inode: &Inode) -> Result<Vec<Name<'a>>, Corrupt> {
    let mut names: Vec<Name<'a>> = Vec::new();
    let blocks = inode.extent.blocks;
    for block in 0..blocks {
        let at = (u64::from(inode.fields.u) + block) * BLOCK;
        take(source.bytes, at, BLOCK, &mut names)?;
    }
    if inode.extent.tail > 0 {
        take(source.bytes, inode.tail_at, inode.extent.tail, &mut names)?;
    }
    match names.windows(2).find(|pair| pair[0].bytes >= pair[1].bytes) {
        Some(pair) => Err(Corrupt { offset: pair[1].offset, what: "a name out of order" }),
        None => Ok(names),
    }
}

/// The names in one block.
fn take<'a>(bytes: Bytes<'a>, at: u64, length: u64, names: &mut Vec<Name<'a>>) -> Result<(), Corrupt> {
    let found = parse::names(bytes.slice(at, length)?);
    let found = found.map_err(|(within, what)| Corrupt { offset: at + within as u64, what })?;
    names.extend(found.into_iter().map(|parse::Name { at: within, bytes, nid, file_type }| Name {
        offset: at + within as u64,
        bytes,
        nid,
        file_type,
    }));
    Ok(())
}
