//! The structures on the disk, declared once.
//!
//! Names are the kernel's (`fs/ext4/ext4.h`, `ext4_extents.h`, `xattr.h`, `include/linux/jbd2.h`) without their
//! prefixes. ext4 is little-endian throughout, the journal (jbd2) big-endian.

use std::mem::{offset_of, size_of};

use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, big_endian as be, little_endian as le,
};

/// Where the superblock starts, in bytes, whatever the block size.
pub(crate) const SUPERBLOCK_OFFSET: u64 = 1024;
/// Bytes of an inode: room for 160 bytes of fields and 96 of extended attributes.
pub(crate) const INODE_SIZE: u32 = 256;
/// Bytes of an inode's fields past the 128 of ext2 (`i_extra_isize`).
pub(crate) const EXTRA_ISIZE: u16 = 32;
/// Bytes of a group descriptor with the 64bit feature.
pub(crate) const DESCRIPTOR_SIZE: u32 = 64;
/// Block groups whose bitmaps and inode tables lie together (`s_log_groups_per_flex` = 4, as mke2fs has it).
pub(crate) const FLEX: u32 = 16;
pub(crate) const LOG_FLEX: u8 = 4;

pub(crate) const INO_ROOT: u32 = 2;
pub(crate) const INO_RESIZE: u32 = 7;
pub(crate) const INO_JOURNAL: u32 = 8;
/// First number that is not reserved; mke2fs gives it to `lost+found`.
pub(crate) const INO_FIRST: u32 = 11;

/// Most links a file may have (`EXT4_LINK_MAX`); a directory with more has 1 (`dir_nlink`).
pub(crate) const LINK_MAX: u32 = 65_000;
/// Most blocks in one extent that is not preallocated (`EXT_INIT_MAX_LEN`).
pub(crate) const EXTENT_LENGTH_MAX: u64 = 32_768;
/// Most levels of extent blocks below an inode (`EXT4_MAX_EXTENT_DEPTH`).
pub(crate) const EXTENT_DEPTH_MAX: u32 = 5;
/// Extents, or indexes, that an inode itself holds.
pub(crate) const EXTENTS_IN_INODE: usize = 4;
/// Longest link text that an inode itself holds; the kernel wants room for a NUL in the 60 bytes.
pub(crate) const FAST_SYMLINK_MAX: usize = 59;
/// Files that may share one block of attributes (`EXT4_XATTR_REFCOUNT_MAX`).
pub(crate) const XATTR_REFCOUNT_MAX: u32 = 1024;
/// Longest name of an attribute, prefix included, that the kernel's system calls pass (`XATTR_NAME_MAX`).
pub(crate) const XATTR_NAME_MAX: usize = 255;
/// Longest value that the kernel's system calls pass (`XATTR_SIZE_MAX`).
pub(crate) const XATTR_SIZE_MAX: usize = 65_536;

/// Compatible features: a system that does not know them may write all the same.
pub(crate) mod compat {
    pub(crate) const HAS_JOURNAL: u32 = 0x4;
    pub(crate) const EXT_ATTR: u32 = 0x8;
    pub(crate) const RESIZE_INODE: u32 = 0x10;
    pub(crate) const DIR_INDEX: u32 = 0x20;
}

/// Incompatible features: a system that does not know them must not mount.
pub(crate) mod incompat {
    pub(crate) const FILETYPE: u32 = 0x2;
    /// The journal has to be replayed.
    pub(crate) const RECOVER: u32 = 0x4;
    pub(crate) const EXTENTS: u32 = 0x40;
    pub(crate) const BIT64: u32 = 0x80;
    pub(crate) const FLEX_BG: u32 = 0x200;
    /// Linux 4.13.
    pub(crate) const EA_INODE: u32 = 0x400;
    /// Linux 4.4; GRUB 2.12.
    pub(crate) const CSUM_SEED: u32 = 0x2000;
    /// Linux 4.13.
    pub(crate) const LARGEDIR: u32 = 0x4000;
}

/// Features that a system must know before it writes.
pub(crate) mod ro_compat {
    pub(crate) const SPARSE_SUPER: u32 = 0x1;
    pub(crate) const LARGE_FILE: u32 = 0x2;
    pub(crate) const HUGE_FILE: u32 = 0x8;
    pub(crate) const DIR_NLINK: u32 = 0x20;
    pub(crate) const EXTRA_ISIZE: u32 = 0x40;
    pub(crate) const BIGALLOC: u32 = 0x200;
    /// Linux 3.6.
    pub(crate) const METADATA_CSUM: u32 = 0x400;
}

/// The features' names, as e2fsprogs has them: compatible, incompatible, and those for reading alone.
pub(crate) const FEATURES: [&[(u32, &str)]; 3] = [
    &[
        (0x1, "dir_prealloc"),
        (compat::HAS_JOURNAL, "has_journal"),
        (compat::EXT_ATTR, "ext_attr"),
        (compat::RESIZE_INODE, "resize_inode"),
        (compat::DIR_INDEX, "dir_index"),
        (0x200, "sparse_super2"),
        (0x400, "fast_commit"),
        (0x800, "stable_inodes"),
        (0x1000, "orphan_file"),
    ],
    &[
        (incompat::FILETYPE, "filetype"),
        (incompat::RECOVER, "needs_recovery"),
        (0x8, "journal_dev"),
        (0x10, "meta_bg"),
        (incompat::EXTENTS, "extent"),
        (incompat::BIT64, "64bit"),
        (0x100, "mmp"),
        (incompat::FLEX_BG, "flex_bg"),
        (incompat::EA_INODE, "ea_inode"),
        (incompat::CSUM_SEED, "metadata_csum_seed"),
        (incompat::LARGEDIR, "large_dir"),
        (0x8000, "inline_data"),
        (0x1_0000, "encrypt"),
        (0x2_0000, "casefold"),
    ],
    &[
        (ro_compat::SPARSE_SUPER, "sparse_super"),
        (ro_compat::LARGE_FILE, "large_file"),
        (ro_compat::HUGE_FILE, "huge_file"),
        (0x10, "uninit_bg"),
        (ro_compat::DIR_NLINK, "dir_nlink"),
        (ro_compat::EXTRA_ISIZE, "extra_isize"),
        (0x100, "quota"),
        (ro_compat::BIGALLOC, "bigalloc"),
        (ro_compat::METADATA_CSUM, "metadata_csum"),
        (0x1000, "read-only"),
        (0x2000, "project"),
        (0x8000, "verity"),
        (0x1_0000, "orphan_present"),
    ],
];

/// `struct ext4_super_block`.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone)]
#[repr(C)]
pub(crate) struct Superblock {
    pub(crate) inodes_count: le::U32,
    pub(crate) blocks_count_lo: le::U32,
    pub(crate) r_blocks_count_lo: le::U32,
    pub(crate) free_blocks_count_lo: le::U32,
    pub(crate) free_inodes_count: le::U32,
    pub(crate) first_data_block: le::U32,
    pub(crate) log_block_size: le::U32,
    pub(crate) log_cluster_size: le::U32,
    pub(crate) blocks_per_group: le::U32,
    pub(crate) clusters_per_group: le::U32,
    pub(crate) inodes_per_group: le::U32,
    pub(crate) mtime: le::U32,
    pub(crate) wtime: le::U32,
    pub(crate) mnt_count: le::U16,
    pub(crate) max_mnt_count: le::U16,
    pub(crate) magic: le::U16,
    pub(crate) state: le::U16,
    pub(crate) errors: le::U16,
    pub(crate) minor_rev_level: le::U16,
    pub(crate) lastcheck: le::U32,
    pub(crate) checkinterval: le::U32,
    pub(crate) creator_os: le::U32,
    pub(crate) rev_level: le::U32,
    pub(crate) def_resuid: le::U16,
    pub(crate) def_resgid: le::U16,
    pub(crate) first_ino: le::U32,
    pub(crate) inode_size: le::U16,
    pub(crate) block_group_nr: le::U16,
    pub(crate) feature_compat: le::U32,
    pub(crate) feature_incompat: le::U32,
    pub(crate) feature_ro_compat: le::U32,
    pub(crate) uuid: [u8; 16],
    pub(crate) volume_name: [u8; 16],
    pub(crate) last_mounted: [u8; 64],
    pub(crate) algorithm_usage_bitmap: le::U32,
    pub(crate) prealloc_blocks: u8,
    pub(crate) prealloc_dir_blocks: u8,
    pub(crate) reserved_gdt_blocks: le::U16,
    pub(crate) journal_uuid: [u8; 16],
    pub(crate) journal_inum: le::U32,
    pub(crate) journal_dev: le::U32,
    pub(crate) last_orphan: le::U32,
    pub(crate) hash_seed: [u8; 16],
    pub(crate) def_hash_version: u8,
    pub(crate) jnl_backup_type: u8,
    pub(crate) desc_size: le::U16,
    pub(crate) default_mount_opts: le::U32,
    pub(crate) first_meta_bg: le::U32,
    pub(crate) mkfs_time: le::U32,
    pub(crate) jnl_blocks: [le::U32; 17],
    pub(crate) blocks_count_hi: le::U32,
    pub(crate) r_blocks_count_hi: le::U32,
    pub(crate) free_blocks_count_hi: le::U32,
    pub(crate) min_extra_isize: le::U16,
    pub(crate) want_extra_isize: le::U16,
    pub(crate) flags: le::U32,
    pub(crate) raid_stride: le::U16,
    pub(crate) mmp_interval: le::U16,
    pub(crate) mmp_block: le::U64,
    pub(crate) raid_stripe_width: le::U32,
    pub(crate) log_groups_per_flex: u8,
    pub(crate) checksum_type: u8,
    pub(crate) encryption_level: u8,
    pub(crate) reserved_pad: u8,
    pub(crate) kbytes_written: le::U64,
    /// Snapshots and errors seen: nothing of that on a new filesystem.
    pub(crate) snapshot_and_error: [u8; 0xc0],
    pub(crate) usr_quota_inum: le::U32,
    pub(crate) grp_quota_inum: le::U32,
    pub(crate) overhead_clusters: le::U32,
    pub(crate) backup_bgs: [le::U32; 2],
    pub(crate) encrypt_algos: [u8; 4],
    pub(crate) encrypt_pw_salt: [u8; 16],
    pub(crate) lpf_ino: le::U32,
    pub(crate) prj_quota_inum: le::U32,
    pub(crate) checksum_seed: le::U32,
    pub(crate) wtime_hi: u8,
    pub(crate) mtime_hi: u8,
    pub(crate) mkfs_time_hi: u8,
    pub(crate) lastcheck_hi: u8,
    pub(crate) first_error_time_hi: u8,
    pub(crate) last_error_time_hi: u8,
    pub(crate) first_error_errcode: u8,
    pub(crate) last_error_errcode: u8,
    pub(crate) encoding: le::U16,
    pub(crate) encoding_flags: le::U16,
    pub(crate) orphan_file_inum: le::U32,
    pub(crate) reserved: [le::U32; 94],
    pub(crate) checksum: le::U32,
}

pub(crate) const MAGIC: u16 = 0xef53;
/// `EXT4_VALID_FS`: unmounted cleanly.
pub(crate) const STATE_VALID: u16 = 1;
/// `EXT4_ERRORS_CONTINUE`, what mke2fs sets.
pub(crate) const ERRORS_CONTINUE: u16 = 1;
/// `DX_HASH_HALF_MD4`.
pub(crate) const HASH_HALF_MD4: u8 = 1;
/// `EXT2_FLAGS_SIGNED_HASH`: names are hashed as signed bytes, on every machine.
pub(crate) const FLAGS_SIGNED_HASH: u32 = 1;
/// `EXT4_DEFM_XATTR_USER | EXT4_DEFM_ACL`.
pub(crate) const DEFAULT_MOUNT_OPTS: u32 = 0xc;
/// `EXT4_CRC32C_CHKSUM`.
pub(crate) const CHECKSUM_CRC32C: u8 = 1;
/// `EXT3_JNL_BACKUP_BLOCKS`: `jnl_blocks` holds the journal inode's block map and size.
pub(crate) const JNL_BACKUP_BLOCKS: u8 = 1;

const _: () = {
    assert!(size_of::<Superblock>() == 1024);
    assert!(offset_of!(Superblock, magic) == 0x38);
    assert!(offset_of!(Superblock, feature_compat) == 0x5c);
    assert!(offset_of!(Superblock, reserved_gdt_blocks) == 0xce);
    assert!(offset_of!(Superblock, hash_seed) == 0xec);
    assert!(offset_of!(Superblock, jnl_blocks) == 0x10c);
    assert!(offset_of!(Superblock, blocks_count_hi) == 0x150);
    assert!(offset_of!(Superblock, log_groups_per_flex) == 0x174);
    assert!(offset_of!(Superblock, usr_quota_inum) == 0x240);
    assert!(offset_of!(Superblock, overhead_clusters) == 0x248);
    assert!(offset_of!(Superblock, checksum_seed) == 0x270);
    assert!(offset_of!(Superblock, orphan_file_inum) == 0x280);
    assert!(offset_of!(Superblock, checksum) == 0x3fc);
};

/// `struct ext4_group_desc`, with the 64bit feature.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone)]
#[repr(C)]
pub(crate) struct GroupDescriptor {
    pub(crate) block_bitmap_lo: le::U32,
    pub(crate) inode_bitmap_lo: le::U32,
    pub(crate) inode_table_lo: le::U32,
    pub(crate) free_blocks_count_lo: le::U16,
    pub(crate) free_inodes_count_lo: le::U16,
    pub(crate) used_dirs_count_lo: le::U16,
    pub(crate) flags: le::U16,
    pub(crate) exclude_bitmap_lo: le::U32,
    pub(crate) block_bitmap_csum_lo: le::U16,
    pub(crate) inode_bitmap_csum_lo: le::U16,
    pub(crate) itable_unused_lo: le::U16,
    pub(crate) checksum: le::U16,
    pub(crate) block_bitmap_hi: le::U32,
    pub(crate) inode_bitmap_hi: le::U32,
    pub(crate) inode_table_hi: le::U32,
    pub(crate) free_blocks_count_hi: le::U16,
    pub(crate) free_inodes_count_hi: le::U16,
    pub(crate) used_dirs_count_hi: le::U16,
    pub(crate) itable_unused_hi: le::U16,
    pub(crate) exclude_bitmap_hi: le::U32,
    pub(crate) block_bitmap_csum_hi: le::U16,
    pub(crate) inode_bitmap_csum_hi: le::U16,
    pub(crate) reserved: le::U32,
}

/// The inode bitmap was never written; every inode of the group is free.
pub(crate) const BG_INODE_UNINIT: u16 = 1;
/// The block bitmap was never written; only the group's own metadata is in use.
pub(crate) const BG_BLOCK_UNINIT: u16 = 2;
/// The inode table reads as zeros, so that no kernel thread has to zero it.
pub(crate) const BG_INODE_ZEROED: u16 = 4;

const _: () = {
    assert!(size_of::<GroupDescriptor>() == DESCRIPTOR_SIZE as usize);
    assert!(offset_of!(GroupDescriptor, checksum) == 0x1e);
    assert!(offset_of!(GroupDescriptor, block_bitmap_csum_hi) == 0x38);
};

/// `struct ext4_inode`, up to `i_extra_isize` = 32; attributes follow.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone)]
#[repr(C)]
pub(crate) struct Inode {
    pub(crate) mode: le::U16,
    pub(crate) uid: le::U16,
    pub(crate) size_lo: le::U32,
    pub(crate) atime: le::U32,
    pub(crate) ctime: le::U32,
    pub(crate) mtime: le::U32,
    pub(crate) dtime: le::U32,
    pub(crate) gid: le::U16,
    pub(crate) links_count: le::U16,
    pub(crate) blocks_lo: le::U32,
    pub(crate) flags: le::U32,
    pub(crate) version: le::U32,
    pub(crate) block: [u8; 60],
    pub(crate) generation: le::U32,
    pub(crate) file_acl_lo: le::U32,
    pub(crate) size_high: le::U32,
    pub(crate) obso_faddr: le::U32,
    pub(crate) blocks_high: le::U16,
    pub(crate) file_acl_high: le::U16,
    pub(crate) uid_high: le::U16,
    pub(crate) gid_high: le::U16,
    pub(crate) checksum_lo: le::U16,
    pub(crate) reserved: le::U16,
    pub(crate) extra_isize: le::U16,
    pub(crate) checksum_hi: le::U16,
    pub(crate) ctime_extra: le::U32,
    pub(crate) mtime_extra: le::U32,
    pub(crate) atime_extra: le::U32,
    pub(crate) crtime: le::U32,
    pub(crate) crtime_extra: le::U32,
    pub(crate) version_hi: le::U32,
    pub(crate) projid: le::U32,
    /// What `i_extra_isize` leaves: extended attributes.
    pub(crate) xattrs: [u8; 96],
}

/// `EXT4_INDEX_FL`: the directory is hashed.
pub(crate) const FL_INDEX: u32 = 0x1000;
/// `EXT4_EXTENTS_FL`: `i_block` is the root of an extent tree.
pub(crate) const FL_EXTENTS: u32 = 0x8_0000;
/// `EXT4_EA_INODE_FL`: the inode holds the value of an attribute.
pub(crate) const FL_EA_INODE: u32 = 0x20_0000;

pub(crate) const S_IFIFO: u16 = 0o010_000;
pub(crate) const S_IFCHR: u16 = 0o020_000;
pub(crate) const S_IFDIR: u16 = 0o040_000;
pub(crate) const S_IFBLK: u16 = 0o060_000;
pub(crate) const S_IFREG: u16 = 0o100_000;
pub(crate) const S_IFLNK: u16 = 0o120_000;
pub(crate) const S_IFSOCK: u16 = 0o140_000;

const _: () = {
    assert!(size_of::<Inode>() == INODE_SIZE as usize);
    assert!(offset_of!(Inode, block) == 0x28);
    assert!(offset_of!(Inode, checksum_lo) == 0x7c);
    assert!(offset_of!(Inode, extra_isize) == 0x80);
    assert!(offset_of!(Inode, checksum_hi) == 0x82);
    assert!(offset_of!(Inode, xattrs) == 128 + EXTRA_ISIZE as usize);
};

/// `struct ext4_extent_header`.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone)]
#[repr(C)]
pub(crate) struct ExtentHeader {
    pub(crate) magic: le::U16,
    pub(crate) entries: le::U16,
    pub(crate) max: le::U16,
    pub(crate) depth: le::U16,
    pub(crate) generation: le::U32,
}

pub(crate) const EXTENT_MAGIC: u16 = 0xf30a;

/// `struct ext4_extent`.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone)]
#[repr(C)]
pub(crate) struct ExtentLeaf {
    pub(crate) block: le::U32,
    pub(crate) len: le::U16,
    pub(crate) start_hi: le::U16,
    pub(crate) start_lo: le::U32,
}

/// `struct ext4_extent_idx`.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone)]
#[repr(C)]
pub(crate) struct ExtentIndex {
    pub(crate) block: le::U32,
    pub(crate) leaf_lo: le::U32,
    pub(crate) leaf_hi: le::U16,
    pub(crate) unused: le::U16,
}

const _: () = assert!(
    size_of::<ExtentHeader>() == 12 && size_of::<ExtentLeaf>() == 12 && size_of::<ExtentIndex>() == 12
);

/// `struct ext4_dir_entry_2` without its name.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone)]
#[repr(C)]
pub(crate) struct DirEntry {
    pub(crate) inode: le::U32,
    pub(crate) rec_len: le::U16,
    pub(crate) name_len: u8,
    pub(crate) file_type: u8,
}

/// `struct ext4_dir_entry_tail`: the last 12 bytes of every block of names, disguised as an unused entry.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone)]
#[repr(C)]
pub(crate) struct DirEntryTail {
    pub(crate) reserved_zero1: le::U32,
    pub(crate) rec_len: le::U16,
    pub(crate) reserved_zero2: u8,
    pub(crate) reserved_ft: u8,
    pub(crate) checksum: le::U32,
}

pub(crate) const DIR_TAIL_FT: u8 = 0xde;
pub(crate) const DIR_TAIL_SIZE: usize = size_of::<DirEntryTail>();

/// `struct dx_root_info`, behind the entries `.` and `..`.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone)]
#[repr(C)]
pub(crate) struct DxRootInfo {
    pub(crate) reserved_zero: le::U32,
    pub(crate) hash_version: u8,
    pub(crate) info_length: u8,
    pub(crate) indirect_levels: u8,
    pub(crate) unused_flags: u8,
}

/// `struct dx_entry`; in the first one of a block, `hash` is replaced by limit and count (16 bits each).
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone)]
#[repr(C)]
pub(crate) struct DxEntry {
    pub(crate) hash: le::U32,
    pub(crate) block: le::U32,
}

/// Where the entries of a hashed directory's first block start: two names and the [`DxRootInfo`].
pub(crate) const DX_ROOT_ENTRIES: usize = 32;
/// Where the entries of its other index blocks start: one unused name as long as the block.
pub(crate) const DX_NODE_ENTRIES: usize = 8;
/// `struct dx_tail`: a reserved word and the checksum.
pub(crate) const DX_TAIL_SIZE: usize = 8;

const _: () = {
    assert!(size_of::<DirEntry>() == 8 && size_of::<DirEntryTail>() == 12);
    assert!(size_of::<DxRootInfo>() == 8 && size_of::<DxEntry>() == 8);
};

/// `struct ext4_xattr_header`: the start of a block of attributes.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone)]
#[repr(C)]
pub(crate) struct XattrHeader {
    pub(crate) magic: le::U32,
    pub(crate) refcount: le::U32,
    pub(crate) blocks: le::U32,
    pub(crate) hash: le::U32,
    pub(crate) checksum: le::U32,
    pub(crate) reserved: [le::U32; 3],
}

/// `struct ext4_xattr_entry` without its name.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone)]
#[repr(C)]
pub(crate) struct XattrEntry {
    pub(crate) name_len: u8,
    pub(crate) name_index: u8,
    pub(crate) value_offs: le::U16,
    pub(crate) value_inum: le::U32,
    pub(crate) value_size: le::U32,
    pub(crate) hash: le::U32,
}

/// Stands before attributes, in an inode as well as in a block.
pub(crate) const XATTR_MAGIC: u32 = 0xea02_0000;
/// Attribute names end with four zero bytes.
pub(crate) const XATTR_END: usize = 4;

const _: () = assert!(size_of::<XattrHeader>() == 32 && size_of::<XattrEntry>() == 16);

/// `struct journal_superblock_s` (jbd2), the fields that a new journal has.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone)]
#[repr(C)]
pub(crate) struct JournalSuperblock {
    pub(crate) magic: be::U32,
    pub(crate) blocktype: be::U32,
    pub(crate) header_sequence: be::U32,
    pub(crate) blocksize: be::U32,
    pub(crate) maxlen: be::U32,
    pub(crate) first: be::U32,
    pub(crate) sequence: be::U32,
    pub(crate) start: be::U32,
    pub(crate) errno: be::U32,
    pub(crate) feature_compat: be::U32,
    pub(crate) feature_incompat: be::U32,
    pub(crate) feature_ro_compat: be::U32,
    pub(crate) uuid: [u8; 16],
    pub(crate) nr_users: be::U32,
}

pub(crate) const JOURNAL_MAGIC: u32 = 0xc03b_3998;
/// `JBD2_SUPERBLOCK_V2`.
pub(crate) const JOURNAL_SUPERBLOCK_V2: u32 = 4;
/// Fewest blocks of a journal that the kernel takes (`JBD2_MIN_JOURNAL_BLOCKS`).
pub(crate) const JOURNAL_BLOCKS_MIN: u64 = 1024;

const _: () = assert!(size_of::<JournalSuperblock>() == 0x44 && offset_of!(JournalSuperblock, uuid) == 0x30);
