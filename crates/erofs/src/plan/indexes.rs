//! The index of a compressed file: for each *logical cluster*, one block of the file's bytes, where what it starts with
//! lies.
//!
//! A cluster of the disk is found by its *head*, the logical cluster in which its bytes begin; the others that it
//! reaches into say how far the head is. Of the heads only the first of a pack has an address: clusters of a file lie
//! behind one another, so the others' follow.
//!
//! ```text
//! header   8 bytes
//! packs of 8 bytes for 2, until they are aligned to 32
//! packs of 32 bytes for 16
//! packs of 8 bytes for 2, the last one filled up with zeros
//! the end of the file
//! ```
//!
//! Of a file that is in the packed inode there is the header alone, which says where.

use zerocopy::IntoBytes;

use crate::format::{
    CLUSTER_HEAD, CLUSTER_NONHEAD, CLUSTER_PLAIN, FRAGMENT_INODE_MARK, IS_BLOCKS, MAP_ALIGN, MapHeader,
    advise,
};
use crate::press::BLOCK;
use crate::pressed::File;

const HEADER: u64 = size_of::<MapHeader>() as u64;

/// What a logical cluster is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    /// A cluster of the disk begins in it, or the file ends in it.
    Head { plain: bool, offset: u16, address: u32 },
    /// The first one behind a head, if clusters have several blocks: how many.
    Blocks(u16),
    /// How far it is back to the head, and on to the next one.
    Between { back: u16, on: u16 },
}

/// How an index of so many logical clusters is packed, that begins (with its header) at `at` within 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Packing {
    /// Logical clusters in packs of two before those of sixteen.
    first: u64,
    /// Logical clusters in packs of sixteen.
    dense: u64,
    total: u64,
}

impl Packing {
    fn new(at: u64, total: u64) -> Packing {
        let aligned = (32 - (at + HEADER) % 32) / 4 % 8;
        let dense = total.saturating_sub(aligned) / 16 * 16;
        if dense == 0 {
            Packing { first: total, dense, total }
        } else {
            Packing { first: aligned, dense, total }
        }
    }

    /// Bytes of the packs.
    fn length(self) -> u64 {
        let last = self.total - self.first - self.dense;
        self.first.div_ceil(2) * 8 + self.dense * 2 + last.div_ceil(2) * 8
    }
}

/// Bytes behind an inode and its attributes, which end at `behind` from its start, for the index of a file.
pub(crate) fn length(behind: u64, size: u64) -> u64 {
    let at = behind.next_multiple_of(MAP_ALIGN);
    (at - behind) + HEADER + Packing::new(at, size.div_ceil(BLOCK as u64)).length()
}

/// Bytes behind an inode and its attributes, which end at `behind`, for the place of a file in the packed inode.
pub(crate) fn fragment_length(behind: u64) -> u64 {
    behind.next_multiple_of(MAP_ALIGN) - behind + HEADER
}

/// The bytes of [`length`], or of [`fragment_length`].
pub(crate) fn encode(behind: u64, size: u64, algorithm: u8, file: &File, out: &mut Vec<u8>) {
    let at = behind.next_multiple_of(MAP_ALIGN);
    out.resize(out.len() + (at - behind) as usize, 0);
    if let Some(fragment) = file.fragment.filter(|_| file.is_fragment()) {
        out.extend_from_slice(&(fragment.at | FRAGMENT_INODE_MARK).to_le_bytes());
        return;
    }
    let slots = slots(file);
    debug_assert_eq!(slots.len() as u64, size.div_ceil(BLOCK as u64));
    let packing = Packing::new(at, slots.len() as u64);
    let is_big = file.is_big();
    let mut flags = 0;
    for (flag, set) in [
        (advise::COMPACTED_2B, packing.dense > 0),
        (advise::BIG_PCLUSTERS, is_big),
        (advise::INLINE_PCLUSTER, file.end.is_some()),
        (advise::FRAGMENT_PCLUSTER, file.fragment.is_some()),
    ] {
        flags |= if set { flag } else { 0 };
    }
    // A tail is shorter than a block; or the two fields are one with 32 bits, which is enough: see `Pressed::pack`.
    let tail = file.end.map_or(0, |end| end.span.length) as u32;
    let place = file.fragment.map_or(tail << 16, |fragment| fragment.at as u32);
    let header = MapHeader {
        reserved: (place as u16).into(),
        idata_size: ((place >> 16) as u16).into(),
        advise: flags.into(),
        algorithmtype: algorithm,
        clusterbits: 0,
    };
    out.extend_from_slice(header.as_bytes());
    let (first, rest) = slots.split_at(packing.first as usize);
    let (dense, last) = rest.split_at(packing.dense as usize);
    first.chunks(2).for_each(|slots| pack(slots, 16, 8, is_big, out));
    dense.chunks(16).for_each(|slots| pack(slots, 14, 32, is_big, out));
    last.chunks(2).for_each(|slots| pack(slots, 16, 8, is_big, out));
}

/// Packs some slots of `bits` each into so many bytes, the last four of which are an address.
fn pack(slots: &[Slot], bits: usize, bytes: usize, is_big: bool, out: &mut Vec<u8>) {
    let count = (bytes - 4) * 8 / bits;
    let (mut packed, mut at) = (vec![0u8; bytes], 0);
    for (number, slot) in slots.iter().enumerate() {
        let (kind, low) = match *slot {
            Slot::Head { plain: true, offset, .. } => (CLUSTER_PLAIN, offset),
            Slot::Head { plain: false, offset, .. } => (CLUSTER_HEAD, offset),
            Slot::Blocks(blocks) => (CLUSTER_NONHEAD, IS_BLOCKS | blocks),
            // From the last of a pack one looks on, from the others back.
            Slot::Between { back, on } => {
                (CLUSTER_NONHEAD, if number + 1 == count { on } else { back }.min(IS_BLOCKS - 1))
            }
        };
        let value = u32::from(kind << 12 | low) << (at % 8);
        for (byte, part) in packed[at / 8..].iter_mut().zip(value.to_le_bytes()) {
            *byte |= part;
        }
        at += bits;
    }
    let address = base(slots, is_big);
    packed[bytes - 4..].copy_from_slice(&address.to_le_bytes());
    out.extend_from_slice(&packed);
}

/// The address of a pack: that of its first head, without the blocks that are counted to it from the pack's start.
fn base(slots: &[Slot], is_big: bool) -> u32 {
    let mut before = u32::from(!is_big);
    for slot in slots {
        match *slot {
            Slot::Head { address, .. } => return address.wrapping_sub(before),
            // Of a head that is the last of the pack before.
            Slot::Blocks(blocks) => before += u32::from(blocks),
            Slot::Between { .. } => {}
        }
    }
    0
}

/// What each logical cluster of a file is.
fn slots(file: &File) -> Vec<Slot> {
    let mut slots = Vec::new();
    let (mut at, mut address) = (0u64, file.start);
    let is_big = file.is_big();
    let mut put = |length: u64, blocks: u32, plain: bool| {
        let block = BLOCK as u64;
        let (head, next) = (at / block, (at + length) / block);
        slots.push(Slot::Head { plain, offset: (at % block) as u16, address });
        for between in head + 1..next {
            let back = between - head;
            slots.push(match back {
                1 if is_big => Slot::Blocks(blocks as u16),
                _ => Slot::Between { back: back as u16, on: (next - between) as u16 },
            });
        }
        at += length;
        address += blocks;
        // Whether the end lies in a logical cluster of its own.
        next > head && !at.is_multiple_of(block)
    };
    let mut ends_apart = false;
    for extent in &file.extents {
        if !extent.plain {
            ends_apart = put(extent.length.into(), extent.blocks, false);
            continue;
        }
        let (whole, last) = (extent.length / BLOCK as u32, extent.length % BLOCK as u32);
        for length in std::iter::repeat_n(BLOCK as u32, whole as usize).chain((last > 0).then_some(last)) {
            ends_apart = put(length.into(), 1, true);
        }
    }
    if let Some(end) = &file.end {
        // It has no block; as one that has it says it.
        ends_apart = put(end.length.into(), 1, end.plain);
    }
    if let Some(fragment) = file.fragment {
        // No block of it is here.
        ends_apart = put(fragment.length, 0, false);
    }
    if ends_apart {
        slots.push(Slot::Head { plain: true, offset: (at % BLOCK as u64) as u16, address });
    }
    slots
}
