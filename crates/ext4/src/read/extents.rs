//! Extent trees, as they are read.

use zerocopy::FromBytes;

use super::inodes::Inode;
use super::{Filesystem, ReadError};
use crate::checksum::crc32c;
use crate::format::{
    EXTENT_DEPTH_MAX, EXTENT_LENGTH_MAX, EXTENT_MAGIC, EXTENTS_IN_INODE, ExtentHeader, ExtentIndex,
    ExtentLeaf,
};
use crate::plan::extents::Extent;

/// What an inode's extent tree consists of.
#[derive(Default)]
pub(super) struct Extents {
    pub(super) extents: Vec<(Extent, Written)>,
    /// Blocks of the tree that lie outside of the inode, from the top.
    pub(super) blocks: Vec<u64>,
}

/// Whether an extent's blocks hold data, or are merely kept for it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    Yes,
    No,
}

/// What is left to be read: blocks of the tree with the depth that they must have.
struct Open<'a> {
    filesystem: &'a Filesystem<'a>,
    inode: &'a Inode,
    found: Extents,
    /// The first block of the file that no extent has reached.
    reached: u64,
}

impl Filesystem<'_> {
    /// Where an inode's blocks are, in the order of the file.
    pub(super) fn extents(&self, inode: &Inode) -> Result<Extents, ReadError> {
        let mut open = Open { filesystem: self, inode, found: Extents::default(), reached: 0 };
        if inode.has_extents() {
            open.node(&inode.fields.block, None, EXTENTS_IN_INODE)?;
        }
        Ok(open.found)
    }
}

impl Open<'_> {
    fn corrupt(&self, what: &'static str) -> ReadError {
        ReadError::Corrupt { place: self.inode.place(), what }
    }

    /// Reads a node and all below it; as deep as trees may be, which is five levels.
    fn node(&mut self, bytes: &[u8], depth: Option<u16>, room: usize) -> Result<(), ReadError> {
        let (header, entries) = ExtentHeader::read_from_prefix(bytes).expect("a header fits everywhere");
        let count = usize::from(header.entries.get());
        if header.magic.get() != EXTENT_MAGIC || usize::from(header.max.get()) > room || count > room {
            return Err(self.corrupt("a header of its extents is wrong"));
        }
        let found = header.depth.get();
        if depth.map_or(u32::from(found) > EXTENT_DEPTH_MAX, |depth| depth != found) {
            return Err(self.corrupt("its extents have a wrong depth"));
        }
        for entry in entries.chunks_exact(12).take(count) {
            if found == 0 {
                let entry = ExtentLeaf::read_from_bytes(entry).expect("it has 12 bytes");
                self.leaf(&entry)?;
            } else {
                let entry = ExtentIndex::read_from_bytes(entry).expect("it has 12 bytes");
                self.below(&entry, found - 1)?;
            }
        }
        Ok(())
    }

    fn below(&mut self, entry: &ExtentIndex, depth: u16) -> Result<(), ReadError> {
        let number = u64::from(entry.leaf_hi.get()) << 32 | u64::from(entry.leaf_lo.get());
        if u64::from(entry.block.get()) < self.reached
            || self.found.blocks.len() as u64 > self.filesystem.blocks
        {
            return Err(self.corrupt("its extents are not in order"));
        }
        let block = self.filesystem.block(number, self.inode.place())?;
        let room = (block.len() - 12) / 12;
        if let Some(seed) = self.inode.seed {
            let tail = 12 + 12 * room;
            let stated = block
                .get(tail..tail + 4)
                .map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
            if stated != Some(crc32c(seed, &block[..tail])) {
                return Err(self.corrupt("the checksum of its extents is wrong"));
            }
        }
        self.found.blocks.push(number);
        let before = self.reached;
        self.node(&block, Some(depth), room)?;
        // Otherwise the same empty block could stand everywhere.
        if self.reached == before { Err(self.corrupt("its extents are not in order")) } else { Ok(()) }
    }

    fn leaf(&mut self, entry: &ExtentLeaf) -> Result<(), ReadError> {
        let start = u64::from(entry.start_hi.get()) << 32 | u64::from(entry.start_lo.get());
        let (logical, length) = (entry.block.get(), u64::from(entry.len.get()));
        // Longer ones are kept, and not written yet (`EXT_INIT_MAX_LEN`).
        let (length, written) = match length {
            0 => return Err(self.corrupt("an extent has no blocks")),
            1..=EXTENT_LENGTH_MAX => (length, Written::Yes),
            _ => (length - EXTENT_LENGTH_MAX, Written::No),
        };
        if u64::from(logical) < self.reached {
            return Err(self.corrupt("its extents are not in order"));
        }
        if start.saturating_add(length) > self.filesystem.blocks {
            return Err(self.corrupt("a block lies behind the end of the filesystem"));
        }
        self.reached = u64::from(logical) + length;
        let extent = Extent { ino: self.inode.number, logical, length: length as u32, start };
        self.found.extents.push((extent, written));
        Ok(())
    }
}
