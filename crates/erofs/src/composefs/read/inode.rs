//! An inode, with its attributes and its data.

use tree::{Content, Device, Directory, Kind, Metadata, Time, Xattrs};

use super::super::format::{
    ACL_ACCESS, ACL_DEFAULT, BLOCK, BLOCK_BITS, CHUNK_BLOCKS_BITS_MAX, COMPACT_SIZE, EXTENDED_SIZE,
    FORMAT_EXTENDED, FORMAT_LAYOUT_SHIFT, InodeCompact, InodeExtended, LAYOUT_CHUNKS, LAYOUT_INLINE,
    LAYOUT_PLAIN, NULL_ADDRESS, PREFIXES, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK,
    SLOT, Superblock, Version, XATTR_ALIGN, XattrEntry, XattrHeader,
};
use super::super::inodes::Extent;
use super::super::objects::outside;
use super::super::plan::{LINK_TEXT_MAX, OBJECT_SIZE_MAX};
use super::Corrupt;
use super::bytes::Bytes;
use crate::checksum::filter_bit;

/// Where inodes are read from.
pub(super) struct Source<'a> {
    pub(super) bytes: Bytes<'a>,
    pub(super) superblock: Superblock,
    pub(super) version: Version,
}

/// An inode.
pub(super) struct Inode {
    pub(super) nid: u64,
    pub(super) mode: u16,
    pub(super) links: u32,
    uid: u32,
    gid: u32,
    mtime: Time,
    pub(super) u: u32,
    pub(super) xattrs: Xattrs,
    pub(super) has_acl: bool,
    pub(super) extent: Extent,
    /// Where that lies what is behind it.
    pub(super) tail_at: u64,
    layout: u16,
    /// The bytes of a file or the text of a link.
    data: Box<[u8]>,
}

impl Inode {
    pub(super) fn corrupt(&self, what: &'static str) -> Corrupt {
        Corrupt { offset: self.nid * SLOT, what }
    }

    pub(super) fn file_type(&self) -> u16 {
        self.mode & 0o170_000
    }

    /// Whether the bytes of the file are elsewhere.
    pub(super) fn is_outside(&self) -> bool {
        self.layout == LAYOUT_CHUNKS
    }

    /// Whether there is nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        self.extent.size == 0
    }

    /// Bytes that came out of it.
    pub(super) fn output(&self) -> u64 {
        let xattrs = self.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        (xattrs + self.data.len()) as u64
    }

    pub(super) fn metadata(&self) -> Metadata {
        let xattrs = (!self.xattrs.is_empty()).then(|| Box::new(self.xattrs.clone()));
        Metadata { mode: self.mode & 0o7777, uid: self.uid, gid: self.gid, mtime: self.mtime, xattrs }
    }

    /// What it is, to the tree. Its type was looked at when it was read.
    pub(super) fn kind(&mut self, is_whiteout: bool) -> Kind {
        let data = std::mem::take(&mut self.data);
        match self.file_type() {
            _ if is_whiteout => Kind::CharDevice(Device::NONE),
            S_IFDIR => Kind::Directory(Directory::new()),
            S_IFLNK => Kind::Symlink(data),
            S_IFREG if self.extent.size == 0 => Kind::File(Content::Empty),
            S_IFREG if self.is_outside() => Kind::File(outside(self.extent.size)),
            S_IFREG => Kind::File(Content::Inline(data)),
            S_IFCHR => Kind::CharDevice(Device::split(self.u.into())),
            S_IFBLK => Kind::BlockDevice(Device::split(self.u.into())),
            S_IFIFO => Kind::Fifo,
            _ => Kind::Socket,
        }
    }
}

impl<'a> Source<'a> {
    /// Reads the inode with that number.
    pub(super) fn inode(&self, nid: u64) -> Result<Inode, Corrupt> {
        let offset = nid.checked_mul(SLOT).filter(|offset| *offset < self.bytes.length());
        let offset =
            offset.ok_or(Corrupt { offset: 0, what: "the number of an inode behind the image's end" })?;
        let corrupt = |what| Corrupt { offset, what };
        let format = self.bytes.get::<zerocopy::little_endian::U16>(offset)?.get();
        if format & FORMAT_EXTENDED == 0 && self.version == Version::V2 {
            return Err(corrupt("a small inode in an image of version 2"));
        }
        let layout = format >> FORMAT_LAYOUT_SHIFT;
        if !matches!(layout, LAYOUT_PLAIN | LAYOUT_INLINE | LAYOUT_CHUNKS) {
            return Err(corrupt("a layout of data that composefs does not use"));
        }
        let (mut inode, icount, fields) = if format & FORMAT_EXTENDED == 0 {
            let fields: InodeCompact = self.bytes.get(offset)?;
            let superblock = &self.superblock;
            let mtime =
                Time { seconds: superblock.build_time.get(), nanoseconds: superblock.build_time_nsec.get() };
            let size = u64::from(fields.size.get());
            let ids = (u32::from(fields.uid.get()), u32::from(fields.gid.get()));
            let inode =
                new(nid, fields.mode.get(), fields.nlink.get().into(), ids, mtime, size, fields.u.get());
            (inode, fields.xattr_icount.get(), COMPACT_SIZE)
        } else {
            let fields: InodeExtended = self.bytes.get(offset)?;
            let mtime = Time { seconds: fields.mtime.get(), nanoseconds: fields.mtime_nsec.get() };
            let ids = (fields.uid.get(), fields.gid.get());
            let size = fields.size.get();
            let inode = new(nid, fields.mode.get(), fields.nlink.get(), ids, mtime, size, fields.u.get());
            (inode, fields.xattr_icount.get(), EXTENDED_SIZE)
        };
        inode.layout = layout;
        if inode.mtime.nanoseconds >= 1_000_000_000 {
            return Err(corrupt("more nanoseconds than a second has"));
        }
        let length = if icount == 0 { 0 } else { 12 + 4 * (u64::from(icount) - 1) };
        inode.tail_at = offset + fields + length;
        if length > 0 {
            self.xattrs(&mut inode, offset + fields, length)?;
        }
        self.data(&mut inode)?;
        Ok(inode)
    }

    fn xattrs(&self, inode: &mut Inode, offset: u64, length: u64) -> Result<(), Corrupt> {
        let header: XattrHeader = self.bytes.get(offset)?;
        let mut at = offset + size_of::<XattrHeader>() as u64;
        let end = offset + length;
        let mut filter = 0;
        for _ in 0..header.shared_count {
            let reference: zerocopy::little_endian::U32 = self.bytes.get(at)?;
            let table = u64::from(self.superblock.xattr_blkaddr.get()) * BLOCK;
            self.xattr(inode, table + 4 * u64::from(reference.get()), &mut filter)?;
            at += 4;
        }
        while at < end {
            at = self.xattr(inode, at, &mut filter)?;
        }
        if at != end {
            return Err(Corrupt { offset, what: "attributes that are longer than their inode says" });
        }
        if header.name_filter.get() != !filter {
            return Err(Corrupt { offset, what: "the filter does not fit the attributes' names" });
        }
        Ok(())
    }

    /// Reads an attribute, and gives where it ends.
    fn xattr(&self, inode: &mut Inode, at: u64, filter: &mut u32) -> Result<u64, Corrupt> {
        let wrong = |what| Corrupt { offset: at, what };
        let entry: XattrEntry = self.bytes.get(at)?;
        let name_at = at + size_of::<XattrEntry>() as u64;
        let suffix = self.bytes.slice(name_at, entry.name_len.into())?;
        let value_at = name_at + u64::from(entry.name_len);
        let value = self.bytes.slice(value_at, entry.value_size.get().into())?;
        let prefix = match entry.name_index {
            0 => &b""[..],
            index => {
                let known = PREFIXES.iter().find(|(known, _)| *known == index);
                known.ok_or(wrong("an attribute with an unknown prefix"))?.1
            }
        };
        let name = [prefix, suffix].concat();
        if name.is_empty() || name.contains(&0) {
            return Err(wrong("not an attribute's name"));
        }
        inode.has_acl |= matches!(entry.name_index, ACL_ACCESS | ACL_DEFAULT);
        *filter |= filter_bit(entry.name_index, suffix);
        if inode.xattrs.insert(name.into(), value.into()).is_some() {
            return Err(wrong("an attribute twice"));
        }
        Ok((value_at + value.len() as u64).next_multiple_of(XATTR_ALIGN as u64))
    }

    /// Finds where an inode's data lies, and takes what is not names.
    fn data(&self, inode: &mut Inode) -> Result<(), Corrupt> {
        let corrupt = inode.corrupt("");
        let wrong = |what| Corrupt { what, ..corrupt.clone() };
        let size = inode.extent.size;
        let is_file = inode.file_type() == S_IFREG;
        inode.extent = match inode.layout {
            LAYOUT_CHUNKS if is_file => {
                if inode.u > CHUNK_BLOCKS_BITS_MAX.into() || size == 0 || size > OBJECT_SIZE_MAX {
                    return Err(wrong("chunks that composefs does not use"));
                }
                let tail = 4 * size.div_ceil(1 << (inode.u as u8 + BLOCK_BITS));
                let chunks = self.bytes.slice(inode.tail_at, tail)?;
                if chunks.chunks_exact(4).any(|chunk| chunk != NULL_ADDRESS.to_le_bytes()) {
                    return Err(wrong("a file outside of the image with blocks in it"));
                }
                Extent { size, blocks: 0, tail }
            }
            LAYOUT_INLINE => Extent { size, blocks: size / BLOCK, tail: size % BLOCK },
            LAYOUT_PLAIN => Extent { size, blocks: size.div_ceil(BLOCK), tail: 0 },
            _ => return Err(wrong("chunks of something else than a file")),
        };
        let Extent { blocks, tail, .. } = inode.extent;
        let is_chunked = inode.layout == LAYOUT_CHUNKS;
        if !is_chunked && tail > 0 && inode.tail_at % BLOCK + tail > BLOCK {
            return Err(wrong("the end of the data lies in two blocks"));
        }
        match inode.file_type() {
            S_IFDIR if size == 0 => return Err(wrong("a directory without names")),
            S_IFDIR => {}
            S_IFREG if is_chunked => {}
            S_IFREG | S_IFLNK => {
                if inode.file_type() == S_IFLNK && !(1..=LINK_TEXT_MAX as u64).contains(&size) {
                    return Err(wrong("a link's text has a length that composefs does not write"));
                }
                let whole = self.bytes.slice(u64::from(inode.u) * BLOCK, size - tail);
                let whole = if blocks > 0 { whole? } else { &[] };
                inode.data = [whole, self.bytes.slice(inode.tail_at, tail)?].concat().into();
                if inode.file_type() == S_IFLNK && inode.data.contains(&0) {
                    return Err(wrong("a link's text has a NUL byte in it"));
                }
            }
            S_IFCHR | S_IFBLK | S_IFIFO | S_IFSOCK if size == 0 => {}
            S_IFCHR | S_IFBLK | S_IFIFO | S_IFSOCK => return Err(wrong("data where there can be none")),
            _ => return Err(wrong("an unknown type of file")),
        }
        Ok(())
    }
}

fn new(nid: u64, mode: u16, links: u32, (uid, gid): (u32, u32), mtime: Time, size: u64, u: u32) -> Inode {
    Inode {
        nid,
        mode,
        links,
        uid,
        gid,
        mtime,
        u,
        xattrs: Xattrs::new(),
        has_acl: false,
        extent: Extent { size, blocks: 0, tail: 0 },
        tail_at: 0,
        layout: 0,
        data: Box::default(),
    }
}
