//! Files of which parts lie in other files already: chunks of equal length, some of which have the others' blocks.

use tree::NodeId;

use crate::format::CHUNK_BITS_MAX;
use crate::plan::chunks::Stretch;
use crate::plan::width::Width;
use crate::{BlockSize, Options, Tails};

/// Whole blocks of a file that are equal to such as come before them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeat {
    /// The first of them in the file.
    pub first: u64,
    /// How many they are.
    pub blocks: u64,
    /// The file that has them, and its first; `None` if they are zeros.
    pub of: Option<(NodeId, u64)>,
}

impl Repeat {
    /// Whether another one goes on where this one ends, in both files.
    pub fn is_before(&self, next: &Repeat) -> bool {
        let of = self.of.map(|(node, first)| (node, first + self.blocks));
        self.first + self.blocks == next.first && of == next.of
    }

    /// The whole chunks of so many blocks in it, as blocks. `all` are those of the file: the last chunk may be shorter.
    fn chunks(&self, blocks_of_chunk: u64, all: u64) -> Option<Repeat> {
        let end = self.first + self.blocks;
        let first = self.first.next_multiple_of(blocks_of_chunk);
        let end = if end == all { end } else { end / blocks_of_chunk * blocks_of_chunk };
        let of = self.of.map(|(node, at)| (node, at + (first - self.first)));
        (first < end).then(|| Repeat { first, blocks: end - first, of })
    }
}

/// The chunk's length, as a power of two of bytes, with which a file of so many bytes takes the fewest, if they are fewer
/// than without chunks. Only what both files are alike in decides, so that equal ones have the same.
pub(crate) fn choose(repeats: &[Repeat], bytes: u64, options: &Options, width: Width) -> Option<u8> {
    let size = options.block_size;
    let (block, all) = (u64::from(size.bytes()), bytes.div_ceil(size.bytes().into()));
    let flat = match options.tails {
        Tails::Blocks => all * block,
        Tails::Inline | Tails::Packed => bytes,
    };
    let cost = |bits: u8| {
        let chunks = repeats.iter().filter_map(|repeat| repeat.chunks(1 << (bits - size.bits()), all));
        let saved: u64 = chunks.map(|repeat| repeat.blocks).sum();
        (all - saved) * block + width.entry() * bytes.div_ceil(1 << bits)
    };
    let costs = (size.bits()..=CHUNK_BITS_MAX).map(|bits| (cost(bits), bits));
    let (least, bits) = costs.min_by_key(|&(cost, bits)| (cost, CHUNK_BITS_MAX - bits))?;
    (least < flat).then_some(bits)
}

/// Of a file in chunks: those that lie in others, neighbours together where they do so there, and then its own.
pub(crate) fn divide(
    repeats: &[Repeat],
    bytes: u64,
    size: BlockSize,
    bits: u8,
) -> (Vec<Repeat>, Vec<Stretch>) {
    let all = bytes.div_ceil(size.bytes().into());
    let chunks = repeats.iter().filter_map(|repeat| repeat.chunks(1 << (bits - size.bits()), all));
    let (mut lent, mut own, mut next) = (Vec::new(), Vec::new(), 0);
    for repeat in chunks {
        if next < repeat.first {
            own.push(Stretch { first: next, blocks: repeat.first - next });
        }
        next = repeat.first + repeat.blocks;
        lent.push(repeat);
    }
    if next < all {
        own.push(Stretch { first: next, blocks: all - next });
    }
    (lent, own)
}

#[cfg(test)]
mod tests {
    use tree::Tree;

    use super::*;

    fn repeat(first: u64, blocks: u64, at: u64) -> Repeat {
        Repeat { first, blocks, of: Some((Tree::ROOT, at)) }
    }

    #[test]
    fn chunks_are_as_long_as_pays() {
        let options = Options::default();
        let choose = |repeats: &[Repeat], bytes| choose(repeats, bytes, &options, Width::Narrow);
        for (repeats, blocks, tail, bits) in [
            (&[][..], 100, 0, None),
            (&[repeat(0, 1, 7)], 100, 0, Some(12)),
            // The end takes a block of its own, where it would lie behind the inode.
            (&[repeat(0, 1, 7)], 100, 100, None),
            (&[repeat(0, 2, 7)], 100, 100, Some(13)),
            (&[repeat(0, 64, 7)], 128, 0, Some(18)),
            (&[repeat(1, 64, 7)], 128, 0, Some(12)),
            // The last chunk may be shorter.
            (&[repeat(64, 3, 7)], 67, 0, Some(18)),
            // A map of four bytes a block would take more than the block.
            (&[repeat(1, 1, 7)], 2000, 0, None),
        ] {
            assert_eq!(choose(repeats, blocks * 4096 + tail), bits, "{repeats:?} {blocks} {tail}");
        }
    }

    #[test]
    fn what_is_no_whole_chunk_is_its_own() {
        let repeats = [repeat(0, 4, 10), Repeat { first: 5, blocks: 8, of: None }, repeat(13, 7, 20)];
        let (lent, own) = divide(&repeats, 20 * 4096, BlockSize::B4096, 13);
        let zeros = Repeat { first: 6, blocks: 6, of: None };
        assert_eq!(lent, [repeat(0, 4, 10), zeros, repeat(14, 6, 21)]);
        let own: Vec<_> = own.iter().map(|own| (own.first, own.blocks)).collect();
        assert_eq!(own, [(4, 2), (12, 2)]);
    }
}
