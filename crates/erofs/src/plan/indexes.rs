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
//! Of a file that has clusters of others, or its own again, each head has an address: such an index is *full*, with eight
//! bytes for each logical cluster behind a header of sixteen.
//!
//! Of a file that is in the packed inode there is the header alone, which says where.

use zerocopy::IntoBytes;

use crate::format::{
    CLUSTER_HEAD, CLUSTER_IS_PART, CLUSTER_NONHEAD, CLUSTER_PLAIN, FRAGMENT_INODE_MARK, IS_BLOCKS, MAP_ALIGN,
    MapHeader, advise,
};
use crate::press::BLOCK;
use crate::pressed::File;

const HEADER: u64 = size_of::<MapHeader>() as u64;
/// Of a full index; the second half means nothing.
const FULL_HEADER: u64 = 2 * HEADER;
/// Bytes for each logical cluster of a full index.
const FULL_ENTRY: u64 = 8;

/// What a logical cluster is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    /// A cluster of the disk begins in it, or the file ends in it.
    Head { plain: bool, offset: u16, address: u32, is_part: bool },
    /// The first one behind a head, if clusters have several blocks: how many; and how far it is on to the next head.
    Blocks { blocks: u16, on: u16 },
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

/// The same, for a full index.
pub(crate) fn full_length(behind: u64, size: u64) -> u64 {
    let at = behind.next_multiple_of(MAP_ALIGN);
    (at - behind) + FULL_HEADER + FULL_ENTRY * size.div_ceil(BLOCK as u64)
}

/// Bytes behind an inode and its attributes, which end at `behind`, for the place of a file in the packed inode.
pub(crate) fn fragment_length(behind: u64) -> u64 {
    behind.next_multiple_of(MAP_ALIGN) - behind + HEADER
}

/// The bytes of [`length`], of [`full_length`] if the file has others' clusters, or of [`fragment_length`].
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
        (advise::COMPACTED_2B, packing.dense > 0 && !file.has_others),
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
    if file.has_others {
        out.resize(out.len() + (FULL_HEADER - HEADER) as usize, 0);
        return out.extend(slots.iter().flat_map(full));
    }
    let (first, rest) = slots.split_at(packing.first as usize);
    let (dense, last) = rest.split_at(packing.dense as usize);
    first.chunks(2).for_each(|slots| pack(slots, 16, 8, is_big, out));
    dense.chunks(16).for_each(|slots| pack(slots, 14, 32, is_big, out));
    last.chunks(2).for_each(|slots| pack(slots, 16, 8, is_big, out));
}

/// A logical cluster in a full index.
fn full(slot: &Slot) -> [u8; FULL_ENTRY as usize] {
    let between = |back: u16, on: u16| (CLUSTER_NONHEAD, 0, u32::from(on) << 16 | u32::from(back));
    let (kind, offset, last) = match *slot {
        Slot::Head { plain, offset, address, is_part } => {
            let kind = if plain { CLUSTER_PLAIN } else { CLUSTER_HEAD };
            (kind | if is_part { CLUSTER_IS_PART } else { 0 }, offset, address)
        }
        Slot::Blocks { blocks, on } => between(IS_BLOCKS | blocks, on),
        Slot::Between { back, on } => between(back.min(IS_BLOCKS - 1), on),
    };
    (u64::from(last) << 32 | u64::from(offset) << 16 | u64::from(kind)).to_le_bytes()
}

/// Packs some slots of `bits` each into so many bytes, the last four of which are an address.
fn pack(slots: &[Slot], bits: usize, bytes: usize, is_big: bool, out: &mut Vec<u8>) {
    let count = (bytes - 4) * 8 / bits;
    let (mut packed, mut at) = (vec![0u8; bytes], 0);
    for (number, slot) in slots.iter().enumerate() {
        let (kind, low) = match *slot {
            Slot::Head { plain: true, offset, .. } => (CLUSTER_PLAIN, offset),
            Slot::Head { plain: false, offset, .. } => (CLUSTER_HEAD, offset),
            Slot::Blocks { blocks, .. } => (CLUSTER_NONHEAD, IS_BLOCKS | blocks),
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
            Slot::Blocks { blocks, .. } => before += u32::from(blocks),
            Slot::Between { .. } => {}
        }
    }
    0
}

/// What each logical cluster of a file is.
fn slots(file: &File) -> Vec<Slot> {
    let mut slots = Vec::new();
    let mut at = 0u64;
    let is_big = file.is_big();
    let mut put = |length: u64, (first, blocks): (u32, u32), plain: bool, is_part: bool| {
        let block = BLOCK as u64;
        let (head, next) = (at / block, (at + length) / block);
        slots.push(Slot::Head { plain, offset: (at % block) as u16, address: first, is_part });
        for between in head + 1..next {
            let (back, on) = ((between - head) as u16, (next - between) as u16);
            slots.push(match back {
                1 if is_big => Slot::Blocks { blocks: blocks as u16, on },
                _ => Slot::Between { back, on },
            });
        }
        at += length;
        // Whether the end lies in a logical cluster of its own, and what comes behind the blocks.
        (next > head && !at.is_multiple_of(block), first + blocks)
    };
    let mut end = (false, file.start);
    for extent in &file.extents {
        if !extent.plain {
            end = put(extent.length.into(), (extent.at, extent.blocks), false, extent.is_part);
            continue;
        }
        let (whole, last) = (extent.length / BLOCK as u32, extent.length % BLOCK as u32);
        let lengths = std::iter::repeat_n(BLOCK as u32, whole as usize).chain((last > 0).then_some(last));
        for (at, length) in (extent.at..).zip(lengths) {
            end = put(length.into(), (at, 1), true, extent.is_part && length < BLOCK as u32);
        }
    }
    if let Some(tail) = &file.end {
        // It has no block; as one that has it says it.
        end = put(tail.length.into(), (end.1, 1), tail.plain, false);
    }
    if let Some(fragment) = file.fragment {
        // No block of it is here. In a full index the address is the upper half of its place, which has 32 bits.
        let address = if file.has_others { 0 } else { end.1 };
        end = put(fragment.length, (address, 0), false, false);
    }
    if let (true, address) = end {
        slots.push(Slot::Head { plain: true, offset: (at % BLOCK as u64) as u16, address, is_part: false });
    }
    slots
}
