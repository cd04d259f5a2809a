//! Files in chunks, as they are read.

use zerocopy::FromBytes;

use super::inodes::Inode;
use super::{Filesystem, ReadError};
use crate::format::{
    CHUNK_FORMAT_BITS, CHUNK_FORMAT_INDEXES, CHUNK_FORMAT_WIDE, ChunkIndex, NULL_ADDRESS, WIDE_NULL_ADDRESS,
    incompat,
};

/// Bytes of a map that are read at a time.
const BATCH: u64 = 1 << 16;

/// What an inode says of its chunks.
pub(super) struct Chunks {
    /// Bytes of one.
    pub(super) length: u64,
    /// Whether their addresses say on which device.
    has_devices: bool,
    /// Which address is none.
    none: u64,
    /// Where the map lies, and how many bytes it has.
    at: u64,
    pub(super) map: u64,
}

/// Blocks of a file that lie behind one another.
#[derive(Clone, Copy)]
pub(super) struct Run {
    /// The first of them in the file.
    pub(super) first: u64,
    pub(super) blocks: u64,
    /// Number of the device, from 1; 0 is the filesystem's own.
    pub(super) device: u16,
    pub(super) start: u64,
}

impl Filesystem<'_> {
    pub(super) fn chunks(&self, inode: &Inode) -> Result<Chunks, ReadError> {
        let format = inode.fields.u;
        let wide = if self.has(incompat::WIDE) { CHUNK_FORMAT_WIDE } else { 0 };
        if format & !(CHUNK_FORMAT_BITS | CHUNK_FORMAT_INDEXES | wide) != 0 {
            return Err(ReadError::Unsupported { what: format!("chunks of the format {format:#x}") });
        }
        let has_devices = format & CHUNK_FORMAT_INDEXES != 0;
        let is_wide = has_devices && format & CHUNK_FORMAT_WIDE != 0;
        let none = if is_wide { WIDE_NULL_ADDRESS } else { NULL_ADDRESS.into() };
        let length = self.block_size << (format & CHUNK_FORMAT_BITS);
        let unit = if has_devices { 8 } else { 4 };
        let at = inode.behind().next_multiple_of(unit);
        let map = inode.fields.size.div_ceil(length).checked_mul(unit);
        let is_inside = |map: &u64| at.checked_add(*map).is_some_and(|end| end <= self.end);
        let what = "the map of its chunks reaches behind the end of the filesystem";
        let map = map.filter(is_inside).ok_or_else(|| inode.corrupt(what))?;
        Ok(Chunks { length, has_devices, none, at, map })
    }

    /// Gives the chunks that are not holes, neighbours together.
    pub(super) fn runs(
        &self,
        inode: &Inode,
        chunks: &Chunks,
        each: &mut dyn FnMut(Run) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        let blocks_of_chunk = chunks.length / self.block_size;
        let all = inode.fields.size.div_ceil(self.block_size);
        let (mut open, mut first): (Option<Run>, u64) = (None, 0);
        for within in (0..chunks.map).step_by(BATCH as usize) {
            let bytes = self.bytes(chunks.at + within, BATCH.min(chunks.map - within), inode.place())?;
            for entry in bytes.chunks_exact(if chunks.has_devices { 8 } else { 4 }) {
                let (device, start) = chunks.entry(entry);
                let blocks = blocks_of_chunk.min(all - first);
                let run = Run { first, blocks, device, start };
                first += blocks;
                if start == chunks.none {
                    continue;
                }
                self.check_run(inode, run)?;
                match &mut open {
                    Some(open) if open.is_before(&run) => open.blocks += blocks,
                    _ => {
                        if let Some(done) = open.replace(run) {
                            each(done)?;
                        }
                    }
                }
            }
        }
        open.map_or(Ok(()), each)
    }

    fn check_run(&self, inode: &Inode, run: Run) -> Result<(), ReadError> {
        let Some(number) = run.device.checked_sub(1) else {
            return self.check_blocks(run.start, run.blocks, inode.place());
        };
        match self.devices.get(usize::from(number)) {
            None => Err(inode.corrupt("a chunk lies on a device that there is not")),
            // Some writers do not say how many blocks a device has.
            Some(device) if device.blocks > 0 && run.start + run.blocks > device.blocks => {
                Err(inode.corrupt("a chunk lies behind the end of its device"))
            }
            Some(_) => Ok(()),
        }
    }
}

impl Chunks {
    /// The device of a chunk, and its address there.
    fn entry(&self, bytes: &[u8]) -> (u16, u64) {
        match ChunkIndex::read_from_bytes(bytes) {
            Ok(index) => {
                let upper = u64::from(index.startblk_hi.get()) << 32;
                (index.device_id.get(), (upper | u64::from(index.startblk_lo.get())) & self.none)
            }
            // Without a device there are four bytes.
            Err(_) => (0, bytes.iter().rev().fold(0, |address, byte| address << 8 | u64::from(*byte))),
        }
    }
}

impl Run {
    /// Whether another one goes on where this one ends, in the file and on the device.
    fn is_before(&self, next: &Run) -> bool {
        (self.first + self.blocks, self.device, self.start + self.blocks)
            == (next.first, next.device, next.start)
    }
}
