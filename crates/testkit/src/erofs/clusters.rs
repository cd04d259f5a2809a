//! Compressed files: an index of logical clusters, and what it finds, expanded by other libraries than the writer's.

use std::io::{self, Read as _};

use super::{Inode, Reader, Source, ensure, u16_at, u32_at, u64_at};

/// The only size of blocks with which there are compressed files.
const BLOCK: u64 = 4096;

/// Where some bytes of a file come from.
#[derive(Debug, Clone, Copy)]
struct Extent {
    /// Where they begin and end in the file.
    from: u64,
    to: u64,
    plain: bool,
    /// Whether there is more in the cluster.
    is_part: bool,
    /// Where they lie, and in how many bytes.
    at: u64,
    length: u64,
}

/// A logical cluster.
#[derive(Debug, Clone, Copy)]
struct Slot {
    kind: u16,
    low: u16,
    /// Whether a distance is that to the next head: it is the last of its pack.
    is_last: bool,
    /// The pack's address, if it is the pack's first.
    base: Option<u32>,
    /// What a full index has more.
    full: Option<Full>,
}

/// What stands in a logical cluster of a full index, beside the rest.
#[derive(Debug, Clone, Copy)]
struct Full {
    address: u32,
    is_part: bool,
    /// The distance to the next head.
    on: u16,
}

/// What stands before the slots.
struct Map {
    tail: u64,
    /// Where the file's end lies in the packed inode.
    fragment: Option<u64>,
    is_big: bool,
    algorithm: u8,
}

impl<S: Source + ?Sized> Reader<'_, S> {
    /// Hands out all bytes of a compressed file, a cluster at a time.
    pub(super) fn clusters(&self, inode: &Inode, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        ensure(self.block() == BLOCK, || "a compressed file with small blocks".into())?;
        ensure(self.superblock.incompatible & 1 != 0, || "clusters without the feature".into())?;
        let header = self.bytes((inode.at + inode.fields + inode.xattrs).next_multiple_of(8), 8)?;
        if header[7] & 0x80 != 0 {
            ensure(inode.u == 0, || "blocks of a file that is packed".into())?;
            take(self.fragment(u64_at(&header, 0) & !(1 << 63), inode.size)?);
            return Ok(());
        }
        let (map, slots, end) = self.index(inode)?;
        ensure(map.tail == 0 || end % BLOCK + map.tail <= BLOCK, || "a tail in two blocks".into())?;
        let (extents, packed) = extents(inode.size, &map, &slots, end)?;
        let in_blocks: u64 = extents.iter().map(|extent| extent.length / BLOCK).sum();
        ensure(u64::from(inode.u) == in_blocks, || format!("{} blocks, not {in_blocks}", inode.u))?;
        for extent in extents {
            *self.clusters.borrow_mut().entry(extent.at).or_default() += 1;
            let stored = self.bytes(extent.at, extent.length)?;
            let bytes = expand(&stored, &extent, map.algorithm)?;
            ensure(bytes.len() as u64 == extent.to - extent.from, || format!("length of {extent:?}"))?;
            take(&bytes);
        }
        if let Some(at) = map.fragment {
            take(self.fragment(at, inode.size - packed)?);
        }
        Ok(())
    }

    /// Bytes in the packed inode.
    fn fragment(&self, at: u64, length: u64) -> io::Result<&[u8]> {
        self.fragments.borrow_mut().insert((at, at + length));
        let found = self.packed.get(at as usize..).and_then(|bytes| bytes.get(..length as usize));
        found.filter(|bytes| !bytes.is_empty()).ok_or_else(|| {
            io::Error::other(format!("{length} bytes at {at} of {} that are packed", self.packed.len()))
        })
    }

    /// Expands the packed inode.
    pub(super) fn read_packed(&mut self) -> io::Result<()> {
        let Some(nid) = self.superblock.packed else { return Ok(()) };
        let inode = self.inode(nid)?;
        ensure(inode.mode == 0o100_000 && inode.links == 1 && inode.xattrs == 0, || {
            format!("packed {inode:?}")
        })?;
        let mut packed = Vec::new();
        self.data(&inode, |bytes| packed.extend(bytes))?;
        self.packed = packed;
        ensure(self.fragments.borrow().is_empty(), || "a packed inode that is packed".into())
    }

    /// All of the packed inode must be somebody's, and nobody's but his.
    pub(super) fn check_packed(&self) -> io::Result<()> {
        let mut end = 0;
        for (start, stop) in self.fragments.borrow().iter() {
            ensure(*start == end, || {
                format!("packed bytes from {end} on, of which none has an owner or two")
            })?;
            end = *stop;
        }
        ensure(end == self.packed.len() as u64, || "packed bytes that nobody has".into())
    }

    /// Reads the index, and says where it ends.
    fn index(&self, inode: &Inode) -> io::Result<(Map, Vec<Slot>, u64)> {
        let mut at = (inode.at + inode.fields + inode.xattrs).next_multiple_of(8);
        let header = self.bytes(at, 8)?;
        at += 8;
        let (tail, advise) = (u64::from(u16_at(&header, 2)), u16_at(&header, 4));
        let fragment = (advise & 0x20 != 0).then(|| u64::from(u32_at(&header, 0)));
        let tail = if fragment.is_some() { 0 } else { tail };
        ensure(fragment.is_some() || u16_at(&header, 0) == 0, || "unknown fields".into())?;
        ensure(header[7] == 0 && advise & !0x2f == 0, || "unknown advice".into())?;
        let is_big = match advise & 6 {
            0 => false,
            6 => true,
            _ => return Err(io::Error::other("big clusters for heads of one kind")),
        };
        ensure(!is_big || self.superblock.incompatible & 2 != 0, || {
            "big clusters without the feature".into()
        })?;
        ensure((advise & 8 != 0) == (tail > 0), || "length of the tail".into())?;
        ensure(tail == 0 || self.superblock.incompatible & 0x10 != 0, || {
            "a tail without the feature".into()
        })?;
        let algorithms = match self.superblock.algorithms {
            0 => 1,
            algorithms => algorithms,
        };
        ensure(header[6] < 4 && algorithms >> header[6] & 1 == 1, || format!("algorithm {}", header[6]))?;

        let total = inode.size.div_ceil(BLOCK) as usize;
        let mut slots = Vec::new();
        if inode.layout == 1 {
            ensure(advise & 1 == 0, || "dense packs in a full index".into())?;
            let entries = self.bytes(at, 8 + 8 * total as u64)?;
            slots.extend(entries[8..].chunks_exact(8).map(full));
            at += entries.len() as u64;
            return Ok((Map { tail, fragment, is_big, algorithm: header[6] }, slots, at));
        }
        // Packs of 32 bytes are aligned to their length.
        let aligned = if advise & 1 != 0 { (at.next_multiple_of(32) - at) / 4 } else { u64::MAX };
        while slots.len() < total {
            let is_dense = slots.len() as u64 >= aligned && total - slots.len() >= 16;
            let (bits, bytes) = if is_dense { (14, 32) } else { (16, 8) };
            let pack = self.bytes(at, bytes)?;
            at += bytes;
            let (address, count) = (u32_at(&pack, bytes as usize - 4), (bytes as usize - 4) * 8 / bits);
            for number in 0..count {
                let value = u32_at(&[&pack[..], &[0; 4]].concat(), number * bits / 8) >> (number * bits % 8);
                let value = (value & ((1 << bits) - 1)) as u16;
                slots.push(Slot {
                    kind: value >> 12,
                    low: value & 0xfff,
                    is_last: number + 1 == count,
                    base: (number == 0).then_some(address),
                    full: None,
                });
            }
        }
        ensure(slots.drain(total..).all(|slot| slot.kind == 0 && slot.low == 0), || "more slots".into())?;
        Ok((Map { tail, fragment, is_big, algorithm: header[6] }, slots, at))
    }
}

/// A logical cluster of a full index.
fn full(entry: &[u8]) -> Slot {
    let (advise, offset) = (u16_at(entry, 0), u16_at(entry, 2));
    let kind = advise & 3;
    let is_between = kind == 2;
    let full = Full { address: u32_at(entry, 4), is_part: advise & 0x8000 != 0, on: u16_at(entry, 6) };
    // Anything else that is set makes it a kind that there is not.
    let is_known = advise & !0x8003 == 0 && !(is_between && (full.is_part || offset != 0));
    let low = if is_between { u16_at(entry, 4) } else { offset };
    Slot { kind: if is_known { kind } else { 9 }, low, is_last: false, base: None, full: Some(full) }
}

/// The address of the cluster that begins in each logical one; of others 0.
fn addresses(slots: &[Slot], is_big: bool) -> Vec<u32> {
    let (mut base, mut counted) = (0u32, 0u32);
    let mut addresses = vec![0; slots.len()];
    for (number, slot) in slots.iter().enumerate() {
        if let Some(address) = slot.base {
            (base, counted) = (address, 0);
        }
        if let Some(full) = slot.full {
            addresses[number] = full.address;
            continue;
        }
        if slot.kind == 2 {
            // Only a number of blocks counts, that of the head before, be it in this pack or in the one before.
            counted += if is_big && slot.low & 0x800 != 0 { u32::from(slot.low & 0x7ff) } else { 0 };
            continue;
        }
        addresses[number] = base.wrapping_add(counted + u32::from(!is_big));
        let says_blocks = slots.get(number + 1).is_some_and(|next| next.kind == 2 && is_big);
        counted += u32::from(!says_blocks);
    }
    addresses
}

/// What an index says of a file of `size` bytes, whose tail begins at `end`; and where in the file begins what is packed.
fn extents(size: u64, map: &Map, slots: &[Slot], end: u64) -> io::Result<(Vec<Extent>, u64)> {
    let heads: Vec<usize> = (0..slots.len()).filter(|&number| slots[number].kind != 2).collect();
    let position = |head: usize| head as u64 * BLOCK + u64::from(slots[head].low);
    ensure(heads.first() == Some(&0) && position(0) == 0, || "no head at the start".into())?;
    let addresses = addresses(slots, map.is_big);
    let mut extents: Vec<Extent> = Vec::new();
    let mut expected = None;
    for (nth, &head) in heads.iter().enumerate() {
        let (slot, from) = (slots[head], position(head));
        ensure(slot.kind < 2 && u64::from(slot.low) < BLOCK, || "a head".into())?;
        let next = heads.get(nth + 1).copied();
        if from == size && next.is_none() && slot.kind == 0 {
            // It says only where the file ends.
            break;
        }
        let (to, plain, address) = (next.map_or(size, position), slot.kind == 0, addresses[head]);
        ensure(from < to && to <= size, || format!("a cluster from {from} to {to}"))?;
        if map.fragment.is_some() && to == size {
            // In the first logical cluster it would be all of the file.
            ensure(head > 0 && !plain, || "head of a packed end".into())?;
            ensure(slot.full.is_none_or(|_| address == 0), || "a packed end far behind".into())?;
            let says = slots.get(head + 1).filter(|slot| slot.kind == 2 && map.is_big);
            ensure(says.is_none_or(|slot| slot.low == 0x800), || "blocks of a packed end".into())?;
            return Ok((extents, from));
        }
        let blocks = blocks(slots, head, next.unwrap_or(slots.len()), map.is_big)?;
        ensure(!plain || (to - from <= BLOCK && blocks == 1), || "a long plain cluster".into())?;
        let is_tail = map.tail > 0 && to == size;
        let is_part = slot.full.is_some_and(|full| full.is_part);
        ensure(
            is_tail || slot.full.is_some() || expected.is_none_or(|expected| expected == address),
            || format!("clusters {expected:?} and {address} are not neighbours"),
        )?;
        expected = Some(address.wrapping_add(blocks));
        let in_part = from / BLOCK == (to - 1) / BLOCK && to % BLOCK != 0;
        ensure(is_tail || plain || !in_part, || "nothing says where a cluster ends".into())?;
        let (at, length) = match is_tail {
            true => (end, map.tail),
            false => (u64::from(address) * BLOCK, u64::from(blocks) * BLOCK),
        };
        ensure(plain || is_part || length < to - from, || "a cluster that takes more than it holds".into())?;
        extents.push(Extent { from, to, plain, is_part, at, length });
    }
    ensure(extents.last().is_some_and(|last| last.to == size), || "the file ends later".into())?;
    Ok((extents, size))
}

/// The blocks of the cluster that begins in a logical cluster, the next one beginning in `next`. Checks what those
/// between say.
fn blocks(slots: &[Slot], head: usize, next: usize, is_big: bool) -> io::Result<u32> {
    let mut blocks = 1;
    for (number, &Slot { low, is_last, full, .. }) in slots.iter().enumerate().take(next).skip(head + 1) {
        let (back, on) = ((number - head).min(0x7ff) as u16, (next - number).min(0x7ff) as u16);
        ensure(full.is_none_or(|full| usize::from(full.on) == next - number), || {
            format!("logical cluster {number}: distance {full:?}, not {}", next - number)
        })?;
        if back == 1 && is_big {
            blocks = u32::from(low & 0x7ff);
            ensure(low & 0x800 != 0 && blocks > 0, || format!("blocks {low:#x}"))?;
        } else {
            let right = if is_last { on } else { back };
            ensure(low == right, || format!("logical cluster {number}: distance {low}, not {right}"))?;
        }
    }
    Ok(blocks)
}

fn expand(stored: &[u8], extent: &Extent, algorithm: u8) -> io::Result<Vec<u8>> {
    let length = (extent.to - extent.from) as usize;
    if extent.plain {
        ensure(length <= stored.len(), || "a short plain cluster".into())?;
        let is_alone = stored[length..].iter().all(|byte| *byte == 0);
        ensure(is_alone || extent.is_part, || "bytes behind a plain cluster".into())?;
        return Ok(stored[..length].to_vec());
    }
    // What a whole one may hold: no writer here gives a cluster more.
    let most = if extent.is_part { 4 << 20 } else { length };
    let mut bytes = expand_all(stored, most, algorithm)?;
    if extent.is_part {
        ensure(bytes.len() > length, || "a part that is all there is".into())?;
        bytes.truncate(length);
    }
    Ok(bytes)
}

/// Expands a cluster of at most so many bytes.
fn expand_all(stored: &[u8], length: usize, algorithm: u8) -> io::Result<Vec<u8>> {
    let padding = stored.iter().take_while(|byte| **byte == 0).count();
    ensure(padding < BLOCK as usize, || "a block of padding".into())?;
    let packed = &stored[padding..];
    match algorithm {
        0 => lz4_flex::block::decompress(packed, length).map_err(io::Error::other),
        2 => miniz_oxide::inflate::decompress_to_vec_with_limit(packed, length)
            .map_err(|error| io::Error::other(format!("{error:?}"))),
        3 => {
            let mut frame = packed;
            let decoder = ruzstd::decoding::StreamingDecoder::new(&mut frame).map_err(io::Error::other)?;
            let mut bytes = Vec::with_capacity(length);
            decoder.take(length as u64 + 1).read_to_end(&mut bytes)?;
            ensure(frame.is_empty(), || "bytes behind a frame".into())?;
            Ok(bytes)
        }
        other => Err(io::Error::other(format!("algorithm {other}"))),
    }
}
