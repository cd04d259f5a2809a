//! Handing out blocks, and the extents that say which a file got.

use crate::BlockSize;
use crate::format::{EXTENT_DEPTH_MAX, EXTENT_LENGTH_MAX, EXTENTS_IN_INODE};
use crate::plan::groups::Run;

/// Blocks of a file that lie behind one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Extent {
    /// Whose they are.
    pub(crate) ino: u32,
    /// The first of them, counted in the file.
    pub(crate) logical: u32,
    /// How many, 1 to [`EXTENT_LENGTH_MAX`].
    pub(crate) length: u32,
    /// The first of them, counted in the filesystem.
    pub(crate) start: u64,
}

/// Gives out blocks in ascending order, around the fixed metadata. Below [`Cursor::end`] none is left over.
#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    fixed: &'a [Run],
    at: u64,
    taken: u64,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(first: u64, fixed: &'a [Run]) -> Cursor<'a> {
        let mut cursor = Cursor { fixed, at: first, taken: 0 };
        cursor.skip();
        cursor
    }

    /// Up to `most` blocks (at least one); fewer where fixed metadata stands in the way. The end of the
    /// filesystem does not: whoever calls compares [`Cursor::end`] with it.
    pub(crate) fn take(&mut self, most: u64) -> Run {
        let room = self.fixed.first().map_or(u64::MAX - self.at, |run| run.start - self.at);
        let run = Run { start: self.at, length: most.min(room) };
        self.at = run.end();
        self.taken += run.length;
        self.skip();
        run
    }

    fn skip(&mut self) {
        while let Some((run, rest)) = self.fixed.split_first()
            && run.start <= self.at
        {
            self.at = self.at.max(run.end());
            self.fixed = rest;
        }
    }

    /// The block behind the last that is in use.
    pub(crate) fn end(&self) -> u64 {
        self.at
    }

    /// Blocks given out so far.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }
}

/// Adds blocks of a file to its extents, which must be the last in the list or new.
pub(crate) fn push(extents: &mut Vec<Extent>, ino: u32, mut logical: u32, run: Run) {
    let Run { mut start, mut length } = run;
    if let Some(last) = extents.last_mut()
        && last.ino == ino
        && last.logical + last.length == logical
        && last.start + u64::from(last.length) == start
    {
        let more = length.min(EXTENT_LENGTH_MAX - u64::from(last.length));
        last.length += more as u32;
        logical += more as u32;
        start += more;
        length -= more;
    }
    while length > 0 {
        let part = length.min(EXTENT_LENGTH_MAX);
        extents.push(Extent { ino, logical, length: part as u32, start });
        // A file ends below block 2^32, so only behind the last part can this overflow.
        logical = logical.wrapping_add(part as u32);
        start += part;
        length -= part;
    }
}

/// Brings extents that were pushed in another order into that of inodes and files.
pub(crate) fn sort(extents: &mut Vec<Extent>) {
    extents.sort_unstable();
    let mut sorted: Vec<Extent> = Vec::with_capacity(extents.len());
    for extent in extents.drain(..) {
        let run = Run { start: extent.start, length: u64::from(extent.length) };
        push(&mut sorted, extent.ino, extent.logical, run);
    }
    *extents = sorted;
}

/// The extents of one inode, in sorted extents.
pub(crate) fn of(extents: &[Extent], ino: u32) -> &[Extent] {
    let start = extents.partition_point(|extent| extent.ino < ino);
    let length = extents[start..].partition_point(|extent| extent.ino == ino);
    &extents[start..start + length]
}

/// Entries that fit a block of an extent tree: behind them is room for the checksum.
pub(crate) fn per_block(size: BlockSize) -> usize {
    (size.bytes() as usize - 12) / 12
}

/// Blocks of each level of the tree over so many extents, leaves first; empty if the inode holds them all.
/// All but the last of a level are full: `e2fsck` would offer to narrow a looser tree.
pub(crate) fn levels(extents: usize, size: BlockSize) -> Vec<usize> {
    let mut levels = Vec::new();
    let mut entries = extents;
    while entries > EXTENTS_IN_INODE {
        entries = entries.div_ceil(per_block(size));
        levels.push(entries);
    }
    // 4 * 84^5 leaves' entries are more than the 2^32 blocks that a file has.
    debug_assert!(levels.len() <= EXTENT_DEPTH_MAX as usize);
    levels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_goes_around() {
        let fixed = [Run { start: 0, length: 3 }, Run { start: 10, length: 5 }, Run { start: 15, length: 1 }];
        let mut cursor = Cursor::new(0, &fixed);
        let runs: Vec<(u64, u64)> =
            [4, 100, 7, 2].map(|most| cursor.take(most)).map(|r| (r.start, r.length)).into();
        assert_eq!(runs, [(3, 4), (7, 3), (16, 7), (23, 2)]);
        assert_eq!((cursor.end(), cursor.taken()), (25, 16));
    }

    #[test]
    fn extents_merge_and_split() {
        let mut extents = Vec::new();
        push(&mut extents, 12, 0, Run { start: 100, length: 40_000 });
        push(&mut extents, 12, 40_000, Run { start: 40_100, length: 30_000 });
        push(&mut extents, 12, 70_001, Run { start: 70_100, length: 1 });
        let shape: Vec<_> = extents.iter().map(|e| (e.logical, e.length, e.start)).collect();
        assert_eq!(
            shape,
            [(0, 32_768, 100), (32_768, 32_768, 32_868), (65_536, 4464, 65_636), (70_001, 1, 70_100)]
        );
        extents.reverse();
        sort(&mut extents);
        assert_eq!(extents.iter().map(|e| (e.logical, e.length, e.start)).collect::<Vec<_>>(), shape);
    }

    #[test]
    fn trees_are_full_from_below() {
        assert_eq!(levels(4, BlockSize::B4096), []);
        assert_eq!(levels(5, BlockSize::B4096), [1]);
        assert_eq!(levels(340 * 4, BlockSize::B4096), [4]);
        assert_eq!(levels(340 * 4 + 1, BlockSize::B4096), [5, 1]);
        assert_eq!(levels(1 << 31, BlockSize::B1024).len(), 5);
    }
}
