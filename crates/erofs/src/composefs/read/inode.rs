//! An inode, with its attributes and its data.

use tree::{Content, Device, Directory, Kind, Metadata, Time, Xattrs};

use super::super::format::{
    ACL_ACCESS, ACL_DEFAULT, BLOCK, BLOCK_BITS, CHUNK_BLOCKS_BITS_MAX, LAYOUT_CHUNKS, LAYOUT_INLINE,
    LAYOUT_PLAIN, NULL_ADDRESS, PREFIXES, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK,
    SLOT, Superblock, Version, XattrHeader,
};
use super::super::inodes::Extent;
use super::super::objects::outside;
use super::super::plan::{LINK_TEXT_MAX, OBJECT_SIZE_MAX};
use super::Corrupt;
use super::bytes::Bytes;
use crate::checksum::filter_bit;
use crate::parse::{Attribute, Fields};

/// Where inodes are read from.
pub(super) struct Source<'a> {
    pub(super) bytes: Bytes<'a>,
    pub(super) superblock: Superblock,
    pub(super) version: Version,
}

/// An inode.
pub(super) struct Inode {
    pub(super) nid: u64,
    pub(super) fields: Fields,
    pub(super) xattrs: Xattrs,
    pub(super) has_acl: bool,
    pub(super) extent: Extent,
    /// Where that lies what is behind it.
    pub(super) tail_at: u64,
    /// The bytes of a file or the text of a link.
    data: Box<[u8]>,
}

impl Inode {
    pub(super) fn corrupt(&self, what: &'static str) -> Corrupt {
        Corrupt { offset: self.nid * SLOT, what }
    }

    /// Whether the bytes of the file are elsewhere.
    pub(super) fn is_outside(&self) -> bool {
        self.fields.layout == LAYOUT_CHUNKS
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
        let Fields { mode, uid, gid, mtime, .. } = self.fields;
        Metadata { mode: mode & 0o7777, uid, gid, mtime, xattrs }
    }

    /// What it is, to the tree. Its type was looked at when it was read.
    pub(super) fn kind(&mut self, is_whiteout: bool) -> Kind {
        let data = std::mem::take(&mut self.data);
        match self.fields.file_type() {
            _ if is_whiteout => Kind::CharDevice(Device::NONE),
            S_IFDIR => Kind::Directory(Directory::new()),
            S_IFLNK => Kind::Symlink(data),
            S_IFREG if self.extent.size == 0 => Kind::File(Content::Empty),
            S_IFREG if self.is_outside() => Kind::File(outside(self.extent.size)),
            S_IFREG => Kind::File(Content::Inline(data)),
            S_IFCHR => Kind::CharDevice(Device::split(self.fields.u.into())),
            S_IFBLK => Kind::BlockDevice(Device::split(self.fields.u.into())),
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
        let bytes = self.bytes.slice(offset, Fields::length_of(self.bytes.get(offset)?))?;
        let superblock = &self.superblock;
        let epoch =
            Time { seconds: superblock.build_time.get(), nanoseconds: superblock.build_time_nsec.get() };
        let fields = Fields::parse(bytes, epoch).expect("the slice has the inode's length");
        if !fields.is_extended() && self.version == Version::V2 {
            return Err(corrupt("a small inode in an image of version 2"));
        }
        if !matches!(fields.layout, LAYOUT_PLAIN | LAYOUT_INLINE | LAYOUT_CHUNKS) {
            return Err(corrupt("a layout of data that composefs does not use"));
        }
        if fields.mtime.nanoseconds >= 1_000_000_000 {
            return Err(corrupt("more nanoseconds than a second has"));
        }
        let xattrs_at = offset + fields.length;
        let mut inode = Inode {
            nid,
            xattrs: Xattrs::new(),
            has_acl: false,
            extent: Extent { size: fields.size, blocks: 0, tail: 0 },
            tail_at: xattrs_at + fields.xattrs,
            data: Box::default(),
            fields,
        };
        if inode.fields.xattrs > 0 {
            self.xattrs(&mut inode, xattrs_at)?;
        }
        self.data(&mut inode)?;
        Ok(inode)
    }

    fn xattrs(&self, inode: &mut Inode, offset: u64) -> Result<(), Corrupt> {
        let header: XattrHeader = self.bytes.get(offset)?;
        let mut at = offset + size_of::<XattrHeader>() as u64;
        let end = inode.tail_at;
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
        let bytes = self.bytes.slice(at, Attribute::length_of(&self.bytes.get(at)?))?;
        let found = Attribute::parse(bytes).expect("the slice has the attribute's length");
        let prefix = match found.index {
            0 => &b""[..],
            index => {
                let known = PREFIXES.iter().find(|(known, _)| *known == index);
                known.ok_or(wrong("an attribute with an unknown prefix"))?.1
            }
        };
        let name = [prefix, found.suffix].concat();
        if name.is_empty() || name.contains(&0) {
            return Err(wrong("not an attribute's name"));
        }
        inode.has_acl |= matches!(found.index, ACL_ACCESS | ACL_DEFAULT);
        *filter |= filter_bit(found.index, found.suffix);
        if inode.xattrs.insert(name.into(), found.value.into()).is_some() {
            return Err(wrong("an attribute twice"));
        }
        Ok(at + found.length())
    }

    /// Finds where an inode's data lies, and takes what is not names.
    fn data(&self, inode: &mut Inode) -> Result<(), Corrupt> {
        let corrupt = inode.corrupt("");
        let wrong = |what| Corrupt { what, ..corrupt.clone() };
        let size = inode.extent.size;
        let is_file = inode.fields.file_type() == S_IFREG;
        let u = inode.fields.u;
        inode.extent = match inode.fields.layout {
            LAYOUT_CHUNKS if is_file => {
                if u > CHUNK_BLOCKS_BITS_MAX.into() || size == 0 || size > OBJECT_SIZE_MAX {
                    return Err(wrong("chunks that composefs does not use"));
                }
                let tail = 4 * size.div_ceil(1 << (u as u8 + BLOCK_BITS));
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
        let is_chunked = inode.is_outside();
        if !is_chunked && tail > 0 && inode.tail_at % BLOCK + tail > BLOCK {
            return Err(wrong("the end of the data lies in two blocks"));
        }
        match inode.fields.file_type() {
            S_IFDIR if size == 0 => return Err(wrong("a directory without names")),
            S_IFDIR => {}
            S_IFREG if is_chunked => {}
            S_IFREG | S_IFLNK => {
                if inode.fields.file_type() == S_IFLNK && !(1..=LINK_TEXT_MAX as u64).contains(&size) {
                    return Err(wrong("a link's text has a length that composefs does not write"));
                }
                let whole = self.bytes.slice(u64::from(u) * BLOCK, size - tail);
                let whole = if blocks > 0 { whole? } else { &[] };
                inode.data = [whole, self.bytes.slice(inode.tail_at, tail)?].concat().into();
                if inode.fields.file_type() == S_IFLNK && inode.data.contains(&0) {
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
