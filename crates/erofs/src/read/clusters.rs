//! Compressed files, as they are read: what their index says of the clusters on the disk.

use zerocopy::FromBytes;

use super::devices::ALGORITHMS;
use super::inodes::Inode;
use super::slots::{Packing, Slot};
use super::{Filesystem, ReadError};
use crate::format::{
    CLUSTER_HEAD, CLUSTER_HEAD2, CLUSTER_PLAIN, FRAGMENT_INODE, LAYOUT_COMPRESSED_FULL, MAP_ALIGN, MapHeader,
    advise, incompat,
};

/// What stands before an index.
pub(super) struct Map {
    /// Whether the index has eight bytes for each logical cluster.
    pub(super) is_full: bool,
    pub(super) advise: u16,
    /// Of heads of the first and the second kind.
    pub(super) algorithms: [u8; 2],
    /// Bytes of the end behind the index.
    pub(super) tail: u64,
    /// Where the end, or the whole file, lies in the packed inode; the lower 32 bits if the index has the others.
    fragment: Option<u64>,
    /// Whether that is the whole file, and there is no index.
    is_fragment: bool,
    /// Where the index lies, and how many bytes it has.
    pub(super) at: u64,
    pub(super) length: u64,
}

/// Some bytes of a file, and where they lie.
#[derive(Clone, Copy)]
pub(super) struct Cluster {
    pub(super) from: u64,
    pub(super) to: u64,
    /// `None` if they are not compressed.
    pub(super) algorithm: Option<u8>,
    /// Whether more is stored there than these bytes.
    pub(super) is_part: bool,
    pub(super) stored: Stored,
}

#[derive(Clone, Copy)]
pub(super) enum Stored {
    Blocks {
        start: u64,
        blocks: u64,
    },
    /// So many bytes behind the index.
    Behind(u64),
    /// In the packed inode, from that byte on.
    Fragment(u64),
}

impl Map {
    /// Whether clusters may have several blocks.
    pub(super) fn is_big(&self, kind: u16) -> bool {
        let bit = if kind == CLUSTER_HEAD2 { 0x4 } else { 0x2 };
        self.advise & bit != 0
    }

    pub(super) fn is_interlaced(&self) -> bool {
        self.advise & advise::INTERLACED_PCLUSTER != 0
    }

    fn algorithm(&self, kind: u16) -> Option<u8> {
        match kind {
            CLUSTER_HEAD => Some(self.algorithms[0]),
            CLUSTER_HEAD2 => Some(self.algorithms[1]),
            _ => None,
        }
    }
}

impl Filesystem<'_> {
    /// Reads what stands before the index of a compressed file, and finds out how long that is.
    pub(super) fn map(&self, inode: &Inode) -> Result<Map, ReadError> {
        let at = inode.behind().next_multiple_of(MAP_ALIGN);
        let bytes = self.bytes(at, size_of::<MapHeader>() as u64, inode.place())?;
        let header = MapHeader::read_from_bytes(&bytes).expect("it has the length");
        let is_full = inode.fields.layout == LAYOUT_COMPRESSED_FULL;
        let mut map = Map {
            is_full,
            advise: header.advise.get(),
            algorithms: [header.algorithmtype & 0xf, header.algorithmtype >> 4],
            tail: 0,
            fragment: None,
            is_fragment: false,
            at: at + size_of::<MapHeader>() as u64,
            length: 0,
        };
        let word = |bytes: &[u8]| bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        if header.clusterbits & FRAGMENT_INODE != 0 {
            map.is_fragment = true;
            map.fragment = Some(word(&bytes) & !(1 << 63));
        } else if map.advise & advise::FRAGMENT_PCLUSTER != 0 {
            map.fragment = Some(word(&bytes[..4]));
        } else if map.advise & advise::INLINE_PCLUSTER != 0 {
            map.tail = header.idata_size.get().into();
            if map.tail == 0 {
                return Err(inode.corrupt("the end behind its index has no bytes"));
            }
        }
        if map.fragment.is_some() && self.packed().is_none() {
            return Err(inode.corrupt("its end lies in the packed inode, which there is not"));
        }
        if map.is_fragment {
            return Ok(map);
        }
        self.check_map(inode, &map, header.clusterbits)?;
        let total = inode.fields.size.div_ceil(self.block_size);
        let length = if is_full {
            // Eight bytes mean nothing.
            map.at += 8;
            total.checked_mul(8)
        } else {
            Some(Packing::new(&map, total).length())
        };
        let is_inside = |length: &u64| map.at.checked_add(*length).is_some_and(|end| end <= self.end);
        let what = "its index reaches behind the end of the filesystem";
        map.length = length.filter(is_inside).ok_or_else(|| inode.corrupt(what))?;
        if map.tail > 0 && (map.at + map.length) % self.block_size + map.tail > self.block_size {
            return Err(inode.corrupt("the end of its data lies in two blocks"));
        }
        Ok(map)
    }

    fn check_map(&self, inode: &Inode, map: &Map, clusterbits: u8) -> Result<(), ReadError> {
        let known = advise::COMPACTED_2B
            | advise::BIG_PCLUSTERS
            | advise::INLINE_PCLUSTER
            | advise::INTERLACED_PCLUSTER
            | advise::FRAGMENT_PCLUSTER;
        if self.has(incompat::WIDE) && map.is_full && map.advise & advise::EXTENTS != 0 {
            return Err(ReadError::Unsupported { what: "clusters in encoded extents".into() });
        }
        if map.advise & !known != 0 || (map.is_full && map.advise & advise::COMPACTED_2B != 0) {
            return Err(ReadError::Unsupported { what: format!("an index with advice {:#x}", map.advise) });
        }
        if clusterbits != 0 {
            return Err(ReadError::Unsupported { what: "logical clusters of several blocks".into() });
        }
        if map.algorithms.iter().any(|&algorithm| usize::from(algorithm) >= ALGORITHMS.len()) {
            return Err(inode.corrupt("it has an algorithm that there is not"));
        }
        if map.advise & advise::BIG_PCLUSTERS != 0 && !self.has(incompat::COMPR_CFGS) {
            return Err(inode.corrupt("its clusters have several blocks, those of the filesystem do not"));
        }
        // Otherwise a kernel would not find them alike.
        if !map.is_full && !matches!(map.advise & advise::BIG_PCLUSTERS, 0 | advise::BIG_PCLUSTERS) {
            return Err(inode.corrupt("clusters of one kind have several blocks, and of the other not"));
        }
        Ok(())
    }

    /// Gives the clusters of a file in its order, those behind one another that are not compressed together.
    pub(super) fn clusters(
        &self,
        inode: &Inode,
        map: &Map,
        each: &mut dyn FnMut(Cluster) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        let size = inode.fields.size;
        if let Some(offset) = map.fragment.filter(|_| map.is_fragment) {
            let stored = Stored::Fragment(offset);
            return each(Cluster { from: 0, to: size, algorithm: None, is_part: false, stored });
        }
        let mut joined = Joined { block: self.block_size, open: None, each };
        let mut heads = Heads { filesystem: self, inode, map, open: None };
        let (total, mut number) = (size.div_ceil(self.block_size), 0);
        self.slots(inode, map, total, &mut |slot| {
            if let Some(cluster) = heads.take(number, slot)? {
                joined.take(cluster)?;
            }
            number += 1;
            Ok(())
        })?;
        if let Some(cluster) = heads.end()? {
            joined.take(cluster)?;
        }
        joined.end()
    }
}

/// Makes clusters of logical ones.
struct Heads<'a> {
    filesystem: &'a Filesystem<'a>,
    inode: &'a Inode,
    map: &'a Map,
    open: Option<Head>,
}

/// A head whose cluster's end is not known yet.
struct Head {
    number: u64,
    from: u64,
    kind: u16,
    address: u32,
    is_part: bool,
    blocks: u64,
}

impl Heads<'_> {
    /// Takes a logical cluster, and gives the cluster that ends in it.
    fn take(&mut self, number: u64, slot: Slot) -> Result<Option<Cluster>, ReadError> {
        let corrupt = |what| Err(self.inode.corrupt(what));
        let block = self.filesystem.block_size;
        let back = self.open.as_ref().map(|head| number - head.number);
        match (slot, back) {
            (Slot::Head { kind, offset, address, is_part }, _) => {
                let from = number * block + offset;
                if offset >= block || (number == 0 && from > 0) || from > self.inode.fields.size {
                    return corrupt("a cluster begins where none can");
                }
                let next = Head { number, from, kind, address, is_part, blocks: 1 };
                let done = self.open.replace(next);
                done.map(|head| self.cluster(&head, from)).transpose()
            }
            (_, None) => corrupt("its first cluster has no head"),
            (Slot::Blocks(blocks), Some(back)) => {
                let Some(head) = self.open.as_mut().filter(|head| back == 1 && self.map.is_big(head.kind))
                else {
                    return corrupt("a number of blocks stands where none is expected");
                };
                head.blocks = blocks.into();
                Ok(None)
            }
            (Slot::Between(said), Some(back)) => {
                let is_big = self.open.as_ref().is_some_and(|head| self.map.is_big(head.kind));
                if back == 1 && is_big {
                    return corrupt("a cluster does not say how many blocks it has");
                }
                match said {
                    Some(said) if said == 0 || u64::from(said) > back => corrupt("its index leads astray"),
                    _ => Ok(None),
                }
            }
        }
    }

    /// The last cluster, if the last head does not say merely where the file ends.
    fn end(&mut self) -> Result<Option<Cluster>, ReadError> {
        let size = self.inode.fields.size;
        match self.open.take() {
            Some(head) if head.from < size => self.cluster(&head, size).map(Some),
            Some(head) if head.kind == CLUSTER_PLAIN => Ok(None),
            None if size == 0 => Ok(None),
            _ => Err(self.inode.corrupt("its index does not end with the file")),
        }
    }

    fn cluster(&self, head: &Head, to: u64) -> Result<Cluster, ReadError> {
        let Head { from, blocks, .. } = *head;
        let algorithm = self.map.algorithm(head.kind);
        if to <= from {
            return Err(self.inode.corrupt("its clusters are not in order"));
        }
        let is_end = to == self.inode.fields.size;
        let stored = match self.map.fragment {
            _ if is_end && self.map.tail > 0 => Stored::Behind(self.map.tail),
            // Only this kind of index has room for more than 32 bits.
            Some(low) if is_end && self.map.is_full => Stored::Fragment(u64::from(head.address) << 32 | low),
            Some(low) if is_end => Stored::Fragment(low),
            _ if blocks == 0 => return Err(self.inode.corrupt("a cluster has no blocks")),
            _ => {
                self.filesystem.check_blocks(head.address.into(), blocks, self.inode.place())?;
                Stored::Blocks { start: head.address.into(), blocks }
            }
        };
        if let Stored::Blocks { blocks, .. } = stored
            && algorithm.is_none()
            && to - from > blocks * self.filesystem.block_size
        {
            return Err(self.inode.corrupt("a cluster holds more than it has room for"));
        }
        Ok(Cluster { from, to, algorithm, is_part: head.is_part, stored })
    }
}

/// Joins clusters that are not compressed and lie behind one another.
struct Joined<'a> {
    block: u64,
    open: Option<Cluster>,
    each: &'a mut dyn FnMut(Cluster) -> Result<(), ReadError>,
}

impl Joined<'_> {
    fn take(&mut self, next: Cluster) -> Result<(), ReadError> {
        if let Some(open) = &mut self.open
            && let (Stored::Blocks { start, blocks }, Stored::Blocks { start: at, blocks: more }) =
                (&mut open.stored, next.stored)
            && open.algorithm.is_none()
            && next.algorithm.is_none()
            && *start + *blocks == at
            && open.to - open.from == *blocks * self.block
            && !next.is_part
        {
            *blocks += more;
            open.to = next.to;
            return Ok(());
        }
        self.open.replace(next).map_or(Ok(()), &mut self.each)
    }

    fn end(&mut self) -> Result<(), ReadError> {
        self.open.take().map_or(Ok(()), &mut self.each)
    }
}
