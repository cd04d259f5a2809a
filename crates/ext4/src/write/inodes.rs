//! Inodes.

use tree::{Device, Kind, Metadata, Time, Tree};
use zerocopy::{FromZeros, IntoBytes};

use crate::checksum::{crc32c, inode_seed};
use crate::format::{
    EXTRA_ISIZE, FAST_SYMLINK_MAX, FL_EA_INODE, FL_EXTENTS, FL_INDEX, INO_FIRST, INO_JOURNAL, INO_RESIZE,
    INO_ROOT, INODE_SIZE, Inode, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK,
};
use crate::plan::limits::clamp;
use crate::plan::survey::{self, Subject};
use crate::plan::xattrs::arrange;
use crate::write::superblock::halves;
use crate::write::{Sink, extents, xattrs};
use crate::{Error, Layout};

/// Writes the inodes in use; behind them the tables stay zero.
pub(crate) fn write_tables(
    layout: &Layout,
    tree: &Tree,
    seed: u32,
    sink: &mut Sink<'_>,
) -> Result<(), Error> {
    let groups = &layout.placed.groups;
    let mut ino = 1;
    for (place, counts) in groups.places.iter().zip(&layout.groups) {
        let mut offset = place.inode_table * u64::from(layout.block_size());
        for _ in 0..groups.inodes_per_group - counts.free_inodes {
            let mut inode = match ino {
                INO_RESIZE => resize(layout),
                INO_JOURNAL if layout.placed.journal_blocks > 0 => journal(layout),
                INO_ROOT | INO_FIRST.. => subject(layout, tree, ino, layout.survey.inode(ino), seed)?,
                _ => Inode::new_zeroed(),
            };
            let checksum = crc32c(inode_seed(seed, ino, 0), inode.as_bytes());
            inode.checksum_lo = (checksum as u16).into();
            if inode.extra_isize.get() >= 4 {
                inode.checksum_hi = ((checksum >> 16) as u16).into();
            }
            sink.put(offset, inode.as_bytes())?;
            offset += u64::from(INODE_SIZE);
            ino += 1;
        }
    }
    Ok(())
}

/// The inode of the journal (8).
pub(crate) fn journal(layout: &Layout) -> Inode {
    let mut inode = new(layout.options.created, S_IFREG | 0o600, 1);
    set_size(&mut inode, layout.placed.journal_blocks * u64::from(layout.block_size()));
    map(layout, &mut inode, INO_JOURNAL);
    inode
}

/// The inode that keeps room for group descriptors (7): mapped by indirect blocks, as `fs/ext4/resize.c` wants.
fn resize(layout: &Layout) -> Inode {
    let Some(indirect) = layout.placed.resize_block else {
        return Inode::new_zeroed();
    };
    let groups = &layout.placed.groups;
    let words = u64::from(layout.block_size() / 4);
    let mut inode = new(layout.options.created, S_IFREG | 0o600, 1);
    // All that a doubly indirect map could name.
    set_size(&mut inode, (words * words + words + 12) * u64::from(layout.block_size()));
    let copies = 1 + groups.backups().count() as u64;
    set_blocks(layout, &mut inode, 1 + groups.reserved_descriptor_blocks * copies);
    // i_block[EXT4_DIND_BLOCK]
    inode.block[13 * 4..14 * 4].copy_from_slice(&(indirect as u32).to_le_bytes());
    inode
}

fn subject(
    layout: &Layout,
    tree: &Tree,
    ino: u32,
    planned: &survey::Inode,
    seed: u32,
) -> Result<Inode, Error> {
    let own_bytes = u64::from(planned.own_blocks) * u64::from(layout.block_size());
    let node = match planned.subject {
        Subject::Node(node) => tree.node(node),
        Subject::LostFound => {
            let mut inode = new(layout.options.created, S_IFDIR | 0o700, planned.links);
            set_size(&mut inode, own_bytes);
            map(layout, &mut inode, ino);
            return Ok(inode);
        }
        Subject::Value(owner, nth) => {
            let arranged = arrange(&tree.node(owner).metadata, layout.options.block_size, b"")?;
            let value = arranged.external().nth(nth as usize).map_or(&b""[..], |xattr| &xattr.value);
            let mut inode = new(0, S_IFREG | 0o600, 1);
            set_size(&mut inode, value.len() as u64);
            map(layout, &mut inode, ino);
            inode.flags = (inode.flags.get() | FL_EA_INODE).into();
            // Where other inodes have times, these have a checksum of the value and a count of users
            // (`ext4_xattr_inode_set_hash`, `ext4_xattr_inode_set_ref`).
            inode.atime = crc32c(seed, value).into();
            inode.version = 1.into();
            return Ok(inode);
        }
    };
    let (kind, size) = match &node.kind {
        Kind::Directory(_) => (S_IFDIR, own_bytes),
        Kind::File(content) => (S_IFREG, content.size()),
        Kind::Symlink(text) => (S_IFLNK, text.len() as u64),
        Kind::CharDevice(_) => (S_IFCHR, 0),
        Kind::BlockDevice(_) => (S_IFBLK, 0),
        Kind::Fifo => (S_IFIFO, 0),
        Kind::Socket => (S_IFSOCK, 0),
    };
    let metadata = &node.metadata;
    let mut inode = new(0, kind | (metadata.mode & 0o7777), planned.links);
    set_times(&mut inode, metadata.mtime);
    set_size(&mut inode, size);
    (inode.uid, inode.uid_high) = ((metadata.uid as u16).into(), ((metadata.uid >> 16) as u16).into());
    (inode.gid, inode.gid_high) = ((metadata.gid as u16).into(), ((metadata.gid >> 16) as u16).into());
    match &node.kind {
        Kind::Symlink(text) if text.len() <= FAST_SYMLINK_MAX => {
            inode.block[..text.len()].copy_from_slice(text)
        }
        Kind::Directory(_) | Kind::File(_) | Kind::Symlink(_) => {
            map(layout, &mut inode, ino);
        }
        Kind::CharDevice(device) | Kind::BlockDevice(device) => {
            inode.block[..8].copy_from_slice(&number(*device))
        }
        Kind::Fifo | Kind::Socket => {}
    }
    if planned.hashed {
        inode.flags = (inode.flags.get() | FL_INDEX).into();
    }
    set_xattrs(layout, &mut inode, metadata, planned)?;
    Ok(inode)
}

fn set_xattrs(
    layout: &Layout,
    inode: &mut Inode,
    metadata: &Metadata,
    planned: &survey::Inode,
) -> Result<(), Error> {
    if metadata.xattrs.is_none() {
        return Ok(());
    }
    let arranged = arrange(metadata, layout.options.block_size, b"")?;
    inode.xattrs = xattrs::encode_in_inode(&arranged.in_inode);
    let mut more = 0;
    if let Some(block) = planned.xattr_block.checked_sub(1) {
        let block = layout.placed.xattr_blocks[block as usize];
        inode.file_acl_lo = (block as u32).into();
        inode.file_acl_high = ((block >> 32) as u16).into();
        more += 1;
    }
    // A value in an inode of its own counts as its owner's too (`ext4_xattr_inode_alloc_quota`).
    let block = layout.block_size() as usize;
    more += arranged.external().map(|xattr| xattr.value.len().div_ceil(block) as u64).sum::<u64>();
    let sectors = sectors(inode) + more * layout.options.block_size.sectors();
    set_sectors(inode, sectors);
    Ok(())
}

fn new(created: i64, mode: u16, links: u32) -> Inode {
    let mut inode = Inode::new_zeroed();
    inode.mode = mode.into();
    inode.links_count = (links as u16).into();
    inode.extra_isize = EXTRA_ISIZE.into();
    set_times(&mut inode, Time { seconds: created, nanoseconds: 0 });
    inode
}

/// Sets all four times to the same: a tarball knows only one.
fn set_times(inode: &mut Inode, time: Time) {
    let time = clamp(time);
    let low = time.seconds as u32;
    // Two bits extend the seconds, thirty hold the nanoseconds (`ext4_encode_extra_time`).
    let epoch = ((time.seconds - i64::from(low as i32)) >> 32) as u32 & 3;
    let extra = epoch | (time.nanoseconds << 2);
    (inode.atime, inode.ctime, inode.mtime, inode.crtime) = (low.into(), low.into(), low.into(), low.into());
    (inode.atime_extra, inode.ctime_extra) = (extra.into(), extra.into());
    (inode.mtime_extra, inode.crtime_extra) = (extra.into(), extra.into());
}

fn set_size(inode: &mut Inode, size: u64) {
    (inode.size_lo, inode.size_high) = halves(size);
}

/// Maps the blocks of an inode by extents, and counts them.
fn map(layout: &Layout, inode: &mut Inode, ino: u32) {
    inode.flags = (inode.flags.get() | FL_EXTENTS).into();
    inode.block = extents::root(layout, ino);
    let of = crate::plan::extents::of(&layout.placed.extents, ino);
    let data: u64 = of.iter().map(|extent| u64::from(extent.length)).sum();
    let tree = layout.extent_tree_blocks(ino).map_or(0, <[u64]>::len) as u64;
    set_blocks(layout, inode, data + tree);
}

fn set_blocks(layout: &Layout, inode: &mut Inode, blocks: u64) {
    set_sectors(inode, blocks * layout.options.block_size.sectors());
}

/// 48 bits of 512-byte sectors hold more than the largest file, so blocks never count as blocks
/// (`EXT4_HUGE_FILE_FL`).
fn set_sectors(inode: &mut Inode, sectors: u64) {
    inode.blocks_lo = (sectors as u32).into();
    inode.blocks_high = ((sectors >> 32) as u16).into();
}

fn sectors(inode: &Inode) -> u64 {
    u64::from(inode.blocks_lo.get()) | u64::from(inode.blocks_high.get()) << 32
}

/// A device's number: `i_block[0]` in the old encoding if that holds it, else `i_block[1]` in the new one.
fn number(Device { major, minor }: Device) -> [u8; 8] {
    let (old, new) = if major < 256 && minor < 256 {
        (major << 8 | minor, 0)
    } else {
        (0, (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12))
    };
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&old.to_le_bytes());
    bytes[4..].copy_from_slice(&new.to_le_bytes());
    bytes
}
