//! The bytes of files, which nobody stores. `fuzz` has them, too.

use tree::{Content, Span};

/// The bytes at a place, made up but always the same.
pub(crate) fn bytes_of(span: Span) -> Vec<u8> {
    let start = span.offset % 4096;
    let mut bytes = vec![0; (start + span.length) as usize];
    for (block, chunk) in (span.offset / 4096..).zip(bytes.chunks_mut(4096)) {
        let mut state = (block + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(span.layer);
        for word in chunk.chunks_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes()[..word.len()]);
        }
    }
    bytes.split_off(start as usize)
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
