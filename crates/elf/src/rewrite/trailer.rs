//! The end of a rewritten file, by which the runner finds the trampoline.

use super::detour::{PAGE, Trampoline};

const MAGIC: &[u8; 8] = b"LITEBOX0";

/// Magic, then the trampoline's offset in the file, address and size, each a little-endian u64.
const SIZE: usize = 32;

/// What comes behind a file of `length` bytes.
pub(super) fn append(length: usize, trampoline: &Trampoline) -> Vec<u8> {
    let offset = length.next_multiple_of(PAGE);
    let mut appended = vec![0; offset - length];
    appended.extend_from_slice(&trampoline.bytes);
    appended.extend_from_slice(MAGIC);
    for number in [offset as u64, trampoline.address, trampoline.bytes.len() as u64] {
        appended.extend_from_slice(&number.to_le_bytes());
    }
    appended
}

/// Whether a file ends in a trailer that the runner takes.
pub(super) fn is_there(bytes: &[u8]) -> bool {
    let Some((before, trailer)) = bytes.split_last_chunk::<SIZE>() else { return false };
    let number = |at: usize| trailer[at..].first_chunk().map_or(0, |eight| u64::from_le_bytes(*eight));
    let [offset, address, size] = [number(8), number(16), number(24)];
    trailer.starts_with(MAGIC)
        && size > 0
        && offset % PAGE as u64 == 0
        && address % PAGE as u64 == 0
        && offset.checked_add(size) == Some(before.len() as u64)
}
