//! Directories, as they are read.

use super::inodes::Inode;
use super::{Filesystem, ReadError};
use crate::format::{DIRENT_SIZE, S_IFDIR};
use crate::parse::{self, file_type_number};

/// A name in a directory, the number of its inode, and the type that the directory says it has.
pub(super) struct Entry {
    pub(super) name: Box<[u8]>,
    pub(super) nid: u64,
    pub(super) file_type: u8,
}

/// Most names that are shown: as many as an image's layers may have entries. They are what memory is spent on.
const NAMES_MAX: u64 = 20_000_000;

impl Filesystem<'_> {
    /// The names in a directory, in the order of their bytes; `.` and `..` are checked and left out. At most
    /// `names_max`.
    pub(super) fn entries(
        &self,
        directory: &Inode,
        parent: u64,
        names_max: u64,
    ) -> Result<Vec<Entry>, ReadError> {
        let Some(flat) = self.flat(directory)? else {
            return Err(ReadError::Unsupported { what: "a directory in chunks or clusters".into() });
        };
        let mut found: Vec<Entry> = Vec::new();
        let mut dots = [false; 2];
        let mut last: Box<[u8]> = Box::default();
        let mut at = 0;
        while at < directory.fields.size {
            let block = self.flat_bytes(directory, flat, at, self.block_size)?;
            at += block.len() as u64;
            let names = parse::names(&block).map_err(|(_, what)| directory.corrupt(what))?;
            for name in names {
                if name.bytes.len() > 255 || name.bytes.contains(&b'/') {
                    return Err(directory.corrupt("a name is impossible"));
                }
                if *name.bytes <= *last {
                    return Err(directory.corrupt("its names are not in order"));
                }
                last = name.bytes.into();
                match name.bytes {
                    b"." | b".." => {
                        let is_parent = name.bytes == b"..";
                        let nid = if is_parent { parent } else { directory.nid };
                        dots[usize::from(is_parent)] =
                            name.nid == nid && name.file_type == file_type_number(S_IFDIR);
                    }
                    _ if found.len() as u64 >= names_max => {
                        let what = "it has more names than the filesystem has room for";
                        return Err(match self.names_max() {
                            NAMES_MAX => ReadError::Limit { what: "names", limit: NAMES_MAX },
                            _ => directory.corrupt(what),
                        });
                    }
                    bytes => {
                        found.push(Entry { name: bytes.into(), nid: name.nid, file_type: name.file_type })
                    }
                }
            }
        }
        if dots != [true; 2] {
            return Err(directory.corrupt("`.` or `..` is missing or leads elsewhere"));
        }
        Ok(found)
    }

    /// Most names: each takes bytes that no other has.
    pub(super) fn names_max(&self) -> u64 {
        NAMES_MAX.min(self.end / DIRENT_SIZE as u64)
    }
}
