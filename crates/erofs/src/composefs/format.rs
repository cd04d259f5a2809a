//! What composefs adds to EROFS, declared once: a header in front, and the names of overlayfs's attributes.

use std::fmt;
use std::mem::size_of;
use std::str::FromStr;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, little_endian as le};

pub(super) use crate::format::{
    COMPACT_SIZE, DIRENT_SIZE, Dirent, EXTENDED_SIZE, FORMAT_EXTENDED, FORMAT_LAYOUT_SHIFT, InodeCompact,
    InodeExtended, LAYOUT_CHUNKS, LAYOUT_INLINE, LAYOUT_PLAIN, MAGIC, NULL_ADDRESS, PREFIXES, S_IFBLK,
    S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK, SLOT, SUPERBLOCK_OFFSET, Superblock, XATTR_ALIGN,
    XATTR_HEADER_SIZE, XATTRS_MAX, XattrEntry, XattrHeader, compat,
};

/// Bytes of a block.
pub(super) const BLOCK: u64 = 4096;
/// The same as a power of two.
pub(super) const BLOCK_BITS: u8 = 12;

/// Most bytes that a file, link or directory has behind its inode; more fill a block.
pub(super) const TAIL_MAX: u64 = BLOCK / 2;

/// `struct lcfs_erofs_header_s`: what stands before EROFS's superblock.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone)]
#[repr(C)]
pub(super) struct Header {
    pub(super) magic: le::U32,
    pub(super) version: le::U32,
    pub(super) flags: le::U32,
    pub(super) composefs_version: le::U32,
    pub(super) unused: [u8; 16],
}

/// `LCFS_EROFS_MAGIC`
pub(super) const HEADER_MAGIC: u32 = 0xd078_629a;
/// The version of the header itself.
pub(super) const HEADER_VERSION: u32 = 1;
/// `LCFS_EROFS_FLAGS_HAS_ACL`: some file has an access control list, so that the mount needs to look for them.
pub(super) const HAS_ACL: u32 = 1;

/// Where the inodes start: right behind the superblock.
pub(super) const INODES: u64 = SUPERBLOCK_OFFSET + size_of::<Superblock>() as u64;

const _: () = assert!(size_of::<Header>() == 32 && INODES == 1152);

/// Compatible features, all of them, whether there are attributes or not.
pub(super) const FEATURES: u32 = compat::MTIME | compat::XATTR_FILTER;

/// The largest chunk, as a power of two of blocks: five bits hold it.
pub(super) const CHUNK_BLOCKS_BITS_MAX: u8 = 31;

/// What overlayfs reads in the image.
pub(super) const OVERLAY: &[u8] = b"trusted.overlay.";
/// The same, of the tree itself: overlayfs shows it without one `overlay.`, for an overlay inside.
pub(super) const OVERLAY_ESCAPED: &[u8] = b"trusted.overlay.overlay.";
pub(super) const METACOPY: &[u8] = b"trusted.overlay.metacopy";
pub(super) const REDIRECT: &[u8] = b"trusted.overlay.redirect";
pub(super) const OPAQUE: &[u8] = b"trusted.overlay.opaque";
/// What makes an empty file a whiteout, and a directory one that has such files. Each twice, as an overlay inside is
/// mounted with or without `userxattr`.
pub(super) const WHITEOUT: [&[u8]; 2] = [b"trusted.overlay.overlay.whiteout", b"user.overlay.whiteout"];
pub(super) const WHITEOUTS: [&[u8]; 2] = [b"trusted.overlay.overlay.whiteouts", b"user.overlay.whiteouts"];
pub(super) const OPAQUES: [&[u8]; 2] = [b"trusted.overlay.overlay.opaque", b"user.overlay.opaque"];
/// What `opaque` is of a directory with whiteouts that are files: "look there, but it hides nothing".
pub(super) const OPAQUE_WHITEOUTS: &[u8] = b"x";

pub(super) const SELINUX: &[u8] = b"security.selinux";

pub(super) const ACL_ACCESS: u8 = 2;
pub(super) const ACL_DEFAULT: u8 = 3;
/// A prefix that images of the C tool, and so those of the versions 0 and 1, do not know.
pub(super) const LUSTRE: u8 = 5;

/// Which of composefs's formats an image has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Version {
    /// What `mkcomposefs` writes by default.
    V0,
    /// The same, with whiteouts that overlays inside see. What `cfsctl` writes by default.
    #[default]
    V1,
    /// What older versions of `cfsctl` wrote.
    V2,
}

impl Version {
    /// The number that stands in an image.
    pub fn number(self) -> u32 {
        match self {
            Version::V0 => 0,
            Version::V1 => 1,
            Version::V2 => 2,
        }
    }

    /// The version with that number.
    pub fn from_number(number: u32) -> Option<Version> {
        [Version::V0, Version::V1, Version::V2].into_iter().find(|version| version.number() == number)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number())
    }
}

/// Not the number of a [`Version`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("versions of composefs images are 0, 1 and 2")]
pub struct NoVersion;

impl FromStr for Version {
    type Err = NoVersion;

    fn from_str(text: &str) -> Result<Version, NoVersion> {
        text.parse().ok().and_then(Version::from_number).ok_or(NoVersion)
    }
}
