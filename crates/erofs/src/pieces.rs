//! Parts of compressed files that lie in others already, and how files are cut for that.
//!
//! A cluster is expanded from its start on. So a file whose bytes another one is to have begins a cluster where these
//! begin, and the other one, which then has clusters of two files, goes on with its own behind them.

use std::collections::{BTreeMap, BTreeSet};

use tree::NodeId;

use crate::press::{BLOCK, Ending, Extent, SEGMENT};
use crate::pressed::{Candidate, File, Pressed};

/// Bytes of a file that are compressed elsewhere: in another file, or further in front in the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reuse {
    /// Where they begin.
    pub start: u64,
    /// How many they are. Their end is that of the file or of a block.
    pub length: u64,
    /// The file that has them, not from others.
    pub of: NodeId,
    /// Where they begin there, which is where a block does.
    pub from: u64,
}

impl Reuse {
    /// The first byte behind it.
    pub fn end(&self) -> u64 {
        self.start + self.length
    }
}

/// Bytes of a file that are compressed by themselves: a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Where they begin.
    pub start: u64,
    /// How many they are, possibly none: at most [`SEGMENT`].
    pub length: u64,
    /// What they end with.
    pub ending: Ending,
    /// What comes behind them, if that is compressed elsewhere.
    pub reuse: Option<Reuse>,
}

impl Piece {
    /// All of a file, if it is no longer than a segment.
    pub fn whole(file: &Candidate) -> Piece {
        Piece { start: 0, length: file.size, ending: Ending::File, reuse: None }
    }

    /// The next piece of what could not be had from elsewhere, `at` being where it begins.
    pub fn rest(file: &Candidate, reuse: &Reuse, at: u64) -> Piece {
        let block = BLOCK as u64;
        let end = reuse.end().min(at / block * block + SEGMENT);
        let ending = if end == file.size { Ending::File } else { Ending::Blocks };
        Piece { start: at, length: end - at, ending, reuse: None }
    }

    /// The first byte behind it.
    pub fn end(&self) -> u64 {
        self.start + self.length
    }
}

/// Which bytes files have from each other.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reuses {
    by_file: BTreeMap<NodeId, Box<[Reuse]>>,
    /// Where in a file begins what others have, and where the last of it ends.
    lent: BTreeMap<NodeId, (BTreeSet<u64>, u64)>,
}

impl Pressed {
    /// Says which bytes of a candidate, in ascending order, are compressed elsewhere: in a candidate that comes before it,
    /// or in itself further in front. To be said of all before any is compressed.
    pub fn reuse(&mut self, file: &Candidate, reuses: Vec<Reuse>) {
        for reuse in &reuses {
            let (cuts, end) = self.reuses.lent.entry(reuse.of).or_default();
            cuts.insert(reuse.from);
            *end = reuse.from.saturating_add(reuse.length).max(*end);
        }
        if !reuses.is_empty() {
            self.reuses.by_file.insert(file.node, reuses.into());
        }
    }

    /// What of a candidate is to be compressed, and in which pieces.
    pub fn pieces(&self, file: &Candidate) -> Vec<Piece> {
        let reuses = self.reuses.by_file.get(&file.node).map_or(&[][..], |reuses| reuses);
        let lent = self.reuses.lent.get(&file.node);
        let is_whole = reuses.is_empty() && lent.is_none();
        let ending = |end: u64| match () {
            () if end < file.size && is_whole => Ending::Blocks,
            () if end < file.size => Ending::Cut,
            // What lies behind the inode is nobody else's.
            () if lent.is_some_and(|(_, end)| end + BLOCK as u64 > file.size) => Ending::Blocks,
            () => Ending::File,
        };
        let (mut pieces, mut at) = (Vec::new(), 0);
        let stretches = reuses.iter().map(|reuse| (reuse.start, Some(*reuse)));
        for (end, reuse) in stretches.chain([(file.size, None)]) {
            while at < end || reuse.is_some() {
                let cut = lent.and_then(|(cuts, _)| cuts.range(at + 1..).next().copied());
                let next = cut.unwrap_or(end).min(at + SEGMENT).min(end);
                let reuse = reuse.filter(|_| next == end);
                pieces.push(Piece { start: at, length: next - at, ending: ending(next), reuse });
                at = next;
                if let Some(reuse) = reuse {
                    at = reuse.end();
                    break;
                }
            }
        }
        pieces
    }

    /// Lets a file have clusters from elsewhere, once the piece before these is added, and all candidates before it. Says
    /// up to where it has its bytes then: from there to the end of the reuse they are to be compressed and added as
    /// [`Piece::rest`]s.
    pub fn lend(&mut self, file: &Candidate, reuse: &Reuse) -> u64 {
        let end = |own: &File| own.extents.last().map_or(0, Extent::end);
        let at = self.files.get(&file.node).map_or(0, end);
        // It may have ended with what could not be compressed, and not with a block.
        let other = self.files.get(&reuse.of).filter(|_| at == reuse.start);
        let lent = other.map(|other| lend(other, reuse)).unwrap_or_default();
        if lent.is_empty() {
            return at;
        }
        let start = self.next as u32;
        let own = self.files.entry(file.node).or_insert_with(|| File::at(start));
        own.has_others = true;
        lent.into_iter().for_each(|extent| own.append(extent));
        end(own)
    }
}

/// The clusters that a file lends, with the places that they have in the other one.
fn lend(other: &File, reuse: &Reuse) -> Vec<Extent> {
    let block = BLOCK as u64;
    let (mut at, end) = (reuse.start, reuse.end());
    let mut lent = Vec::new();
    let first = other.extents.partition_point(|extent| extent.start < reuse.from);
    for extent in &other.extents[first..] {
        let length = u64::from(extent.length).min(end - at);
        let is_part = length < u64::from(extent.length);
        // The logical cluster behind the head says how many blocks there are; and in one alone nothing would say where
        // the cluster ends.
        let is_short = is_part && !extent.plain && end / block - at / block < 2;
        if length == 0 || is_short || extent.start - reuse.from != at - reuse.start {
            break;
        }
        let blocks = if extent.plain { length.div_ceil(block) as u32 } else { extent.blocks };
        lent.push(Extent {
            start: at,
            length: length as u32,
            blocks,
            is_part: extent.is_part || is_part,
            ..*extent
        });
        at += length;
    }
    lent
}
