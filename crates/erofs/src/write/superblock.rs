//! The superblock.

use zerocopy::IntoBytes;

use crate::Layout;
use crate::checksum::crc32c;
use crate::format::{MAGIC, SUPERBLOCK_OFFSET, Superblock};
use crate::plan::survey::Inode;

/// Puts the superblock into the block that holds it, which starts at `at` and holds all that else lies in it: the
/// checksum covers what follows the superblock, too.
pub(crate) fn write(layout: &Layout, block: &mut [u8], at: u64) {
    let covered = &mut block[(SUPERBLOCK_OFFSET - at) as usize..];
    let mut superblock = superblock(layout);
    covered[..size_of::<Superblock>()].copy_from_slice(superblock.as_bytes());
    superblock.checksum = crc32c(covered).into();
    covered[..size_of::<Superblock>()].copy_from_slice(superblock.as_bytes());
}

fn superblock(layout: &Layout) -> Superblock {
    let (options, survey, placed) = (&layout.options, &layout.survey, &layout.placed);
    let features = layout.features();
    let root = survey.inodes.first().map_or(0, |root: &Inode| root.nid);
    Superblock {
        magic: MAGIC.into(),
        checksum: 0.into(),
        feature_compat: features.compat.into(),
        blkszbits: options.block_size.bits(),
        sb_extslots: 0,
        // It was placed first, at most behind the first block.
        root_nid: (root as u16).into(),
        inos: layout.inodes().into(),
        build_time: survey.epoch.seconds.into(),
        build_time_nsec: survey.epoch.nanoseconds.into(),
        blocks: (placed.blocks as u32).into(),
        meta_blkaddr: 0.into(),
        xattr_blkaddr: ((placed.shared / u64::from(layout.block_size())) as u32).into(),
        uuid: options.uuid,
        volume_name: options.label.padded(),
        feature_incompat: features.incompat.into(),
        available_compr_algs: 0.into(),
        extra_devices: 0.into(),
        devt_slotoff: 0.into(),
        dirblkbits: 0,
        xattr_prefix_count: 0,
        xattr_prefix_start: 0.into(),
        packed_nid: 0.into(),
        xattr_filter_reserved: 0,
        reserved: [0; 23],
    }
}
