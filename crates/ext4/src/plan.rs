//! Planning: where everything goes, decided before a byte is written.

mod acl;
pub(crate) mod directories;
pub(crate) mod extents;
pub(crate) mod groups;
pub(crate) mod limits;
pub(crate) mod place;
mod size;
pub(crate) mod survey;
pub(crate) mod xattrs;

use std::ops::Range;

use tree::Tree;

use crate::Error;
use crate::format::{
    BG_BLOCK_UNINIT, BG_INODE_UNINIT, BG_INODE_ZEROED, FLEX, INO_FIRST, INO_JOURNAL, compat, incompat,
    ro_compat,
};
use crate::options::{Options, Profile};
use crate::plan::place::Placed;
use crate::plan::survey::{Survey, survey};

/// A filesystem that is not written yet: where each structure, name and byte goes.
///
/// It belongs to the tree that it was planned for, unchanged.
#[derive(Debug)]
pub struct Layout {
    pub(crate) options: Options,
    pub(crate) survey: Survey,
    pub(crate) placed: Placed,
    pub(crate) groups: Vec<GroupCounts>,
    pub(crate) reserved_blocks: u64,
    size: u64,
}

/// What a group descriptor counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GroupCounts {
    pub(crate) free_blocks: u32,
    pub(crate) free_inodes: u32,
    pub(crate) used_directories: u32,
    pub(crate) flags: u16,
}

/// Feature words of the superblock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Features {
    pub(crate) compat: u32,
    pub(crate) incompat: u32,
    pub(crate) ro_compat: u32,
}

/// Decides where everything in `tree` goes.
///
/// Takes time and memory by the number of names and pieces, not by their bytes. Fails with
/// [`Error::TooSmall`] if a size was given that the tree does not fit, and with [`Error::Limit`],
/// [`Error::Invalid`] or [`Error::TooLarge`] for what ext4 cannot hold.
pub fn plan(tree: &Tree, options: &Options) -> Result<Layout, Error> {
    if options.reserved_percent > 50 {
        return Err(Error::Option { what: "more than 50 percent of the blocks reserved" });
    }
    if options.uuid == [0; 16] {
        return Err(Error::Option { what: "UUID is all zeros" });
    }
    let survey = survey(tree, options)?;
    let (placed, size) = size::fit(&survey, options)?;
    let groups = count_groups(&survey, &placed);
    let reserved_blocks = size::reserved_blocks(placed.groups.blocks, options);
    Ok(Layout { options: options.clone(), survey, placed, groups, reserved_blocks, size })
}

impl Layout {
    /// Bytes of the file or device. With [`Size::Total`](crate::Size::Total) that is what was asked for;
    /// [`Layout::blocks`] may be less, since a last group that would be too small is left out.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes of a block.
    pub fn block_size(&self) -> u32 {
        self.options.block_size.bytes()
    }

    /// Blocks in all.
    pub fn blocks(&self) -> u64 {
        self.placed.groups.blocks
    }

    /// Blocks that nothing uses, those that only root may fill included.
    pub fn free_blocks(&self) -> u64 {
        self.blocks() - self.placed.used()
    }

    /// Blocks that only root may fill.
    pub fn reserved_blocks(&self) -> u64 {
        self.reserved_blocks
    }

    /// Blocks of the journal; 0 if there is none.
    pub fn journal_blocks(&self) -> u64 {
        self.placed.journal_blocks
    }

    /// Block groups.
    pub fn groups(&self) -> u32 {
        self.placed.groups.count()
    }

    /// Inodes in all.
    pub fn inodes(&self) -> u64 {
        self.placed.groups.inodes()
    }

    /// Inodes that nothing uses.
    pub fn free_inodes(&self) -> u64 {
        self.inodes() - self.survey.inodes_used()
    }

    /// How many times lie outside of December 1901 to April 2310, and were moved to the nearer edge.
    pub fn clamped_times(&self) -> u64 {
        self.survey.clamped_times
    }

    /// How many extended attributes were left out since ext4 has no place for their prefix: it knows
    /// `user.`, `trusted.`, `security.` and the POSIX access control lists.
    pub fn dropped_xattrs(&self) -> u64 {
        self.survey.dropped_xattrs
    }

    /// Byte ranges, ascending, that must read as zeros where nothing is put: around superblocks, bitmaps,
    /// inode tables and the journal. A new file has zeros there; an old device needs them written first.
    ///
    /// They overlap with what is written. The only other place where less than a block is put is the end of
    /// a file.
    pub fn zeros(&self) -> Vec<Range<u64>> {
        let block = u64::from(self.block_size());
        let fixed = self.placed.groups.fixed.iter().map(|run| run.start..run.end());
        let journal = extents::of(&self.placed.extents, INO_JOURNAL);
        let journal = journal.iter().map(|extent| extent.start..extent.start + u64::from(extent.length));
        let mut ranges: Vec<Range<u64>> =
            fixed.chain(journal).map(|r| r.start * block..r.end * block).collect();
        ranges.sort_unstable_by_key(|range| range.start);
        ranges
    }

    pub(crate) fn features(&self) -> Features {
        let options = &self.options;
        let mut features = Features {
            compat: compat::EXT_ATTR | compat::DIR_INDEX,
            incompat: incompat::FILETYPE | incompat::EXTENTS | incompat::BIT64 | incompat::FLEX_BG,
            ro_compat: ro_compat::SPARSE_SUPER
                | ro_compat::LARGE_FILE
                | ro_compat::HUGE_FILE
                | ro_compat::DIR_NLINK
                | ro_compat::EXTRA_ISIZE
                | ro_compat::METADATA_CSUM,
        };
        if self.journal_blocks() > 0 {
            features.compat |= compat::HAS_JOURNAL;
        }
        if self.placed.groups.resize_inode {
            features.compat |= compat::RESIZE_INODE;
        }
        if options.profile == Profile::ReadWrite {
            features.incompat |= incompat::CSUM_SEED;
        }
        if self.survey.ea_inode {
            features.incompat |= incompat::EA_INODE;
        }
        if self.survey.largedir {
            features.incompat |= incompat::LARGEDIR;
        }
        features
    }
}

/// Counts what is free in each group.
fn count_groups(survey: &Survey, placed: &Placed) -> Vec<GroupCounts> {
    let groups = &placed.groups;
    let last_used = u64::from(INO_FIRST) - 1 + survey.inodes.len() as u64 - 1;
    let mut directories = vec![0; groups.places.len()];
    for (place, inode) in survey.inodes.iter().enumerate() {
        if inode.directory {
            directories[((Survey::number(place) - 1) / groups.inodes_per_group) as usize] += 1;
        }
    }
    let mut fixed = groups.fixed.as_slice();
    (0..groups.count())
        .map(|group| {
            let (start, end) = (groups.group_start(group), groups.group_end(group));
            let full = placed.end.clamp(start, end);
            // Behind the last block in use, only fixed metadata is not free.
            let mut free = end - full;
            let mut others = 0;
            while let Some((run, rest)) = fixed.split_first()
                && run.start < end
            {
                free -= run.end().min(end).saturating_sub(run.start.max(full));
                others += run.end().min(end) - run.start.max(start);
                if run.end() > end {
                    break;
                }
                fixed = rest;
            }
            let first_ino = u64::from(group) * u64::from(groups.inodes_per_group) + 1;
            let used = (last_used + 1).saturating_sub(first_ino).min(groups.inodes_per_group.into());
            let free_inodes = groups.inodes_per_group - used as u32;
            let mut flags = BG_INODE_ZEROED;
            if used == 0 {
                flags |= BG_INODE_UNINIT;
            }
            // The kernel makes such a bitmap itself and knows of the copy of the superblock alone
            // (`ext4_init_block_bitmap`). Nor may the last group have it.
            let own = if groups::has_backup(group) { groups.copy_blocks() } else { 0 };
            if full == start && group % FLEX != 0 && group + 1 != groups.count() && others == own && used == 0
            {
                flags |= BG_BLOCK_UNINIT;
            }
            GroupCounts {
                free_blocks: free as u32,
                free_inodes,
                used_directories: directories[group as usize],
                flags,
            }
        })
        .collect()
}
