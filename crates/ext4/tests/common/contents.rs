//! The bytes of files, which nobody stores. `fuzz` has them, too.

use tree::{Content, Span};

/// The bytes at a place, made up but always the same. Those of the lowest layer cannot be compressed, those of others in
/// parts.
pub(crate) fn bytes_of(span: Span) -> Vec<u8> {
    let start = span.offset % 4096;
    let mut bytes = vec![0; (start + span.length) as usize];
    for (block, chunk) in (span.offset / 4096..).zip(bytes.chunks_mut(4096)) {
        let mut state = (block + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(span.layer);
        for word in chunk.chunks_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&plainer(state, block, span.layer).to_le_bytes()[..word.len()]);
        }
    }
    bytes.split_off(start as usize)
}

/// Makes of a random word one as it stands in such a block: other things every few blocks.
fn plainer(random: u64, block: u64, layer: u32) -> u64 {
    let kind = if layer == 0 { 0 } else { (block / 6).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 61 };
    match kind {
        0 | 1 => random,
        // Some words, often the same.
        2 | 3 => (random % 30).wrapping_mul(0x0102_0408_1122_3344),
        // Bytes of which some are more frequent.
        4 => random & 0x0f0f_0303_0101_0707,
        5 => u64::from(random.is_multiple_of(97)) << (random % 59),
        6 => 0,
        _ => u64::from_le_bytes(*b"the end "),
    }
}

/// What a content holds.
pub(crate) fn bytes_in(content: &Content) -> Vec<u8> {
    let mut bytes = vec![0; content.size() as usize];
    if let Content::Inline(inline) = content {
        bytes.copy_from_slice(inline);
    }
    for piece in content.pieces() {
        bytes[piece.at as usize..][..piece.span.length as usize].copy_from_slice(&bytes_of(piece.span));
    }
    bytes
}
