//! Giving inodes, shared attributes and blocks their places.

use tree::Time;

use super::error::Error;
use super::format::{
    BLOCK, COMPACT_SIZE, EXTENDED_SIZE, INODES, LAYOUT_CHUNKS, LAYOUT_INLINE, LAYOUT_PLAIN, SLOT, Version,
};
use super::inodes::{Data, Extent, Inode};
use super::xattrs::{Arranged, Xattr};

/// Where an inode lies, and what is behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// In bytes.
    pub(super) start: u64,
    pub(super) extended: bool,
    pub(super) extent: Extent,
    /// The first of its blocks; 0 if it has none.
    pub(super) block: u32,
}

impl Place {
    /// The inode's number.
    pub(super) fn nid(&self) -> u64 {
        self.start / SLOT
    }

    /// Bytes of the inode itself.
    pub(super) fn fields(&self) -> u64 {
        if self.extended { EXTENDED_SIZE } else { COMPACT_SIZE }
    }

    /// The number of the data's layout.
    pub(super) fn layout(&self, data: &Data<'_>) -> u16 {
        match data {
            Data::Outside(_) => LAYOUT_CHUNKS,
            _ if self.extent.tail > 0 => LAYOUT_INLINE,
            _ => LAYOUT_PLAIN,
        }
    }
}

/// Where the parts of an image end, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) inodes: u64,
    /// Of the shared attributes, filled up to a block.
    pub(super) shared: u64,
    pub(super) blocks: u64,
}

/// Gives everything its place: inodes behind one another, then the shared attributes, then blocks.
pub(super) fn place(
    inodes: &[Inode<'_>],
    xattrs: &[Arranged<'_>],
    shared: &[Xattr<'_>],
    epoch: Time,
    version: Version,
) -> Result<(Vec<Place>, Ends), Error> {
    let mut end = INODES;
    let mut places = Vec::with_capacity(inodes.len());
    for (inode, xattrs) in inodes.iter().zip(xattrs) {
        let extent = inode.data.extent(version);
        let extended = version == Version::V2 || !is_small(inode, extent.size, epoch);
        let mut place = Place { start: end, extended, extent, block: 0 };
        let fixed = place.fields() + xattrs.length();
        match version {
            Version::V0 | Version::V1 => move_for_tail(&mut place, fixed, &inode.data),
            Version::V2 => move_for_tail_v2(&mut place, fixed, &inode.data),
        }
        end = (place.start + fixed + place.extent.tail).next_multiple_of(SLOT);
        places.push(place);
    }
    let shared = (end + shared.iter().map(Xattr::length).sum::<u64>()).next_multiple_of(BLOCK);
    let mut ends = Ends { inodes: end, shared, blocks: shared };
    for place in places.iter_mut().filter(|place| place.extent.blocks > 0) {
        let address = ends.blocks / BLOCK;
        place.block = u32::try_from(address).map_err(|_| Error::TooLarge { bytes: ends.blocks })?;
        ends.blocks += place.extent.blocks * BLOCK;
    }
    // References to shared attributes count fours from the start of the image or from a block, in 32 bits.
    if ends.blocks / BLOCK > u32::MAX.into() || (version == Version::V2 && shared / 4 > u32::MAX.into()) {
        return Err(Error::TooLarge { bytes: ends.blocks });
    }
    match places[0].nid() {
        // The superblock has 16 bits for it.
        nid if nid > u16::MAX.into() => Err(Error::TooLarge { bytes: places[0].start }),
        _ => Ok((places, ends)),
    }
}

/// Whether an inode fits into the small form.
fn is_small(inode: &Inode<'_>, size: u64, epoch: Time) -> bool {
    inode.mtime == epoch
        && [inode.uid, inode.gid, inode.links].into_iter().all(|n| n <= u16::MAX.into())
        && size <= u32::MAX.into()
}

/// Moves an inode so that what lies behind it is in one block; `fixed` are the bytes of the inode and its attributes.
fn move_for_tail(place: &mut Place, fixed: u64, data: &Data<'_>) {
    let Extent { tail, .. } = place.extent;
    if let Data::Text(_) = data {
        // Linux before 6.12 refuses a link that is not all in one block, its inode included.
        let total = fixed + tail;
        if place.start % BLOCK + total > BLOCK {
            place.start = place.start.next_multiple_of(BLOCK);
        }
        if total >= BLOCK {
            place.extent.tail = 0;
            place.extent.blocks = 1;
        }
        return;
    }
    let left = to_block(place.start + fixed);
    if left < tail && left > 0 {
        place.start += left.next_multiple_of(SLOT);
    }
}

/// The same as the second version does it.
fn move_for_tail_v2(place: &mut Place, fixed: u64, data: &Data<'_>) {
    // Chunks are not looked at.
    if place.layout(data) != LAYOUT_INLINE {
        return;
    }
    let start = place.start + fixed;
    let last = start - 1;
    if last / BLOCK != (start + place.extent.tail) / BLOCK {
        place.start = (place.start + BLOCK - last % BLOCK).next_multiple_of(SLOT);
    }
}

/// Bytes to the next start of a block; 0 at one.
fn to_block(at: u64) -> u64 {
    at.next_multiple_of(BLOCK) - at
}
