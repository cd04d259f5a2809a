//! Files with holes: chunks of equal length, each of which lies somewhere or nowhere.

use tree::Content;

use crate::BlockSize;
use crate::format::CHUNK_BITS_MAX;
use crate::plan::width::Width;

/// Blocks of a file that lie behind one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stretch {
    /// The first block in the file.
    pub(crate) first: u64,
    pub(crate) blocks: u64,
}

/// The chunk's length, as a power of two of bytes, with which a file takes the fewest bytes, if they are fewer
/// than `flat`.
///
/// A hole that is no whole chunk takes room, as the map of the chunks does: long chunks make the map short.
pub(crate) fn choose(content: &Content, size: BlockSize, width: Width, flat: u64) -> Option<u8> {
    if !matches!(content, Content::Pieces { .. }) {
        return None;
    }
    let cost = |bits: u8| {
        let blocks: u64 = stretches(content, size, bits).map(|stretch| stretch.blocks).sum();
        blocks * u64::from(size.bytes()) + width.entry() * chunks(content, bits)
    };
    let costs = (size.bits()..=CHUNK_BITS_MAX).map(|bits| (cost(bits), bits));
    let (least, bits) = costs.min_by_key(|&(cost, bits)| (cost, CHUNK_BITS_MAX - bits))?;
    (least < flat).then_some(bits)
}

/// How many chunks a file has.
pub(crate) fn chunks(content: &Content, bits: u8) -> u64 {
    content.size().div_ceil(1 << bits)
}

/// The chunks that are not holes, neighbours together. Ascending.
pub(crate) fn stretches(content: &Content, size: BlockSize, bits: u8) -> impl Iterator<Item = Stretch> {
    let blocks_of_chunk = 1 << (bits - size.bits());
    let all_blocks = content.size().div_ceil(size.bytes().into());
    let mut ranges = content.pieces().filter(|piece| piece.span.length > 0).map(move |piece| {
        let end = piece.at + piece.span.length;
        (piece.at >> bits, end.div_ceil(1 << bits))
    });
    let mut next = ranges.next();
    std::iter::from_fn(move || {
        let (first, mut end) = next?;
        next = ranges.next();
        while let Some((start, further)) = next.filter(|&(start, _)| start <= end) {
            debug_assert!(start >= first);
            end = further;
            next = ranges.next();
        }
        let (first, end) = (first * blocks_of_chunk, (end * blocks_of_chunk).min(all_blocks));
        Some(Stretch { first, blocks: end - first })
    })
}

#[cfg(test)]
mod tests {
    use tree::{Piece, Span};

    use super::*;

    fn sparse(size: u64, pieces: &[(u64, u64)]) -> Content {
        let piece = |&(at, length): &(u64, u64)| Piece { at, span: Span { layer: 0, offset: at, length } };
        Content::Pieces { size, declared: true, pieces: pieces.iter().map(piece).collect() }
    }

    #[test]
    fn stretches_are_whole_chunks() {
        let content = sparse(100_000, &[(0, 4096), (8192, 4096), (12_288, 4096), (98_304, 1696)]);
        let found = |bits| -> Vec<(u64, u64)> {
            stretches(&content, BlockSize::B4096, bits).map(|s| (s.first, s.blocks)).collect()
        };
        assert_eq!(found(12), [(0, 1), (2, 2), (24, 1)]);
        assert_eq!(found(13), [(0, 4), (24, 1)]);
        assert_eq!(found(17), [(0, 25)]);
    }

    #[test]
    fn chunks_are_as_long_as_they_may_be() {
        const M: u64 = 1 << 20;
        for (content, bits) in [
            (Content::Empty, None),
            (Content::Whole(Span { layer: 0, offset: 0, length: M }), None),
            (sparse(M, &[(0, M)]), None),
            (sparse(M, &[]), Some(30)),
            (sparse(1 << 40, &[]), Some(30)),
            (sparse(4 * M, &[(2 * M, M)]), Some(20)),
            // Chunks of 16 KiB cost three more blocks, which a shorter map saves only in longer files.
            (sparse(M, &[(4096, 4096)]), Some(12)),
            (sparse(64 * M, &[(4096, 4096)]), Some(14)),
        ] {
            let flat = content.size().next_multiple_of(4096);
            assert_eq!(choose(&content, BlockSize::B4096, Width::Narrow, flat), bits, "{content:?}");
        }
    }
}
