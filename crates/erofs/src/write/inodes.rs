//! Inodes, and what lies behind them: attributes, the map of chunks, the end of the data.

use std::collections::BTreeMap;

use tree::{Content, Device, Kind, Tree};
use zerocopy::IntoBytes;

use crate::format::{
    CHUNK_BITS_MAX, CHUNK_FORMAT_INDEXES, CHUNK_FORMAT_WIDE, ChunkIndex, FORMAT_EXTENDED,
    FORMAT_LAYOUT_SHIFT, FORMAT_NLINK_1, InodeCompact, InodeExtended, LAYOUT_COMPRESSED, NULL_ADDRESS,
    S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK, WIDE_NULL_ADDRESS, XATTR_ALIGN,
    XATTR_HEADER_SIZE,
};
use crate::plan::devices::Outside;
use crate::plan::maps::Mapped;
use crate::plan::survey::{Data, Inode, pieces_in, time};
use crate::plan::xattrs::{Arranged, Xattr, of};
use crate::plan::{Width, indexes};
use crate::write::{Sink, directories, xattrs};
use crate::{Algorithm, Error, Layout};

/// Addresses of a map of chunks go out so many at a time.
const ADDRESSES: u64 = 16_384;

/// Writes inodes of one filesystem.
pub(crate) struct Writer<'a> {
    layout: &'a Layout,
    tree: &'a Tree,
    /// Where shared attributes lie among each other.
    places: &'a BTreeMap<Xattr<'a>, u64>,
    /// Where the blocks of files in chunks lie.
    mapped: Vec<Mapped>,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(
        layout: &'a Layout,
        tree: &'a Tree,
        places: &'a BTreeMap<Xattr<'a>, u64>,
    ) -> Writer<'a> {
        Writer { layout, tree, places, mapped: layout.survey.mapped() }
    }

    /// Writes an inode and what lies behind it.
    pub(crate) fn write(&self, place: u32, sink: &mut Sink<'_>) -> Result<(), Error> {
        let inode = &self.layout.survey.inodes[place as usize];
        let mut bytes = self.fields(place, inode);
        let node = self.tree.node(inode.node);
        if inode.xattrs > 0 {
            let (all, _) = of(&node.metadata, b"")?;
            let arranged = Arranged::new(&all, self.places);
            let shared_at = self.layout.placed.shared % u64::from(self.layout.block_size());
            xattrs::encode(&all, &arranged, shared_at, &mut bytes);
        }
        let at = self.layout.at(inode);
        if let Data::Chunks { bits, width } = inode.data {
            bytes.resize(bytes.len() + inode.gap() as usize, 0);
            sink.put(at, &bytes)?;
            return self.write_map(place, inode, (bits, width), at + bytes.len() as u64, sink);
        }
        if let Data::Outside(outside) = inode.data {
            self.append_indexes(inode, outside, &mut bytes);
            return Ok(sink.put(at, &bytes)?);
        }
        if let Some(file) = self.layout.pressed.file(inode.node) {
            if let Data::Pressed { .. } = inode.data {
                let algorithm = self.layout.algorithm().map_or(0, Algorithm::number);
                indexes::encode(bytes.len() as u64, inode.size, algorithm, file, &mut bytes);
            }
            sink.put(at, &bytes)?;
            if let Some(end) = file.end {
                sink.copy(at + bytes.len() as u64, end.span)?;
            }
            return Ok(());
        }
        let size = self.layout.options.block_size;
        let tail = inode.tail(size) as usize;
        match &node.kind {
            Kind::Directory(_) if tail > 0 => bytes.extend(directories::tail(self.layout, self.tree, inode)),
            Kind::Symlink(text) if tail > 0 => bytes.extend(&**text),
            Kind::File(Content::Inline(content)) => bytes.extend(&content[content.len() - tail..]),
            Kind::File(content) if tail > 0 => {
                sink.put(at, &bytes)?;
                let tail_at = at + bytes.len() as u64;
                let start = inode.size - tail as u64;
                // One piece, or a hole.
                for (from, span) in pieces_in(content, start..inode.size) {
                    sink.copy(tail_at + (from - start), span)?;
                }
                return Ok(());
            }
            _ => {}
        }
        Ok(sink.put(at, &bytes)?)
    }

    /// The address of each chunk.
    fn write_map(
        &self,
        place: u32,
        inode: &Inode,
        (bits, width): (u8, Width),
        mut at: u64,
        sink: &mut Sink<'_>,
    ) -> Result<(), Error> {
        let blocks_of_chunk = 1u64 << (bits - self.layout.options.block_size.bits());
        let first = self.mapped.partition_point(|run| run.inode < place);
        let mut runs = self.mapped[first..].iter().take_while(|run| run.inode == place).peekable();
        let chunks = inode.size.div_ceil(1 << bits);
        for batch in (0..chunks).step_by(ADDRESSES as usize) {
            let mut bytes = Vec::new();
            for chunk in batch..(batch + ADDRESSES).min(chunks) {
                let block = chunk * blocks_of_chunk;
                while runs.next_if(|run| run.first + run.blocks <= block).is_some() {}
                let address = match runs.peek() {
                    Some(run) if run.first <= block => Some(run.start + (block - run.first)),
                    _ => None,
                };
                match width {
                    // The plan looked that there are no more blocks than such addresses number.
                    Width::Narrow => {
                        bytes.extend(address.map_or(NULL_ADDRESS, |address| address as u32).to_le_bytes())
                    }
                    Width::Wide => {
                        bytes.extend(index(0, address.unwrap_or(WIDE_NULL_ADDRESS)).as_bytes());
                    }
                }
            }
            sink.put(at, &bytes)?;
            at += bytes.len() as u64;
        }
        Ok(())
    }

    /// Where the chunks of a file begin that lies on another device.
    fn append_indexes(&self, inode: &Inode, Outside { device, block }: Outside, bytes: &mut Vec<u8>) {
        bytes.resize(bytes.len() + inode.gap() as usize, 0);
        let blocks_of_chunk = 1 << (CHUNK_BITS_MAX - self.layout.options.block_size.bits());
        for chunk in 0..inode.size.div_ceil(1 << CHUNK_BITS_MAX) {
            bytes.extend(index(device, u64::from(block) + chunk * blocks_of_chunk).as_bytes());
        }
    }

    fn fields(&self, place: u32, inode: &Inode) -> Vec<u8> {
        let metadata = &self.tree.node(inode.node).metadata;
        let start = inode.start as u32;
        let (file_type, u) = match &self.tree.node(inode.node).kind {
            Kind::Directory(_) => (S_IFDIR, start),
            Kind::File(_) => (S_IFREG, start),
            Kind::Symlink(_) => (S_IFLNK, start),
            Kind::CharDevice(device) => (S_IFCHR, number(*device)),
            Kind::BlockDevice(device) => (S_IFBLK, number(*device)),
            Kind::Fifo => (S_IFIFO, 0),
            Kind::Socket => (S_IFSOCK, 0),
        };
        let u = match inode.data {
            Data::Chunks { bits, width } => {
                let format = u32::from(bits - self.layout.options.block_size.bits());
                match width {
                    Width::Narrow => format,
                    Width::Wide => format | CHUNK_FORMAT_INDEXES | CHUNK_FORMAT_WIDE,
                }
            }
            Data::Outside(_) => {
                u32::from(CHUNK_BITS_MAX - self.layout.options.block_size.bits()) | CHUNK_FORMAT_INDEXES
            }
            Data::Pressed { .. } => self.layout.pressed.file(inode.node).map_or(0, |file| file.blocks),
            Data::Plain | Data::Inline => u,
        };
        let mode = (file_type | (metadata.mode & 0o7777)).into();
        // Of files in blocks alone: the others have no address, or a short one.
        let startblk_hi = match inode.data {
            Data::Plain | Data::Inline => (inode.start >> 32) as u16,
            Data::Chunks { .. } | Data::Outside(_) | Data::Pressed { .. } => 0,
        };
        let format = (u16::from(inode.extended) * FORMAT_EXTENDED) | (inode.layout() << FORMAT_LAYOUT_SHIFT);
        let xattr_icount = match inode.xattrs as usize {
            0 => 0,
            length => 1 + (length - XATTR_HEADER_SIZE) / XATTR_ALIGN,
        } as u16;
        // Only for systems whose inode numbers have 32 bits.
        let ino = place + 1;
        if !inode.extended {
            let is_wide = self.layout.is_wide() && file_type == S_IFREG;
            let (flag, nlink) = if is_wide { (FORMAT_NLINK_1, startblk_hi) } else { (0, inode.links as u16) };
            // All of them are small: the plan looked.
            return InodeCompact {
                format: (format | flag).into(),
                xattr_icount: xattr_icount.into(),
                mode,
                nlink: nlink.into(),
                size: (inode.size as u32).into(),
                reserved: 0.into(),
                u: u.into(),
                ino: ino.into(),
                uid: (metadata.uid as u16).into(),
                gid: (metadata.gid as u16).into(),
                reserved2: 0.into(),
            }
            .as_bytes()
            .to_vec();
        }
        let mtime = time(metadata.mtime);
        InodeExtended {
            format: format.into(),
            xattr_icount: xattr_icount.into(),
            mode,
            startblk_hi: startblk_hi.into(),
            size: inode.size.into(),
            u: u.into(),
            ino: ino.into(),
            uid: metadata.uid.into(),
            gid: metadata.gid.into(),
            mtime: mtime.seconds.into(),
            mtime_nsec: mtime.nanoseconds.into(),
            nlink: inode.links.into(),
            reserved2: [0; 16],
        }
        .as_bytes()
        .to_vec()
    }
}

/// The address of a chunk on a device, of which the filesystem's own is 0.
fn index(device: u16, address: u64) -> ChunkIndex {
    // Addresses have no more than 48 bits: the plan looked.
    let (startblk_hi, startblk_lo) = (((address >> 32) as u16).into(), (address as u32).into());
    ChunkIndex { startblk_hi, device_id: device.into(), startblk_lo }
}

/// The packed inode, with its index.
pub(crate) fn packed(layout: &Layout) -> Vec<u8> {
    let Some((size, file)) = &layout.pressed.packed else { return Vec::new() };
    let epoch = layout.survey.epoch;
    let mut bytes = InodeExtended {
        format: (FORMAT_EXTENDED | (LAYOUT_COMPRESSED << FORMAT_LAYOUT_SHIFT)).into(),
        xattr_icount: 0.into(),
        mode: S_IFREG.into(),
        startblk_hi: 0.into(),
        size: (*size).into(),
        u: file.blocks.into(),
        ino: (layout.inodes() as u32).into(),
        uid: 0.into(),
        gid: 0.into(),
        mtime: epoch.seconds.into(),
        mtime_nsec: epoch.nanoseconds.into(),
        nlink: 1.into(),
        reserved2: [0; 16],
    }
    .as_bytes()
    .to_vec();
    let algorithm = layout.algorithm().map_or(0, Algorithm::number);
    indexes::encode(bytes.len() as u64, *size, algorithm, file, &mut bytes);
    bytes
}

/// A device's number (`new_encode_dev`).
fn number(Device { major, minor }: Device) -> u32 {
    (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
}
