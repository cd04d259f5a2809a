//! Planning: where everything goes, decided before a byte is written.

pub(crate) mod chunks;
pub(crate) mod directories;
mod limits;
mod place;
pub(crate) mod survey;
pub(crate) mod xattrs;

use tree::Tree;

use crate::format::{CHUNKS_SINCE, SMALL_BLOCKS_SINCE, compat, incompat};
use crate::plan::place::{Placed, place};
use crate::plan::survey::{Data, Survey, survey};
use crate::{BlockSize, Error, Kernel, Options};

/// A filesystem that is not written yet: where each inode, name and byte goes.
///
/// It belongs to the tree that it was planned for, unchanged.
#[derive(Debug)]
pub struct Layout {
    pub(crate) options: Options,
    pub(crate) survey: Survey,
    pub(crate) placed: Placed,
}

/// Feature words of the superblock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Features {
    pub(crate) compat: u32,
    pub(crate) incompat: u32,
}

/// Decides where everything in `tree` goes.
///
/// Takes time and memory by the number of names and pieces, not by their bytes. Fails with [`Error::Limit`],
/// [`Error::Invalid`] or [`Error::TooLarge`] for what EROFS cannot hold, and with [`Error::Kernel`] for options
/// that the oldest kernel does not read.
pub fn plan(tree: &Tree, options: &Options) -> Result<Layout, Error> {
    let given = options.min_kernel;
    if options.block_size != BlockSize::B4096 && given < SMALL_BLOCKS_SINCE {
        let what = "blocks of other than 4096 bytes";
        return Err(Error::Kernel { what, needed: SMALL_BLOCKS_SINCE, given });
    }
    let mut survey = survey(tree, options)?;
    let placed = place(tree, &mut survey, options)?;
    Ok(Layout { options: options.clone(), survey, placed })
}

impl Layout {
    /// Bytes of the file.
    pub fn size(&self) -> u64 {
        self.placed.blocks * u64::from(self.block_size())
    }

    /// Bytes of a block.
    pub fn block_size(&self) -> u32 {
        self.options.block_size.bytes()
    }

    /// Blocks in all; none is free.
    pub fn blocks(&self) -> u64 {
        self.placed.blocks
    }

    /// Inodes in all; none is free.
    pub fn inodes(&self) -> u64 {
        self.survey.inodes.len() as u64
    }

    /// How many extended attributes were left out since EROFS has no number for their prefix: it knows
    /// `user.`, `trusted.`, `security.` and the POSIX access control lists.
    pub fn dropped_xattrs(&self) -> u64 {
        self.survey.dropped_xattrs
    }

    /// The oldest kernel that reads it. Never newer than the one of the options.
    pub fn needs_kernel(&self) -> Kernel {
        let small = self.options.block_size != BlockSize::B4096;
        match (small, self.has_chunks()) {
            (true, _) => SMALL_BLOCKS_SINCE,
            (false, true) => CHUNKS_SINCE,
            (false, false) => Kernel::FIRST,
        }
    }

    fn has_chunks(&self) -> bool {
        self.survey.inodes.iter().any(|inode| matches!(inode.data, Data::Chunks(_)))
    }

    pub(crate) fn features(&self) -> Features {
        let mut features = Features { compat: compat::SB_CHKSUM | compat::MTIME, incompat: 0 };
        if self.survey.has_xattrs {
            features.compat |= compat::XATTR_FILTER;
        }
        if self.has_chunks() {
            features.incompat |= incompat::CHUNKED_FILE;
        }
        features
    }
}
