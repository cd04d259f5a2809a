//! Block groups: what follows from the number of blocks and inodes alone.

use crate::format::{DESCRIPTOR_SIZE, FLEX, INODE_SIZE};
use crate::options::{Inodes, Options, Profile};
use crate::{BlockSize, Error};

/// A run of blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Run {
    pub(crate) start: u64,
    pub(crate) length: u64,
}

impl Run {
    pub(crate) fn end(&self) -> u64 {
        self.start + self.length
    }
}

/// Where a group's own metadata lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) block_bitmap: u64,
    pub(crate) inode_bitmap: u64,
    pub(crate) inode_table: u64,
}

/// The block groups of a filesystem and the metadata whose place they fix.
#[derive(Debug, Clone)]
pub(crate) struct Groups {
    pub(crate) block_size: BlockSize,
    /// Blocks in all; fewer than asked for where the last group would have been too small.
    pub(crate) blocks: u64,
    pub(crate) descriptor_blocks: u64,
    pub(crate) reserved_descriptor_blocks: u64,
    /// Whether an inode keeps the reserved blocks for the kernel to grow into.
    pub(crate) resize_inode: bool,
    pub(crate) inodes_per_group: u32,
    pub(crate) inode_table_blocks: u64,
    pub(crate) places: Vec<Place>,
    /// Superblocks, descriptors, bitmaps and inode tables: ascending, merged.
    pub(crate) fixed: Vec<Run>,
    pub(crate) fixed_blocks: u64,
    /// The next number of blocks above [`Groups::blocks`] that gives a filesystem of another size.
    pub(crate) next: u64,
}

/// Fewest blocks that are worth a last group, besides its own metadata; mke2fs drops a smaller one.
const LAST_GROUP_MIN: u64 = 50;

/// Blocks that 32 bits number; beyond, the resize inode's block map cannot name the backups.
const BLOCKS_32: u64 = u32::MAX as u64;

impl Groups {
    /// Lays out `blocks` blocks for at least `inodes_used` inodes, reserved ones included.
    ///
    /// `Ok(Err(n))`: that is too few, try `n`.
    pub(crate) fn new(
        blocks: u64,
        inodes_used: u64,
        options: &Options,
    ) -> Result<Result<Groups, u64>, Error> {
        let size = options.block_size;
        let per_group = u64::from(size.blocks_per_group());
        let first = size.first_data_block();
        let mut blocks = blocks;
        if blocks <= first {
            return Ok(Err(first + 1));
        }
        let mut next = blocks.saturating_add(1);
        loop {
            let count = (blocks - first).div_ceil(per_group);
            let too_large = || Error::TooLarge { blocks, block_size: size.bytes() };
            // The descriptors lie in one group, so 2^24 groups are far more than any block size allows.
            let groups = u32::try_from(count).ok().filter(|&n| n < 1 << 24).ok_or_else(too_large)?;
            let descriptor_blocks = u64::from(groups).div_ceil(size.descriptors_per_block());
            let resize_inode = options.profile != Profile::ReadOnly && blocks <= BLOCKS_32;
            let reserved =
                if resize_inode { reserved_descriptors(blocks, descriptor_blocks, size) } else { 0 };
            let copy = 1 + descriptor_blocks + reserved;

            let inodes = wanted_inodes(blocks, inodes_used, groups, options);
            let each = inodes_per_group(inodes, groups, size);
            // The kernel and resize2fs count inodes in 32 bits.
            if each.saturating_mul(count) > u64::from(u32::MAX) {
                return Err(Error::TooManyInodes { inodes });
            }
            if each > per_group {
                return Ok(Err(next.max((inodes.div_ceil(per_group) - 1) * per_group + first + 1)));
            }
            let inodes_per_group = each as u32;
            let inode_table_blocks =
                u64::from(inodes_per_group) * u64::from(INODE_SIZE) / u64::from(size.bytes());

            // Room for the largest inode table between two backups, so that all tables find a place.
            if copy + inode_table_blocks * 2 + 2 * u64::from(FLEX) > per_group {
                return Err(too_large());
            }
            let last = (blocks - first) % per_group;
            let own = 2 + inode_table_blocks + if has_backup(groups - 1) { copy } else { 0 };
            if last != 0 && last < own + LAST_GROUP_MIN {
                let kept = blocks - last + own + LAST_GROUP_MIN;
                if groups == 1 {
                    return Ok(Err(kept));
                }
                blocks -= last;
                next = kept;
                continue;
            }
            let mut laid_out = Groups {
                block_size: size,
                blocks,
                descriptor_blocks,
                reserved_descriptor_blocks: reserved,
                resize_inode,
                inodes_per_group,
                inode_table_blocks,
                places: Vec::with_capacity(groups as usize),
                fixed: Vec::new(),
                fixed_blocks: 0,
                next,
            };
            laid_out.place(groups);
            if laid_out.fixed.last().is_some_and(|run| run.end() > blocks) {
                return Ok(Err(next));
            }
            return Ok(Ok(laid_out));
        }
    }

    /// Puts bitmaps and inode tables of each 16 groups behind one another, from the first of them on, around
    /// the copies of the superblock.
    fn place(&mut self, groups: u32) {
        let copy = self.copy_blocks();
        let mut runs: Vec<Run> = (0..groups)
            .filter(|&group| has_backup(group))
            .map(|group| Run { start: self.group_start(group), length: copy })
            .collect();
        let backups = runs.len();
        for leader in (0..groups).step_by(FLEX as usize) {
            let members = FLEX.min(groups - leader);
            let mut cursor = self.group_start(leader);
            let mut take = |length: u64| {
                // Few backups and each after the first in a group of its own: the loop ends at once.
                while let Some(copy) =
                    runs[..backups].iter().find(|copy| cursor < copy.end() && copy.start < cursor + length)
                {
                    cursor = copy.end();
                }
                let start = cursor;
                cursor += length;
                start
            };
            let first = self.places.len();
            for _ in 0..members {
                self.places.push(Place { block_bitmap: take(1), inode_bitmap: 0, inode_table: 0 });
            }
            for place in &mut self.places[first..] {
                place.inode_bitmap = take(1);
            }
            for place in &mut self.places[first..] {
                place.inode_table = take(self.inode_table_blocks);
            }
        }
        for place in &self.places {
            runs.push(Run { start: place.block_bitmap, length: 1 });
            runs.push(Run { start: place.inode_bitmap, length: 1 });
            runs.push(Run { start: place.inode_table, length: self.inode_table_blocks });
        }
        runs.sort_unstable();
        for run in runs {
            self.fixed_blocks += run.length;
            match self.fixed.last_mut() {
                Some(last) if last.end() == run.start => last.length += run.length,
                _ => self.fixed.push(run),
            }
        }
    }

    pub(crate) fn count(&self) -> u32 {
        self.places.len() as u32
    }

    pub(crate) fn inodes(&self) -> u64 {
        u64::from(self.count()) * u64::from(self.inodes_per_group)
    }

    pub(crate) fn first_data_block(&self) -> u64 {
        self.block_size.first_data_block()
    }

    /// The first block of a group.
    pub(crate) fn group_start(&self, group: u32) -> u64 {
        self.first_data_block() + u64::from(group) * u64::from(self.block_size.blocks_per_group())
    }

    /// One past the last block of a group.
    pub(crate) fn group_end(&self, group: u32) -> u64 {
        self.group_start(group + 1).min(self.blocks)
    }

    /// Blocks of a superblock with its descriptors and what is reserved for more of them.
    pub(crate) fn copy_blocks(&self) -> u64 {
        1 + self.descriptor_blocks + self.reserved_descriptor_blocks
    }

    /// The groups besides the first that hold a copy of the superblock.
    pub(crate) fn backups(&self) -> impl Iterator<Item = u32> + use<> {
        (1..self.count()).filter(|&group| has_backup(group))
    }
}

impl BlockSize {
    pub(crate) fn blocks_per_group(self) -> u32 {
        self.bytes() * 8
    }

    /// The block that holds the superblock.
    pub(crate) fn first_data_block(self) -> u64 {
        u64::from(self == BlockSize::B1024)
    }

    pub(crate) fn descriptors_per_block(self) -> u64 {
        u64::from(self.bytes() / DESCRIPTOR_SIZE)
    }
}

/// Whether a group holds a copy of the superblock: 0, 1, and the powers of 3, 5 and 7 (sparse_super).
pub(crate) fn has_backup(group: u32) -> bool {
    group <= 1
        || [3u32, 5, 7].into_iter().any(|base| {
            let mut power = group;
            while power.is_multiple_of(base) {
                power /= base;
            }
            power == 1
        })
}

/// Blocks kept for group descriptors of a filesystem grown 1,024-fold, or to 2^32 blocks
/// (`calc_reserved_gdt_blocks` of libext2fs).
fn reserved_descriptors(blocks: u64, descriptor_blocks: u64, size: BlockSize) -> u64 {
    let grown = if blocks < BLOCKS_32 / 1024 { blocks * 1024 } else { BLOCKS_32 };
    (grown - size.first_data_block())
        .div_ceil(u64::from(size.blocks_per_group()))
        .div_ceil(size.descriptors_per_block())
        .saturating_sub(descriptor_blocks)
        .min(u64::from(size.bytes() / 4))
}

/// Inodes in all, for so many in use.
fn wanted_inodes(blocks: u64, used: u64, groups: u32, options: &Options) -> u64 {
    match options.inodes {
        Inodes::Auto if options.profile == Profile::ReadOnly => used,
        Inodes::Auto => {
            let bytes = blocks.saturating_mul(u64::from(options.block_size.bytes()));
            let by_size = (bytes / 16_384).max((bytes / 4096).min(32_768));
            // What rounding up in each group may add must still fit 32 bits.
            let most = u64::from(u32::MAX) - u64::from(groups) * 16;
            by_size.max(used.saturating_add(used / 5)).min(most).max(used)
        }
        Inodes::Free(free) => used.saturating_add(free),
        Inodes::Total(total) => total.max(used),
    }
}

/// Inodes of each group: whole blocks of the table, whole bytes of the bitmap.
fn inodes_per_group(inodes: u64, groups: u32, size: BlockSize) -> u64 {
    let step = u64::from((size.bytes() / INODE_SIZE).max(8));
    // The reserved inodes and lost+found must lie in the first group.
    inodes.div_ceil(u64::from(groups)).max(16).div_ceil(step).saturating_mul(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_with_backups() {
        let groups: Vec<u32> = (0..400).filter(|&group| has_backup(group)).collect();
        assert_eq!(groups, [0, 1, 3, 5, 7, 9, 25, 27, 49, 81, 125, 243, 343]);
    }

    #[test]
    fn reserved_like_mke2fs() {
        // `dumpe2fs -h` after `mke2fs -t ext4`: 2 GiB, 64 MiB, 20 TiB; 64 MiB with 1 KiB blocks.
        assert_eq!(reserved_descriptors(524_288, 1, BlockSize::B4096), 255);
        assert_eq!(reserved_descriptors(16_384, 1, BlockSize::B4096), 7);
        assert_eq!(reserved_descriptors(5 << 30, 2560, BlockSize::B4096), 0);
        assert_eq!(reserved_descriptors(65_536, 1, BlockSize::B1024), 256);
    }
}
