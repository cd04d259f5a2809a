//! Gives every block a place, once the block groups are known.

use tree::Span;

use crate::Options;
use crate::format::{INO_JOURNAL, JOURNAL_BLOCKS_MIN};
use crate::plan::extents::{self, Cursor, Extent};
use crate::plan::groups::Groups;
use crate::plan::survey::Survey;

/// Bytes of a layer and the block that they go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Copy {
    pub(crate) block: u64,
    pub(crate) span: Span,
}

/// The blocks of an inode's extent tree, leaves first, level by level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExtentTree {
    pub(crate) ino: u32,
    pub(crate) blocks: Vec<u64>,
}

/// Where everything lies.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) groups: Groups,
    /// The indirect block of the resize inode, if there is one.
    pub(crate) resize_block: Option<u64>,
    pub(crate) journal_blocks: u64,
    /// By inode, then by place in the file.
    pub(crate) extents: Vec<Extent>,
    /// By inode.
    pub(crate) extent_trees: Vec<ExtentTree>,
    /// Beside [`Survey::xattr_blocks`].
    pub(crate) xattr_blocks: Vec<u64>,
    /// Ascending, in content as in the filesystem.
    pub(crate) copies: Vec<Copy>,
    /// Blocks besides the fixed ones.
    pub(crate) taken: u64,
    /// The block behind the last in use; none below is free. May lie behind the filesystem's end: then
    /// nothing fits, and only the counts mean anything.
    pub(crate) end: u64,
}

impl Placed {
    /// Blocks in use, the one before the superblock of small blocks included.
    pub(crate) fn used(&self) -> u64 {
        self.groups.first_data_block() + self.groups.fixed_blocks + self.taken
    }
}

/// Places what `survey` asks for.
pub(crate) fn place(groups: Groups, survey: &Survey, options: &Options) -> Placed {
    let fixed = groups.fixed.clone();
    let mut cursor = Cursor::new(groups.first_data_block(), &fixed);
    let mut extents = Vec::with_capacity(survey.pieces.len() + survey.inodes.len() / 8);
    let mut own = |cursor: &mut Cursor<'_>, ino: u32, blocks: u64| {
        let mut logical = 0;
        while logical < blocks {
            let run = cursor.take(blocks - logical);
            extents::push(&mut extents, ino, logical as u32, run);
            logical += run.length;
        }
    };

    let resize_block = groups.resize_inode.then(|| cursor.take(1).start);
    let journal_blocks = journal_blocks(groups.blocks, options);
    own(&mut cursor, INO_JOURNAL, journal_blocks);
    // Directories first, so that looking at names reads one stretch of the disk.
    for directories in [true, false] {
        for (place, inode) in survey.inodes.iter().enumerate() {
            if inode.own_blocks > 0 && inode.directory == directories {
                own(&mut cursor, Survey::number(place), inode.own_blocks.into());
            }
        }
    }
    let xattr_blocks = survey.xattr_blocks.iter().map(|_| cursor.take(1).start).collect();

    let block = u64::from(options.block_size.bytes());
    let mut copies = Vec::with_capacity(survey.pieces.len());
    for piece in &survey.pieces {
        let mut done = 0;
        while done < piece.span.length {
            let run = cursor.take((piece.span.length - done).div_ceil(block));
            let length = (run.length * block).min(piece.span.length - done);
            let span = Span { offset: piece.span.offset + done, length, ..piece.span };
            copies.push(Copy { block: run.start, span });
            extents::push(&mut extents, piece.ino, piece.logical + (done / block) as u32, run);
            done += length;
        }
    }
    extents::sort(&mut extents);

    // Last, since only now their number is known.
    let mut extent_trees = Vec::new();
    for of_inode in extents.chunk_by(|a, b| a.ino == b.ino) {
        let count = extents::levels(of_inode.len(), options.block_size).iter().sum();
        if count > 0 {
            let blocks = (0..count).map(|_| cursor.take(1).start).collect();
            extent_trees.push(ExtentTree { ino: of_inode[0].ino, blocks });
        }
    }
    let (taken, end) = (cursor.taken(), cursor.end());
    Placed { groups, resize_block, journal_blocks, extents, extent_trees, xattr_blocks, copies, taken, end }
}

/// Blocks of the journal: mke2fs's rule (`ext2fs_default_journal_size`), and the caller's cap.
fn journal_blocks(blocks: u64, options: &Options) -> u64 {
    if !options.has_journal() || blocks < 2048 {
        return 0;
    }
    let usual = match blocks {
        ..32_768 => 1024,
        32_768..262_144 => 4096,
        262_144..524_288 => 8192,
        524_288..4_194_304 => 16_384,
        4_194_304..8_388_608 => 32_768,
        8_388_608..16_777_216 => 65_536,
        16_777_216..33_554_432 => 131_072,
        _ => 262_144,
    };
    let most = options.journal_max.map_or(u64::MAX, |bytes| bytes / u64::from(options.block_size.bytes()));
    usual.min(most).max(JOURNAL_BLOCKS_MIN)
}
