//! Cutting files into chunks where their bytes say so, and so alike where they are alike, wherever that is.

use twox_hash::XxHash3_128;

/// Bytes of a chunk, but for the last one of a file or a job. On average it has 6 KiB.
const CHUNK_MIN: usize = 2 << 10;
pub(super) const CHUNK_MAX: usize = 64 << 10;
/// Bits of the hash of some bytes that must be zero behind a chunk.
const CHUNK_BITS: u32 = 12;
/// Bytes that decide whether a chunk ends.
const WINDOW: usize = 64;

/// Bytes of a file, up to where they themselves say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunk {
    /// Where it begins in the file.
    pub(super) start: u64,
    pub(super) length: u32,
    /// Whether all of it is one byte again and again, of which there is nothing to save.
    pub(super) is_dull: bool,
    pub(super) hash: u64,
}

/// The chunks of some bytes that begin in a file at `start`.
pub(super) fn chunks(mut bytes: &[u8], mut start: u64) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    while !bytes.is_empty() {
        let (chunk, rest) = bytes.split_at(length(bytes));
        chunks.push(Chunk {
            start,
            length: chunk.len() as u32,
            is_dull: chunk.iter().all(|byte| *byte == chunk[0]),
            // Equal hashes are no proof of anything.
            hash: XxHash3_128::oneshot(chunk) as u64,
        });
        (bytes, start) = (rest, start + chunk.len() as u64);
    }
    chunks
}

/// The length of the first chunk: it ends where the hash of the last bytes has zeros, which each byte shifts on.
fn length(bytes: &[u8]) -> usize {
    let end = bytes.len().min(CHUNK_MAX);
    let mut hash = 0u64;
    for (at, byte) in bytes[..end].iter().enumerate().skip(CHUNK_MIN - WINDOW) {
        hash = (hash << 1).wrapping_add(GEAR[usize::from(*byte)]);
        if hash >> (u64::BITS - CHUNK_BITS) == 0 && at >= CHUNK_MIN {
            return at;
        }
    }
    end
}

/// A number for each byte, as different as can be.
const GEAR: [u64; 256] = {
    let (mut gear, mut at, mut state) = ([0; 256], 0, 0u64);
    while at < gear.len() {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        gear[at] = mixed ^ (mixed >> 31);
        at += 1;
    }
    gear
};

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;

    use super::*;

    pub(in super::super) fn noise(length: usize, mut state: u64) -> Vec<u8> {
        let byte = || {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            (state >> 56) as u8
        };
        std::iter::repeat_with(byte).take(length).collect()
    }

    #[test]
    fn chunks_do_not_depend_on_where_they_lie() {
        let bytes = noise(2 << 20, 1);
        let all = chunks(&bytes, 0);
        let hashes: BTreeSet<u64> = all.iter().map(|chunk| chunk.hash).collect();
        assert!((250..450).contains(&all.len()), "{}", all.len());
        let shifted = chunks(&[&noise(77_777, 2), &bytes[..]].concat(), 5);
        let again = shifted.iter().filter(|chunk| hashes.contains(&chunk.hash)).count();
        assert!(again + 10 > all.len(), "{again} of {}", all.len());
        let follows = |pair: &[Chunk]| pair[0].start + u64::from(pair[0].length) == pair[1].start;
        assert!(shifted.windows(2).all(follows));
        let dull = chunks(&[0; 300_000], 0);
        assert!(dull.iter().all(|chunk| chunk.is_dull) && dull.len() == 5);
    }
}
