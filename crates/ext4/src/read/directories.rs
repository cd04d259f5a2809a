//! Directories, as they are read.

use zerocopy::FromBytes;

use super::extents::{Extents, Written};
use super::inodes::Inode;
use super::{Filesystem, ReadError};
use crate::checksum::crc32c;
use crate::format::{DIR_TAIL_FT, DIR_TAIL_SIZE, DirEntry, FL_INDEX};

/// A name in a directory, and the number of its inode.
pub(super) type Entry = (Box<[u8]>, u32);

impl Filesystem<'_> {
    /// The names in a directory, in the order of their bytes; `.` and `..` are checked and left out. At most
    /// `names_max`.
    pub(super) fn entries(
        &self,
        directory: &Inode,
        extents: &Extents,
        parent: u32,
        names_max: u64,
    ) -> Result<Vec<Entry>, ReadError> {
        let corrupt = |what| ReadError::Corrupt { place: directory.place(), what };
        let blocks = directory.size().div_ceil(self.block_size);
        let mut found: Vec<Entry> = Vec::new();
        let mut dots = [None; 2];
        let mut next = 0;
        for (extent, written) in &extents.extents {
            if u64::from(extent.logical) != next || *written == Written::No {
                return Err(corrupt("the directory has a hole"));
            }
            next += u64::from(extent.length);
            for number in extent.start..extent.start + u64::from(extent.length) {
                let block = self.block(number, directory.place())?;
                self.check_names(directory, &block)?;
                each_entry(&block, |ino, name| {
                    match name {
                        b"." => dots[0] = Some(ino),
                        b".." => dots[1] = Some(ino),
                        _ if found.len() as u64 == names_max => return Err(None),
                        _ => found.push((name.into(), ino)),
                    }
                    Ok(())
                })
                .map_err(|what| match what {
                    Some(what) => corrupt(what),
                    None => ReadError::Limit { what: "names", limit: super::dump::NAMES_MAX },
                })?;
            }
        }
        if next != blocks || blocks == 0 {
            return Err(corrupt("the directory has a hole"));
        }
        if dots != [Some(directory.number), Some(parent)] {
            return Err(corrupt("`.` or `..` is missing or leads elsewhere"));
        }
        found.sort_unstable();
        if found.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(corrupt("a name stands in it twice"));
        }
        Ok(found)
    }

    /// Verifies the checksum of a block of names. Blocks of a directory's index look like blocks without names, and
    /// have theirs elsewhere.
    fn check_names(&self, directory: &Inode, block: &[u8]) -> Result<(), ReadError> {
        let Some(seed) = directory.seed else { return Ok(()) };
        let (names, tail) = block.split_at(block.len() - DIR_TAIL_SIZE);
        let is_tail = tail[..8] == [0, 0, 0, 0, DIR_TAIL_SIZE as u8, 0, 0, DIR_TAIL_FT];
        let stated = u32::from_le_bytes([tail[8], tail[9], tail[10], tail[11]]);
        let is_index = directory.fields.flags.get() & FL_INDEX != 0 && !is_tail;
        if !is_index && (!is_tail || stated != crc32c(seed, names)) {
            let what = "the checksum of a block of names is wrong";
            return Err(ReadError::Corrupt { place: directory.place(), what });
        }
        Ok(())
    }
}

/// Gives each entry in use of a block of names.
fn each_entry<'b>(
    block: &'b [u8],
    mut each: impl FnMut(u32, &'b [u8]) -> Result<(), Option<&'static str>>,
) -> Result<(), Option<&'static str>> {
    let mut rest = block;
    while !rest.is_empty() {
        let Ok((entry, name)) = DirEntry::ref_from_prefix(rest) else {
            return Err(Some("an entry of the directory is cut short"));
        };
        // Of 64 KiB no length can be written down (`ext4_rec_len_from_disk`).
        let length = match usize::from(entry.rec_len.get()) {
            0 | 0xffff if block.len() == 0x1_0000 => 0x1_0000,
            length => length,
        };
        if length < 8 || length % 4 != 0 || length > rest.len() {
            return Err(Some("an entry of the directory has an impossible length"));
        }
        if entry.inode.get() != 0 {
            let name = name.get(..usize::from(entry.name_len)).filter(|name| name.len() + 8 <= length);
            let name = name.ok_or(Some("a name is longer than its entry"))?;
            if name.is_empty() || name.contains(&0) || name.contains(&b'/') {
                return Err(Some("a name is impossible"));
            }
            each(entry.inode.get(), name)?;
        }
        rest = &rest[length..];
    }
    Ok(())
}
