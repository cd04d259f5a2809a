//! The names in a directory.

use super::super::format::{BLOCK, DIRENT_SIZE, Dirent};
use super::Corrupt;
use super::bytes::Bytes;
use super::inode::{Inode, Source};

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
        let at = (u64::from(inode.u) + block) * BLOCK;
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
    let block = bytes.slice(at, length)?;
    let dirent = |nth: usize| bytes.get::<Dirent>(at + (nth * DIRENT_SIZE) as u64);
    let first = usize::from(dirent(0)?.nameoff.get());
    let wrong = |nth: usize, what| Corrupt { offset: at + (nth * DIRENT_SIZE) as u64, what };
    if first == 0 || first % DIRENT_SIZE != 0 || first > block.len() {
        return Err(wrong(0, "names that start in the middle of an entry"));
    }
    let count = first / DIRENT_SIZE;
    for nth in 0..count {
        let entry = dirent(nth)?;
        let start = usize::from(entry.nameoff.get());
        let name = if nth + 1 < count {
            block.get(start..usize::from(dirent(nth + 1)?.nameoff.get()))
        } else {
            // The last ends where the block does, or with a NUL.
            let rest = block.get(start..);
            rest.and_then(|rest| rest.split(|&b| b == 0).next())
        };
        match name {
            Some(name) if start >= first && !name.is_empty() => {
                let (nid, file_type) = (entry.nid.get(), entry.file_type);
                names.push(Name { offset: at + (nth * DIRENT_SIZE) as u64, bytes: name, nid, file_type });
            }
            _ => return Err(wrong(nth, "a name that is not where it should be")),
        }
    }
    Ok(())
}
