//! Gives everything a place.

use std::collections::BTreeSet;

use crate::format::{DEVICE_SLOT_SIZE, EXTENDED_SIZE, SLOT, SUPERBLOCK_OFFSET, Superblock};
use crate::plan::devices::Device;
use crate::plan::indexes;
use crate::plan::survey::{Data, Survey};
use crate::plan::width::{Width, too_large};
use crate::pressed::Pressed;
use crate::{BlockSize, Error, Options};

use tree::{Content, Kind, Tree};

/// No filesystem is smaller, in bytes.
const SIZE_MIN: u64 = 4096;

/// Where the areas lie, in blocks; inodes and runs know their own places.
#[derive(Debug)]
pub(crate) struct Placed {
    /// Where inodes are counted from.
    pub(crate) metadata: u64,
    /// Where the table of devices starts, in bytes.
    pub(crate) devices: u64,
    /// Where shared attributes start, in bytes.
    pub(crate) shared: u64,
    /// The number of the packed inode; 0 if there is none.
    pub(crate) packed: u64,
    /// Behind the inodes: directories, texts of links, contents made here.
    pub(crate) own: u64,
    /// Behind these: contents of layers.
    pub(crate) contents: u64,
    /// Blocks in all.
    pub(crate) blocks: u64,
}

/// Places what `survey` asks for.
pub(crate) fn place(
    tree: &Tree,
    survey: &mut Survey,
    pressed: &Pressed,
    devices: &[Device],
    options: &Options,
    width: Width,
) -> Result<Placed, Error> {
    let size = options.block_size;
    let metadata = if pressed.is_empty() { 0 } else { pressed.end() };
    let start = metadata * u64::from(size.bytes());
    let mut packer = if pressed.is_empty() { Packer::new(size) } else { Packer::behind(metadata, size) };
    // First, since slots lie at multiples of their length.
    let table = packer.take(devices.len() as u64 * DEVICE_SLOT_SIZE, 0, true);
    let mut shared = None;
    for inode in &mut survey.inodes {
        let length = inode.length(size);
        // What the superblock's checksum covers must be known: none of it may come from layers.
        let known = inode.tail(size) == 0 || is_own(&tree.node(inode.node).kind);
        let tail = inode.packed_tail();
        inode.nid = (packer.take(length, tail, known) - start) / SLOT;
        // Right behind the root, whose number is small only if it comes first.
        shared.get_or_insert_with(|| packer.take(survey.shared.length, 0, true));
    }
    let packed = match &pressed.packed {
        Some((size, _)) => {
            let length = EXTENDED_SIZE + indexes::length(EXTENDED_SIZE, *size);
            (packer.take(length, 0, false) - start) / SLOT
        }
        None => 0,
    };
    let own = packer.next;
    let mut next = own;
    let mut take = |blocks: u64| {
        let start = next;
        next += blocks;
        start
    };
    // Directories first, so that looking at names reads one stretch of the disk.
    for directories in [true, false] {
        for inode in &mut survey.inodes {
            let kind = &tree.node(inode.node).kind;
            let blocks = inode.blocks(size);
            if blocks > 0 && is_own(kind) && matches!(kind, Kind::Directory(_)) == directories {
                inode.start = take(blocks);
            }
        }
    }
    let contents = take(0);
    // All that comes before contents has short addresses in either layout.
    if contents > Width::Narrow.blocks_max() {
        return Err(too_large(contents, options, Width::Narrow));
    }
    for run in &mut survey.runs {
        run.start = take(run.stretch.blocks);
        let inode = &mut survey.inodes[run.inode as usize];
        if !matches!(inode.data, Data::Chunks { .. }) {
            inode.start = run.start;
        }
    }
    survey.settle()?;
    for &(inode, twin) in &survey.twins {
        survey.inodes[inode as usize].start = survey.inodes[twin as usize].start;
    }
    // What mounts does not look at a device that is smaller than a page.
    next = next.max(SIZE_MIN / u64::from(size.bytes()));
    // Who puts all devices behind one another counts through.
    let all = next + devices.iter().map(|device| device.blocks(size)).sum::<u64>();
    if all > width.blocks_max() {
        return Err(too_large(all, options, width));
    }
    Ok(Placed {
        metadata,
        devices: table,
        shared: shared.unwrap_or_default(),
        packed,
        own,
        contents,
        blocks: next,
    })
}

/// Whether the bytes of such a node are known here.
fn is_own(kind: &Kind) -> bool {
    matches!(kind, Kind::Directory(_) | Kind::Symlink(_) | Kind::File(Content::Inline(_)))
}

/// Fills blocks with records, none of which lies in two blocks unless it is longer than one.
struct Packer {
    size: u64,
    /// The first block that holds nothing yet.
    next: u64,
    /// What is left of the superblock's block.
    head: Open,
    /// What is left of the others.
    open: BTreeSet<Open>,
}

/// What is left of a block, in bytes of the filesystem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Open {
    /// First, so that the one that fits best is the next one.
    left: u64,
    at: u64,
}

impl Open {
    fn take(&mut self, length: u64) -> u64 {
        let at = self.at;
        self.at += length;
        self.left -= length;
        at
    }
}

impl Packer {
    fn new(size: BlockSize) -> Packer {
        let size = u64::from(size.bytes());
        let at = SUPERBLOCK_OFFSET + size_of::<Superblock>() as u64;
        let head = Open { left: at.next_multiple_of(size) - at, at };
        Packer { size, next: at.div_ceil(size), head, open: BTreeSet::new() }
    }

    /// Fills blocks from one on that is not the superblock's.
    fn behind(block: u64, size: BlockSize) -> Packer {
        let size = u64::from(size.bytes());
        // The number 0 would be taken for no inode.
        let first = Open { left: size - SLOT, at: block * size + SLOT };
        let head = Open { left: 0, at: first.at };
        Packer { size, next: block + 1, head, open: BTreeSet::from([first]) }
    }

    /// A place for so many bytes, the last `tail` of which must lie in one block, whatever the others do; `known` ones
    /// may lie beside the superblock.
    fn take(&mut self, length: u64, tail: u64, known: bool) -> u64 {
        let end = length;
        let length = length.next_multiple_of(SLOT);
        if known && length <= self.head.left {
            return self.head.take(length);
        }
        let fitting = self.open.range(Open { left: length, at: 0 }..).next().copied();
        let mut open = match fitting {
            Some(open) => {
                self.open.remove(&open);
                open
            }
            None => {
                // Of what is longer than a block, the tail may have to begin with one.
                let before = (end - tail) % self.size;
                let is_cut = tail > 0 && before + tail > self.size;
                let shift = if is_cut { (self.size - before).next_multiple_of(SLOT) } else { 0 };
                let (start, blocks) = (self.next * self.size, (shift + length).div_ceil(self.size));
                self.next += blocks;
                if shift > 0 {
                    self.open.insert(Open { left: shift, at: start });
                }
                Open { left: blocks * self.size - shift, at: start + shift }
            }
        };
        let at = open.take(length);
        if open.left > 0 {
            self.open.insert(open);
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_lie_in_one_block() {
        let mut packer = Packer::new(BlockSize::B4096);
        assert_eq!(packer.take(33, 0, true), 1152);
        assert_eq!(packer.take(100, 0, false), 4096);
        assert_eq!(packer.take(4000, 0, false), 8192);
        assert_eq!(packer.take(100, 0, false), 4096 + 128);
        // Where it fits best.
        assert_eq!(packer.take(96, 0, false), 8192 + 4000);
        assert_eq!(packer.take(5000, 0, true), 12_288);
        assert_eq!(packer.take(2944, 0, true), 12_288 + 5024);
        assert_eq!(packer.take(2880, 0, true), 1152 + 64);
        assert_eq!(packer.next, 5);
        for (length, tail) in [(5000, 500), (5000, 1000), (8192, 4000), (4160, 96), (4100, 3000)] {
            let at = packer.take(length, tail, false) + length;
            assert_eq!((at - tail) / 4096, (at - 1) / 4096, "{length} {tail}");
        }
        for (size, first) in [(BlockSize::B512, 3), (BlockSize::B1024, 2), (BlockSize::B2048, 1)] {
            let mut packer = Packer::new(size);
            assert_eq!(packer.take(32, 0, true), 1152);
            assert_eq!(packer.take(32, 0, false), first * u64::from(size.bytes()));
        }
    }
}
