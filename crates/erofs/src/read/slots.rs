//! The index of a compressed file, as it is read: what each logical cluster is. `plan::indexes` has the form that most
//! have.

use super::clusters::Map;
use super::inodes::Inode;
use super::{Filesystem, ReadError};
use crate::format::{CLUSTER_HEAD, CLUSTER_IS_PART, CLUSTER_NONHEAD, IS_BLOCKS, advise};

/// Bytes of an index that are read at a time, a multiple of the longest pack.
const BATCH: u64 = 4096;

/// A logical cluster.
#[derive(Clone, Copy)]
pub(super) enum Slot {
    Head {
        kind: u16,
        offset: u64,
        address: u32,
        is_part: bool,
    },
    /// The first one behind a head: how many blocks that has.
    Blocks(u16),
    /// How far it is back to the head, if that stands there.
    Between(Option<u16>),
}

impl Filesystem<'_> {
    /// Gives each logical cluster of a file.
    pub(super) fn slots(
        &self,
        inode: &Inode,
        map: &Map,
        total: u64,
        each: &mut dyn FnMut(Slot) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        if map.is_full {
            for within in (0..map.length).step_by(BATCH as usize) {
                let bytes = self.bytes(map.at + within, BATCH.min(map.length - within), inode.place())?;
                bytes.chunks_exact(8).try_for_each(|entry| each(full(entry)))?;
            }
            return Ok(());
        }
        let packing = Packing::new(map, total);
        let (mut at, mut done) = (map.at, 0);
        for (slots, pack) in
            [(packing.first, Pack::Two), (packing.dense, Pack::Sixteen), (packing.last, Pack::Two)]
        {
            let end = done + slots;
            let mut left = pack.bytes() * slots.div_ceil(pack.slots());
            while left > 0 {
                let batch = left.min(BATCH);
                let bytes = self.bytes(at, batch, inode.place())?;
                at += batch;
                left -= batch;
                for bytes in bytes.chunks_exact(pack.bytes() as usize) {
                    let count = (end - done).min(pack.slots());
                    pack.unpack(bytes, count, map.is_big(CLUSTER_HEAD), each)?;
                    done += count;
                }
            }
        }
        Ok(())
    }
}

/// Reads a logical cluster of eight bytes.
fn full(entry: &[u8]) -> Slot {
    let word = |at: usize| u16::from_le_bytes([entry[at], entry[at + 1]]);
    match word(0) & 3 {
        CLUSTER_NONHEAD if word(4) & IS_BLOCKS != 0 => Slot::Blocks(word(4) & !IS_BLOCKS),
        CLUSTER_NONHEAD => Slot::Between(Some(word(4))),
        kind => Slot::Head {
            kind,
            offset: word(2).into(),
            address: u32::from(word(6)) << 16 | u32::from(word(4)),
            is_part: word(0) & CLUSTER_IS_PART != 0,
        },
    }
}

/// How many logical clusters are in packs of which kind, one after the other.
pub(super) struct Packing {
    first: u64,
    dense: u64,
    last: u64,
}

impl Packing {
    pub(super) fn new(map: &Map, total: u64) -> Packing {
        let aligned = (32 - map.at % 32) / 4 % 8;
        let dense = match map.advise & advise::COMPACTED_2B {
            0 => 0,
            _ => total.saturating_sub(aligned) / 16 * 16,
        };
        let first = if dense == 0 { total } else { aligned };
        Packing { first, dense, last: total - first - dense }
    }

    pub(super) fn length(&self) -> u64 {
        self.first.div_ceil(2) * 8 + self.dense * 2 + self.last.div_ceil(2) * 8
    }
}

/// Some logical clusters that have an address together.
#[derive(Clone, Copy)]
enum Pack {
    Two,
    Sixteen,
}

impl Pack {
    fn slots(self) -> u64 {
        if matches!(self, Pack::Two) { 2 } else { 16 }
    }

    fn bytes(self) -> u64 {
        if matches!(self, Pack::Two) { 8 } else { 32 }
    }

    /// Gives the first `count` logical clusters of a pack. The address of each head follows from how many blocks those
    /// before it have.
    fn unpack(
        self,
        bytes: &[u8],
        count: u64,
        is_big: bool,
        each: &mut dyn FnMut(Slot) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        let (packed, base) = bytes.split_at(bytes.len() - 4);
        let base = u32::from_le_bytes([base[0], base[1], base[2], base[3]]);
        let bits = packed.len() * 8 / self.slots() as usize;
        // Blocks to the head that comes next, and whether the one before has said how many it has.
        let (mut blocks, mut is_counted) = (u32::from(!is_big), true);
        for number in 0..count as usize {
            let at = number * bits;
            let word = (0..3).rev().fold(0, |word: u32, byte| {
                word << 8 | u32::from(packed.get(at / 8 + byte).copied().unwrap_or_default())
            });
            let value = (word >> (at % 8)) & ((1 << bits) - 1);
            let (kind, low) = ((value >> 12) as u16, (value & 0xfff) as u16);
            let slot = match kind {
                CLUSTER_NONHEAD if low & IS_BLOCKS != 0 => Slot::Blocks(low & !IS_BLOCKS),
                // The last one says how far it is to the next head.
                CLUSTER_NONHEAD => Slot::Between((number as u64 + 1 < self.slots()).then_some(low)),
                _ => {
                    blocks = blocks.wrapping_add(u32::from(!is_counted));
                    let address = base.wrapping_add(blocks);
                    Slot::Head { kind, offset: low.into(), address, is_part: false }
                }
            };
            match slot {
                Slot::Head { .. } => is_counted = false,
                Slot::Blocks(more) => {
                    blocks = blocks.wrapping_add(more.into());
                    is_counted = true;
                }
                Slot::Between(_) => {
                    blocks = blocks.wrapping_add(u32::from(!is_counted));
                    is_counted = true;
                }
            }
            each(slot)?;
        }
        Ok(())
    }
}
