//! The superblock, its copies, and what is kept for group descriptors to come.

use zerocopy::{FromZeros, IntoBytes};

use crate::checksum::crc32c;
use crate::format::{
    CHECKSUM_CRC32C, DEFAULT_MOUNT_OPTS, DESCRIPTOR_SIZE, ERRORS_CONTINUE, EXTRA_ISIZE, FLAGS_SIGNED_HASH,
    HASH_HALF_MD4, INO_FIRST, INO_JOURNAL, INODE_SIZE, JNL_BACKUP_BLOCKS, LOG_FLEX, MAGIC, STATE_VALID,
    Superblock, incompat,
};
use crate::write::{Sink, inodes};
use crate::{Error, Layout};

/// The superblock as `group` has it.
pub(crate) fn superblock(layout: &Layout, seed: u32, group: u32) -> Superblock {
    let groups = &layout.placed.groups;
    let options = &layout.options;
    let block_size = layout.block_size();
    let features = layout.features();
    let (time, time_hi) = created(options.created);
    let mut sb = Superblock::new_zeroed();
    sb.inodes_count = (groups.inodes() as u32).into();
    (sb.blocks_count_lo, sb.blocks_count_hi) = halves(layout.blocks());
    (sb.r_blocks_count_lo, sb.r_blocks_count_hi) = halves(layout.reserved_blocks);
    (sb.free_blocks_count_lo, sb.free_blocks_count_hi) = halves(layout.free_blocks());
    sb.free_inodes_count = (layout.free_inodes() as u32).into();
    sb.first_data_block = (groups.first_data_block() as u32).into();
    sb.log_block_size = block_size.ilog2().saturating_sub(10).into();
    sb.log_cluster_size = sb.log_block_size;
    sb.blocks_per_group = options.block_size.blocks_per_group().into();
    sb.clusters_per_group = sb.blocks_per_group;
    sb.inodes_per_group = groups.inodes_per_group.into();
    sb.wtime = time.into();
    sb.wtime_hi = time_hi;
    // Never checked for its number of mounts or its age alone.
    sb.max_mnt_count = u16::MAX.into();
    sb.magic = MAGIC.into();
    sb.state = STATE_VALID.into();
    sb.errors = ERRORS_CONTINUE.into();
    sb.lastcheck = time.into();
    sb.lastcheck_hi = time_hi;
    sb.rev_level = 1.into();
    sb.first_ino = INO_FIRST.into();
    sb.inode_size = (INODE_SIZE as u16).into();
    sb.block_group_nr = (group as u16).into();
    sb.feature_compat = features.compat.into();
    sb.feature_incompat = features.incompat.into();
    sb.feature_ro_compat = features.ro_compat.into();
    sb.uuid = options.uuid;
    sb.volume_name = options.label.padded();
    sb.reserved_gdt_blocks = (groups.reserved_descriptor_blocks as u16).into();
    sb.hash_seed = options.hash_seed;
    sb.def_hash_version = HASH_HALF_MD4;
    sb.desc_size = (DESCRIPTOR_SIZE as u16).into();
    sb.default_mount_opts = DEFAULT_MOUNT_OPTS.into();
    sb.mkfs_time = time.into();
    sb.mkfs_time_hi = time_hi;
    sb.min_extra_isize = EXTRA_ISIZE.into();
    sb.want_extra_isize = EXTRA_ISIZE.into();
    sb.flags = FLAGS_SIGNED_HASH.into();
    sb.log_groups_per_flex = LOG_FLEX;
    sb.checksum_type = CHECKSUM_CRC32C;
    sb.kbytes_written = (layout.placed.used() * u64::from(block_size) / 1024).into();
    // What never holds a file, so that `df` need not look at every group (`ext4_calculate_overhead`).
    let overhead = groups.first_data_block() + groups.fixed_blocks + layout.placed.journal_blocks;
    sb.overhead_clusters = u32::try_from(overhead).unwrap_or(0).into();
    if layout.placed.journal_blocks > 0 {
        let journal = inodes::journal(layout);
        sb.journal_inum = INO_JOURNAL.into();
        sb.jnl_backup_type = JNL_BACKUP_BLOCKS;
        for (word, bytes) in sb.jnl_blocks.iter_mut().zip(journal.block.chunks_exact(4)) {
            *word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]).into();
        }
        sb.jnl_blocks[15] = journal.size_high;
        sb.jnl_blocks[16] = journal.size_lo;
    }
    if features.incompat & incompat::CSUM_SEED != 0 {
        sb.checksum_seed = seed.into();
    }
    sb.checksum = crc32c(!0, &sb.as_bytes()[..1020]).into();
    sb
}

/// The time that the superblock holds: 40 bits from 1970 on.
fn created(seconds: i64) -> (u32, u8) {
    let seconds = seconds.clamp(0, (1 << 40) - 1);
    (seconds as u32, (seconds >> 32) as u8)
}

pub(crate) fn halves<A: From<u32>>(value: u64) -> (A, A) {
    ((value as u32).into(), ((value >> 32) as u32).into())
}

/// Copies of the superblock and the descriptors, in the groups that have them.
pub(crate) fn write_backups(
    layout: &Layout,
    seed: u32,
    descriptors: &[u8],
    sink: &mut Sink<'_>,
) -> Result<(), Error> {
    let block = u64::from(layout.block_size());
    let mut padded = vec![0; block as usize];
    for group in layout.placed.groups.backups() {
        let start = layout.placed.groups.group_start(group);
        padded[..1024].copy_from_slice(superblock(layout, seed, group).as_bytes());
        sink.put(start * block, &padded)?;
        sink.put((start + 1) * block, descriptors)?;
    }
    Ok(())
}

/// The map of the resize inode. Its doubly indirect block names the blocks that the first group reserves for
/// descriptors; each of these names its copies in the groups with a backup (`verify_reserved_gdb`).
pub(crate) fn write_resize_map(layout: &Layout, sink: &mut Sink<'_>) -> Result<(), Error> {
    let groups = &layout.placed.groups;
    let (Some(map), reserved) = (layout.placed.resize_block, groups.reserved_descriptor_blocks) else {
        return Ok(());
    };
    let block = u64::from(layout.block_size());
    let words = block / 4;
    let per_group = u64::from(layout.options.block_size.blocks_per_group());
    let first = groups.first_data_block() + 1 + groups.descriptor_blocks;
    // Numbers fit 32 bits: larger filesystems have no resize inode.
    let word = |words: &mut [u8], at: u64, value: u64| {
        words[at as usize * 4..][..4].copy_from_slice(&(value as u32).to_le_bytes());
    };
    let mut names = vec![0; block as usize];
    for nth in 0..reserved {
        names.fill(0);
        for (at, group) in groups.backups().enumerate() {
            word(&mut names, at as u64, first + nth + u64::from(group) * per_group);
        }
        sink.put((first + nth) * block, &names)?;
    }
    names.fill(0);
    for nth in 0..reserved {
        word(&mut names, (groups.descriptor_blocks + nth) % words, first + nth);
    }
    Ok(sink.put(map * block, &names)?)
}
