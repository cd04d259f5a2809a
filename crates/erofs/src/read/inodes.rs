//! Inodes, as they are read, and data that lies in consecutive blocks.

use super::{Filesystem, Place, ReadError};
use crate::format::{
    COMPACT_SIZE, FORMAT_LAYOUT_SHIFT, FORMAT_NLINK_1, LAYOUT_CHUNKS, LAYOUT_INLINE, LAYOUT_PLAIN,
    NULL_ADDRESS, S_IFDIR, SLOT, WIDE_NULL_ADDRESS, incompat,
};
use crate::parse::Fields;

/// An inode that was read.
pub(super) struct Inode {
    pub(super) nid: u64,
    /// Where it lies.
    pub(super) at: u64,
    pub(super) fields: Fields,
    /// The first of its blocks, or their number if they are clusters.
    pub(super) blocks: u64,
}

/// Data in consecutive blocks.
#[derive(Clone, Copy)]
pub(super) struct Flat {
    pub(super) start: u64,
    pub(super) blocks: u64,
    /// What lies behind the inode: where, and how many bytes.
    pub(super) tail_at: u64,
    pub(super) tail: u64,
}

impl Filesystem<'_> {
    /// Reads an inode by its number.
    pub(super) fn inode(&self, nid: u64) -> Result<Inode, ReadError> {
        let place = Place::Inode(nid);
        let corrupt = |what| Err(ReadError::Corrupt { place, what });
        let at = nid.checked_mul(SLOT).and_then(|within| within.checked_add(self.metadata));
        let Some(at) = at.filter(|&at| at < self.end) else {
            return corrupt("it lies behind the end of the filesystem");
        };
        let mut bytes = self.bytes(at, COMPACT_SIZE, place)?;
        let length = Fields::length_of([bytes[0], bytes[1]]);
        if length > COMPACT_SIZE {
            bytes = self.bytes(at, length, place)?;
        }
        let mut fields = Fields::parse(&bytes, self.epoch()).expect("it has the length");
        let mut blocks = fields.u.into();
        if self.has(incompat::WIDE) {
            blocks = wide(&mut fields).map_err(|what| ReadError::Unsupported { what: what.into() })?;
        }
        if fields.layout > LAYOUT_CHUNKS {
            return corrupt("nobody knows how its data lies");
        }
        if fields.mtime.nanoseconds >= 1_000_000_000 {
            return corrupt("its time has more nanoseconds than a second has");
        }
        Ok(Inode { nid, at, fields, blocks })
    }

    /// Where data lies that is neither in chunks nor in clusters; `None` of other inodes.
    pub(super) fn flat(&self, inode: &Inode) -> Result<Option<Flat>, ReadError> {
        let (size, block) = (inode.fields.size, self.block_size);
        let (blocks, tail) = match inode.fields.layout {
            LAYOUT_PLAIN if self.has(incompat::WIDE) && inode.blocks == WIDE_NULL_ADDRESS => (0, 0),
            LAYOUT_PLAIN => (size.div_ceil(block), 0),
            LAYOUT_INLINE => {
                // The last one is behind the inode, be it full or not.
                let blocks = size.saturating_sub(1) / block;
                (blocks, size - blocks * block)
            }
            _ => return Ok(None),
        };
        let flat = Flat { start: inode.blocks, blocks, tail_at: inode.behind(), tail };
        if blocks > 0 {
            self.check_blocks(flat.start, blocks, inode.place())?;
        }
        if tail > 0 && flat.tail_at % block + tail > block {
            return Err(inode.corrupt("the end of its data lies in two blocks"));
        }
        Ok(Some(flat))
    }

    /// Bytes of flat data, which are those from `from` on; as many as there are, or `length`.
    pub(super) fn flat_bytes(
        &self,
        inode: &Inode,
        flat: Flat,
        from: u64,
        length: u64,
    ) -> Result<Vec<u8>, ReadError> {
        let (middle, end) = (flat.blocks * self.block_size, inode.fields.size);
        let stop = from.saturating_add(length).min(end);
        let mut bytes = Vec::new();
        if from < middle {
            let at = flat.start * self.block_size + from;
            bytes = self.bytes(at, stop.min(middle).saturating_sub(from), inode.place())?;
        }
        let tail = from.max(middle)..stop;
        if flat.tail > 0 && !tail.is_empty() {
            let at = flat.tail_at + (tail.start - middle);
            bytes.extend(self.bytes(at, tail.end - tail.start, inode.place())?);
        }
        Ok(bytes)
    }
}

/// Takes from an inode of a wide filesystem what others do not have, and gives its address. What cannot be read is an
/// error.
fn wide(fields: &mut Fields) -> Result<u64, &'static str> {
    const FLAG: u16 = FORMAT_NLINK_1 >> FORMAT_LAYOUT_SHIFT;
    let flag = fields.layout & FLAG != 0;
    if flag && fields.file_type() == S_IFDIR {
        return Err("a directory that leaves out `.`");
    }
    let (mut upper, seconds) = fields.wide;
    if !fields.is_extended() {
        fields.mtime.seconds = fields.mtime.seconds.saturating_add(seconds.into());
        if flag {
            fields.links = 1;
        } else {
            // Where a number of links stands is no address; but that of no block is known as such.
            upper = if fields.u == NULL_ADDRESS { u16::MAX } else { 0 };
        }
        fields.layout &= !FLAG;
    }
    Ok(u64::from(upper) << 32 | u64::from(fields.u))
}

impl Inode {
    pub(super) fn place(&self) -> Place {
        Place::Inode(self.nid)
    }

    pub(super) fn corrupt(&self, what: &'static str) -> ReadError {
        ReadError::Corrupt { place: self.place(), what }
    }

    /// Where that lies what follows it and its attributes.
    pub(super) fn behind(&self) -> u64 {
        self.at + self.fields.length + self.fields.xattrs
    }
}
