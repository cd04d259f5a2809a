//! The structures on the disk, declared once.
//!
//! Names are the kernel's (`fs/erofs/erofs_fs.h`) without their prefixes. EROFS is little-endian throughout.

use std::mem::{offset_of, size_of};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, little_endian as le};

use crate::Kernel;

/// Where the superblock starts, in bytes, whatever the block size.
pub(crate) const SUPERBLOCK_OFFSET: u64 = 1024;
/// Inodes lie at multiples of so many bytes, and are numbered by them (`nid`).
pub(crate) const SLOT: u64 = 32;
/// The number of an address that means no block (`EROFS_NULL_ADDR`): all of its bits, be they 32 or [`WIDE_BITS`].
pub(crate) const NULL_ADDRESS: u32 = u32::MAX;
/// Bits of an address in the wide layout.
pub(crate) const WIDE_BITS: u32 = 48;
/// The number of a wide address that means no block.
pub(crate) const WIDE_NULL_ADDRESS: u64 = (1 << WIDE_BITS) - 1;

/// Longest name of an attribute, prefix included, that the kernel's system calls pass (`XATTR_NAME_MAX`).
pub(crate) const XATTR_NAME_MAX: usize = 255;
/// Longest value of an attribute: 16 bits.
pub(crate) const XATTR_VALUE_MAX: usize = u16::MAX as usize;
/// Most bytes of attributes behind an inode: 16 bits count them in fours.
pub(crate) const XATTRS_MAX: usize = 12 + 4 * (u16::MAX as usize - 1);
/// Most shared attributes of an inode: 8 bits.
pub(crate) const XATTRS_SHARED_MAX: usize = u8::MAX as usize;
/// What the hash of an attribute's name starts from, with the prefix's number added (`EROFS_XATTR_FILTER_SEED`).
pub(crate) const XATTR_FILTER_SEED: u32 = 0x25bb_e08f;

/// Largest chunk, as a power of two of bytes: what a 32-bit kernel can shift.
pub(crate) const CHUNK_BITS_MAX: u8 = 30;

/// Compatible features: a system that does not know them reads all the same.
pub(crate) mod compat {
    /// Linux 5.5.
    pub(crate) const SB_CHKSUM: u32 = 0x1;
    /// Times are those of the last modification.
    pub(crate) const MTIME: u32 = 0x2;
    /// Linux 6.6.
    pub(crate) const XATTR_FILTER: u32 = 0x4;
    /// Prefixes of attributes' names lie where inodes do, and not in the packed inode. Linux 6.17.
    pub(crate) const PLAIN_XATTR_PREFIXES: u32 = 0x10;
}

/// Incompatible features: a system that does not know them must not mount. Some bits mean two of one kernel.
pub(crate) mod incompat {
    /// Compressed data end with their cluster, and zeros stand in front of them.
    pub(crate) const ZERO_PADDING: u32 = 0x1;
    /// Behind the superblock stands what each algorithm wants to know; clusters have several blocks.
    /// [`super::CLUSTERS_SINCE`]
    pub(crate) const COMPR_CFGS: u32 = 0x2;
    /// [`super::CHUNKS_SINCE`]
    pub(crate) const CHUNKED_FILE: u32 = 0x4;
    /// More devices; heads of a second kind.
    pub(crate) const DEVICE_TABLE: u32 = 0x8;
    /// [`super::TAILS_SINCE`]
    pub(crate) const ZTAILPACKING: u32 = 0x10;
    /// Clusters that several files have ([`super::DEDUPE_SINCE`]); ends of files in the packed inode.
    pub(crate) const DEDUPE: u32 = 0x20;
    /// Long prefixes of attributes' names.
    pub(crate) const XATTR_PREFIXES: u32 = 0x40;
    /// Addresses of 48 bits, of those structures that say so. [`super::WIDE_SINCE`]
    pub(crate) const WIDE: u32 = 0x80;
}

/// Names of features by their bits, compatible and incompatible ones, as erofs-utils has them.
pub(crate) const FEATURES: [&[(u32, &str)]; 2] = [
    &[
        (compat::SB_CHKSUM, "sb_csum"),
        (compat::MTIME, "mtime"),
        (compat::XATTR_FILTER, "xattr_filter"),
        (compat::PLAIN_XATTR_PREFIXES, "plain_xattr_pfx"),
    ],
    &[
        (incompat::ZERO_PADDING, "0padding"),
        (incompat::COMPR_CFGS, "compr_cfgs"),
        (incompat::CHUNKED_FILE, "chunked_file"),
        (incompat::DEVICE_TABLE, "device_table"),
        (incompat::ZTAILPACKING, "ztailpacking"),
        (incompat::DEDUPE, "dedupe_or_fragments"),
        (incompat::XATTR_PREFIXES, "xattr_prefixes"),
        (incompat::WIDE, "48bit"),
    ],
];

/// The first kernel that reads files in chunks, holes among them.
pub(crate) const CHUNKS_SINCE: Kernel = Kernel::new(5, 15);
/// The first kernel that reads clusters of several blocks.
pub(crate) const CLUSTERS_SINCE: Kernel = Kernel::new(5, 13);
/// The first kernel that finds contents on more devices.
pub(crate) const DEVICES_SINCE: Kernel = Kernel::new(5, 16);
/// The first kernel that reads compressed ends of files behind inodes.
pub(crate) const TAILS_SINCE: Kernel = Kernel::new(5, 17);
/// The first kernel that reads clusters which several files have.
pub(crate) const DEDUPE_SINCE: Kernel = Kernel::new(6, 1);
/// The first kernel that reads ends of files in one more inode.
pub(crate) const FRAGMENTS_SINCE: Kernel = Kernel::new(6, 1);
/// The first kernel that expands DEFLATE.
pub(crate) const DEFLATE_SINCE: Kernel = Kernel::new(6, 6);
/// The first kernel that expands Zstandard.
pub(crate) const ZSTD_SINCE: Kernel = Kernel::new(6, 10);
/// The first kernel that reads blocks which are smaller than its pages.
pub(crate) const SMALL_BLOCKS_SINCE: Kernel = Kernel::new(6, 4);

/// The first kernel that reads addresses of more than 32 bits.
pub(crate) const WIDE_SINCE: Kernel = Kernel::new(6, 15);

/// `struct erofs_super_block`.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone)]
#[repr(C)]
pub(crate) struct Superblock {
    pub(crate) magic: le::U32,
    pub(crate) checksum: le::U32,
    pub(crate) feature_compat: le::U32,
    pub(crate) blkszbits: u8,
    pub(crate) sb_extslots: u8,
    /// The root's number; in the wide layout the upper bits of `blocks` (`rb`).
    pub(crate) root_nid: le::U16,
    pub(crate) inos: le::U64,
    pub(crate) build_time: le::I64,
    pub(crate) build_time_nsec: le::U32,
    pub(crate) blocks: le::U32,
    pub(crate) meta_blkaddr: le::U32,
    pub(crate) xattr_blkaddr: le::U32,
    pub(crate) uuid: [u8; 16],
    pub(crate) volume_name: [u8; 16],
    pub(crate) feature_incompat: le::U32,
    pub(crate) available_compr_algs: le::U16,
    pub(crate) extra_devices: le::U16,
    pub(crate) devt_slotoff: le::U16,
    pub(crate) dirblkbits: u8,
    pub(crate) xattr_prefix_count: u8,
    pub(crate) xattr_prefix_start: le::U32,
    pub(crate) packed_nid: le::U64,
    pub(crate) xattr_filter_reserved: u8,
    pub(crate) reserved: [u8; 7],
    /// The root's number in the wide layout, never 0 there.
    pub(crate) rootnid_8b: le::U64,
    pub(crate) reserved2: [u8; 8],
}

/// `EROFS_SUPER_MAGIC_V1`.
pub(crate) const MAGIC: u32 = 0xe0f5_e1e2;

const _: () = {
    assert!(size_of::<Superblock>() == 128);
    assert!(offset_of!(Superblock, root_nid) == 14);
    assert!(offset_of!(Superblock, blocks) == 36);
    assert!(offset_of!(Superblock, uuid) == 48);
    assert!(offset_of!(Superblock, feature_incompat) == 80);
    assert!(offset_of!(Superblock, xattr_prefix_start) == 92);
    assert!(offset_of!(Superblock, xattr_filter_reserved) == 104);
    assert!(offset_of!(Superblock, rootnid_8b) == 112);
};

/// `struct z_erofs_lz4_cfgs`.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone)]
#[repr(C)]
pub(crate) struct Lz4Configuration {
    pub(crate) max_distance: le::U16,
    pub(crate) max_pclusterblks: le::U16,
    pub(crate) reserved: [u8; 10],
}

/// `struct z_erofs_lzma_cfgs`.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone)]
#[repr(C)]
pub(crate) struct LzmaConfiguration {
    pub(crate) dict_size: le::U32,
    pub(crate) format: le::U16,
    pub(crate) reserved: [u8; 8],
}

/// `struct z_erofs_deflate_cfgs`.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone)]
#[repr(C)]
pub(crate) struct DeflateConfiguration {
    pub(crate) windowbits: u8,
    pub(crate) reserved: [u8; 5],
}

/// `struct z_erofs_zstd_cfgs`.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone)]
#[repr(C)]
pub(crate) struct ZstdConfiguration {
    pub(crate) format: u8,
    /// Without [`ZSTD_WINDOW_BITS_MIN`].
    pub(crate) windowlog: u8,
    pub(crate) reserved: [u8; 4],
}

/// The smallest window of Zstandard, as a power of two of bytes.
pub(crate) const ZSTD_WINDOW_BITS_MIN: u8 = 10;

const _: () = {
    assert!(size_of::<Lz4Configuration>() == 14 && size_of::<DeflateConfiguration>() == 6);
    assert!(size_of::<ZstdConfiguration>() == 6 && size_of::<LzmaConfiguration>() == 14);
};

/// `struct erofs_deviceslot`: another device with blocks of files.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone)]
#[repr(C)]
pub(crate) struct DeviceSlot {
    pub(crate) tag: [u8; 64],
    pub(crate) blocks: le::U32,
    /// Where the device's blocks come among those of all, if they do.
    pub(crate) uniaddr: le::U32,
    /// The upper bits of both, in the wide layout.
    pub(crate) blocks_hi: le::U16,
    pub(crate) uniaddr_hi: le::U16,
    pub(crate) reserved: [u8; 52],
}

pub(crate) const DEVICE_SLOT_SIZE: u64 = size_of::<DeviceSlot>() as u64;

const _: () = assert!(DEVICE_SLOT_SIZE == 128 && offset_of!(DeviceSlot, blocks) == 64);

/// `struct erofs_inode_compact`: of a file whose time is the superblock's, with small numbers.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone)]
#[repr(C)]
pub(crate) struct InodeCompact {
    pub(crate) format: le::U16,
    pub(crate) xattr_icount: le::U16,
    pub(crate) mode: le::U16,
    /// Links; with [`FORMAT_NLINK_1`] the upper bits of the first block's address (`i_nb`).
    pub(crate) nlink: le::U16,
    pub(crate) size: le::U32,
    pub(crate) reserved: le::U32,
    /// A block, a device's number, or the format of chunks.
    pub(crate) u: le::U32,
    pub(crate) ino: le::U32,
    pub(crate) uid: le::U16,
    pub(crate) gid: le::U16,
    pub(crate) reserved2: le::U32,
}

/// `struct erofs_inode_extended`.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone)]
#[repr(C)]
pub(crate) struct InodeExtended {
    pub(crate) format: le::U16,
    pub(crate) xattr_icount: le::U16,
    pub(crate) mode: le::U16,
    /// The upper bits of the first block's address (`i_nb`), in the wide layout.
    pub(crate) startblk_hi: le::U16,
    pub(crate) size: le::U64,
    /// A block, a device's number, or the format of chunks.
    pub(crate) u: le::U32,
    pub(crate) ino: le::U32,
    pub(crate) uid: le::U32,
    pub(crate) gid: le::U32,
    pub(crate) mtime: le::I64,
    pub(crate) mtime_nsec: le::U32,
    pub(crate) nlink: le::U32,
    pub(crate) reserved2: [u8; 16],
}

pub(crate) const COMPACT_SIZE: u64 = size_of::<InodeCompact>() as u64;
pub(crate) const EXTENDED_SIZE: u64 = size_of::<InodeExtended>() as u64;

/// `i_format`: whether the inode is extended, and where its data lies.
pub(crate) const FORMAT_EXTENDED: u16 = 1;
pub(crate) const FORMAT_LAYOUT_SHIFT: u32 = 1;
/// `EROFS_I_NLINK_1_BIT`: a small inode that is no directory has one link, and a wide address. A directory with it leaves
/// out `.`.
pub(crate) const FORMAT_NLINK_1: u16 = 0x10;
/// `EROFS_INODE_FLAT_PLAIN`: in consecutive blocks.
pub(crate) const LAYOUT_PLAIN: u16 = 0;
/// `EROFS_INODE_FLAT_INLINE`: the last, incomplete block behind the inode, the others consecutive.
pub(crate) const LAYOUT_INLINE: u16 = 2;
/// `EROFS_INODE_COMPRESSED_FULL`: in clusters, with an index of eight bytes for each logical one.
pub(crate) const LAYOUT_COMPRESSED_FULL: u16 = 1;
/// `EROFS_INODE_COMPRESSED_COMPACT`: in clusters, with an index in packs.
pub(crate) const LAYOUT_COMPRESSED: u16 = 3;
/// `EROFS_INODE_CHUNK_BASED`: in chunks of equal length, each anywhere or nowhere.
pub(crate) const LAYOUT_CHUNKS: u16 = 4;

/// The format of chunks: how many times larger than a block they are, as a power of two, and whether their addresses
/// say on which device.
pub(crate) const CHUNK_FORMAT_BITS: u32 = 0x1f;
pub(crate) const CHUNK_FORMAT_INDEXES: u32 = 0x20;
/// Whether these addresses are wide.
pub(crate) const CHUNK_FORMAT_WIDE: u32 = 0x40;

/// `struct erofs_inode_chunk_index`: the address of a chunk that says on which device, or is wide.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone)]
#[repr(C)]
pub(crate) struct ChunkIndex {
    pub(crate) startblk_hi: le::U16,
    pub(crate) device_id: le::U16,
    pub(crate) startblk_lo: le::U32,
}

pub(crate) const CHUNK_INDEX_SIZE: u64 = size_of::<ChunkIndex>() as u64;

const _: () = assert!(CHUNK_INDEX_SIZE == 8 && offset_of!(ChunkIndex, startblk_lo) == 4);

pub(crate) const S_IFIFO: u16 = 0o010_000;
pub(crate) const S_IFCHR: u16 = 0o020_000;
pub(crate) const S_IFDIR: u16 = 0o040_000;
pub(crate) const S_IFBLK: u16 = 0o060_000;
pub(crate) const S_IFREG: u16 = 0o100_000;
pub(crate) const S_IFLNK: u16 = 0o120_000;
pub(crate) const S_IFSOCK: u16 = 0o140_000;

const _: () = {
    assert!(size_of::<InodeCompact>() == 32 && size_of::<InodeExtended>() == 64);
    assert!(offset_of!(InodeCompact, u) == 16 && offset_of!(InodeExtended, u) == 16);
    assert!(offset_of!(InodeCompact, uid) == 24 && offset_of!(InodeExtended, mtime) == 32);
};

/// `struct erofs_xattr_ibody_header`: the start of the attributes behind an inode. Numbers of shared ones follow,
/// then entries.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone)]
#[repr(C)]
pub(crate) struct XattrHeader {
    pub(crate) name_filter: le::U32,
    pub(crate) shared_count: u8,
    pub(crate) reserved: [u8; 7],
}

/// `struct erofs_xattr_entry` without its name and value.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone)]
#[repr(C)]
pub(crate) struct XattrEntry {
    pub(crate) name_len: u8,
    pub(crate) name_index: u8,
    pub(crate) value_size: le::U16,
}

/// Prefixes of attributes' names by number, those first that are to be tried first.
pub(crate) const PREFIXES: [(u8, &[u8]); 6] = [
    (6, b"security."),
    (5, b"lustre."),
    (4, b"trusted."),
    (3, b"system.posix_acl_default"),
    (2, b"system.posix_acl_access"),
    (1, b"user."),
];
/// The rest of a prefix's number is that of a longer one (`EROFS_XATTR_LONG_PREFIX`).
pub(crate) const LONG_PREFIX: u8 = 0x80;

/// Entries and numbers of shared ones lie at multiples of so many bytes.
pub(crate) const XATTR_ALIGN: usize = 4;
pub(crate) const XATTR_HEADER_SIZE: usize = size_of::<XattrHeader>();

/// `struct erofs_dirent`; names follow the last of a block.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone)]
#[repr(C)]
pub(crate) struct Dirent {
    pub(crate) nid: le::U64,
    pub(crate) nameoff: le::U16,
    pub(crate) file_type: u8,
    pub(crate) reserved: u8,
}

pub(crate) const DIRENT_SIZE: usize = size_of::<Dirent>();

const _: () = assert!(size_of::<XattrHeader>() == 12 && size_of::<XattrEntry>() == 4 && DIRENT_SIZE == 12);

/// `struct z_erofs_map_header`: before the index of a compressed file.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone)]
#[repr(C)]
pub(crate) struct MapHeader {
    pub(crate) reserved: le::U16,
    /// Bytes of the end behind the index.
    pub(crate) idata_size: le::U16,
    pub(crate) advise: le::U16,
    /// Of the first kind of heads, and times 16 of the second.
    pub(crate) algorithmtype: u8,
    /// How many times larger than a block a logical cluster is, as a power of two.
    pub(crate) clusterbits: u8,
}

/// The index lies at multiples of so many bytes.
pub(crate) const MAP_ALIGN: u64 = 8;

/// `z_erofs_map_header.h_advise`.
pub(crate) mod advise {
    /// Most of the index is in packs of 32 bytes.
    pub(crate) const COMPACTED_2B: u16 = 0x1;
    /// Of a full index in the wide layout: it has extents rather than logical clusters.
    pub(crate) const EXTENTS: u16 = 0x1;
    /// Clusters of either kind of heads have several blocks: in such an index both or none.
    pub(crate) const BIG_PCLUSTERS: u16 = 0x2 | 0x4;
    /// The last cluster lies behind the index.
    pub(crate) const INLINE_PCLUSTER: u16 = 0x8;
    /// Clusters that are not compressed lie as if they began with a block of the file.
    pub(crate) const INTERLACED_PCLUSTER: u16 = 0x10;
    /// The end of the file lies in the packed inode.
    pub(crate) const FRAGMENT_PCLUSTER: u16 = 0x20;
}

/// The bit of [`MapHeader::clusterbits`] that makes the header the place of the whole file in the packed inode.
pub(crate) const FRAGMENT_INODE: u8 = 0x80;
/// The same bit of all eight bytes.
pub(crate) const FRAGMENT_INODE_MARK: u64 = (FRAGMENT_INODE as u64) << 56;

/// `Z_EROFS_LI_D0_CBLKCNT`: a distance that is none, but a number of blocks.
pub(crate) const IS_BLOCKS: u16 = 0x800;
/// `Z_EROFS_LCLUSTER_TYPE_*`
pub(crate) const CLUSTER_PLAIN: u16 = 0;
pub(crate) const CLUSTER_HEAD: u16 = 1;
pub(crate) const CLUSTER_NONHEAD: u16 = 2;
pub(crate) const CLUSTER_HEAD2: u16 = 3;
/// `Z_EROFS_LI_PARTIAL_REF`: there is more in the cluster than begins here.
pub(crate) const CLUSTER_IS_PART: u16 = 1 << 15;

const _: () = assert!(size_of::<MapHeader>() == 8 && offset_of!(MapHeader, algorithmtype) == 6);
