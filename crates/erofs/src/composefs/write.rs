//! Writing what was planned, from front to back.

use std::io::{self, Write};

use zerocopy::{FromZeros, IntoBytes};

use super::format::{
    BLOCK, BLOCK_BITS, DIRENT_SIZE, Dirent, FEATURES, FORMAT_EXTENDED, FORMAT_LAYOUT_SHIFT, HAS_ACL,
    HEADER_MAGIC, HEADER_VERSION, Header, InodeCompact, InodeExtended, MAGIC, NULL_ADDRESS,
    SUPERBLOCK_OFFSET, Superblock, Version,
};
use super::inodes::{Data, Entry, chunk_blocks_bits};
use super::plan::Layout;
use crate::parse::file_type_number;

impl Layout<'_> {
    /// Writes the image. Fails only with what `out` fails with.
    pub fn write(&self, out: impl Write) -> io::Result<()> {
        let mut sink = Sink { out, at: 0 };
        sink.put(self.header().as_bytes())?;
        sink.pad(SUPERBLOCK_OFFSET)?;
        sink.put(self.superblock().as_bytes())?;
        let mut bytes = Vec::new();
        for place in 0..self.inodes.len() {
            bytes.clear();
            self.inode(place, &mut bytes);
            sink.pad(self.places[place].start)?;
            sink.put(&bytes)?;
        }
        sink.pad(self.ends.inodes)?;
        for xattr in &self.shared {
            bytes.clear();
            xattr.put(&mut bytes);
            sink.put(&bytes)?;
        }
        sink.pad(self.ends.shared)?;
        for (inode, place) in self.inodes.iter().zip(&self.places) {
            let end = sink.at + place.extent.blocks * BLOCK;
            match &inode.data {
                Data::Directory(directory) => {
                    for block in &directory.blocks {
                        bytes.clear();
                        self.names(block, &mut bytes);
                        bytes.resize(BLOCK as usize, 0);
                        sink.put(&bytes)?;
                    }
                }
                Data::Bytes(data) | Data::Text(data) => {
                    sink.put(&data[..data.len() - place.extent.tail as usize])?;
                }
                Data::None | Data::Device(_) | Data::Outside(_) => {}
            }
            sink.pad(end)?;
        }
        sink.out.flush()
    }

    fn header(&self) -> Header {
        Header {
            magic: HEADER_MAGIC.into(),
            version: HEADER_VERSION.into(),
            flags: if self.has_acl { HAS_ACL } else { 0 }.into(),
            composefs_version: self.version.number().into(),
            unused: [0; 16],
        }
    }

    fn superblock(&self) -> Superblock {
        let mut superblock = Superblock::new_zeroed();
        superblock.magic = MAGIC.into();
        superblock.feature_compat = FEATURES.into();
        superblock.blkszbits = BLOCK_BITS;
        // Both were checked when they were planned.
        superblock.root_nid = (self.places[0].nid() as u16).into();
        superblock.blocks = ((self.ends.blocks / BLOCK) as u32).into();
        superblock.inos = (self.inodes.len() as u64).into();
        superblock.build_time = self.epoch.seconds.into();
        superblock.build_time_nsec = self.epoch.nanoseconds.into();
        superblock.xattr_blkaddr = self.shared_block().into();
        superblock
    }

    /// The block from which references to shared attributes count.
    fn shared_block(&self) -> u32 {
        if self.version == Version::V2 { 0 } else { (self.ends.inodes / BLOCK) as u32 }
    }

    /// An inode with all that lies behind it.
    fn inode(&self, index: usize, out: &mut Vec<u8>) {
        let (inode, place, xattrs) = (&self.inodes[index], &self.places[index], &self.xattrs[index]);
        let icount = match xattrs.length() {
            0 => 0,
            length => (length - 12) / 4 + 1,
        };
        let u = match &inode.data {
            Data::Device(number) => *number,
            Data::Outside(size) => chunk_blocks_bits(*size, self.version).into(),
            _ => place.block,
        };
        let layout = place.layout(&inode.data) << FORMAT_LAYOUT_SHIFT;
        let nsec = if self.version == Version::V2 { 0 } else { inode.mtime.nanoseconds };
        let ino = if self.version == Version::V2 { place.nid() } else { index as u64 } as u32;
        if place.extended {
            let fields = InodeExtended {
                format: (layout | FORMAT_EXTENDED).into(),
                xattr_icount: (icount as u16).into(),
                mode: inode.mode.into(),
                startblk_hi: 0.into(),
                size: place.extent.size.into(),
                u: u.into(),
                ino: ino.into(),
                uid: inode.uid.into(),
                gid: inode.gid.into(),
                mtime: inode.mtime.seconds.into(),
                mtime_nsec: nsec.into(),
                nlink: inode.links.into(),
                reserved2: [0; 16],
            };
            out.extend_from_slice(fields.as_bytes());
        } else {
            let fields = InodeCompact {
                format: layout.into(),
                xattr_icount: (icount as u16).into(),
                mode: inode.mode.into(),
                nlink: (inode.links as u16).into(),
                size: (place.extent.size as u32).into(),
                reserved: 0.into(),
                u: u.into(),
                ino: ino.into(),
                uid: (inode.uid as u16).into(),
                gid: (inode.gid as u16).into(),
                reserved2: 0.into(),
            };
            out.extend_from_slice(fields.as_bytes());
        }
        xattrs.put(out, |place| self.reference(place));
        match &inode.data {
            Data::Directory(directory) => self.names(&directory.tail, out),
            Data::Bytes(data) | Data::Text(data) => {
                out.extend_from_slice(&data[data.len() - place.extent.tail as usize..]);
            }
            Data::Outside(_) => {
                for _ in 0..place.extent.tail / 4 {
                    out.extend_from_slice(&NULL_ADDRESS.to_le_bytes());
                }
            }
            Data::None | Data::Device(_) => {}
        }
    }

    /// What stands for a shared attribute: its place in fours.
    fn reference(&self, index: u32) -> u32 {
        let before = self.shared_starts[index as usize];
        ((self.ends.inodes + before - u64::from(self.shared_block()) * BLOCK) / 4) as u32
    }

    /// Names of a directory that lie together.
    fn names(&self, entries: &[Entry<'_>], out: &mut Vec<u8>) {
        let mut offset = entries.len() * DIRENT_SIZE;
        for entry in entries {
            let dirent = Dirent {
                nid: self.places[entry.place as usize].nid().into(),
                nameoff: (offset as u16).into(),
                file_type: file_type_number(self.inodes[entry.place as usize].mode),
                reserved: 0,
            };
            out.extend_from_slice(dirent.as_bytes());
            offset += entry.name.len();
        }
        entries.iter().for_each(|entry| out.extend_from_slice(entry.name));
    }
}

/// Counts what goes out.
struct Sink<W> {
    out: W,
    at: u64,
}

impl<W: Write> Sink<W> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.at += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    /// Puts zeros up to `offset`, which is less than two blocks away.
    fn pad(&mut self, offset: u64) -> io::Result<()> {
        const ZEROS: [u8; 2 * BLOCK as usize] = [0; 2 * BLOCK as usize];
        self.put(&ZEROS[..(offset - self.at) as usize])
    }
}
