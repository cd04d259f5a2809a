//! Checksums, from their descriptions.

use super::u32_at;

/// CRC-32C, bit by bit, without the inversion at the end.
pub(super) fn crc32c(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |register, byte| {
        (0..8).fold(register ^ u32::from(*byte), |register, _| {
            (register >> 1) ^ (0x82f6_3b78 & (register & 1).wrapping_neg())
        })
    })
}

/// xxHash with 32 bits (<https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md>).
pub(super) fn xxh32(bytes: &[u8], seed: u32) -> u32 {
    const P: [u32; 5] = [0x9e37_79b1, 0x85eb_ca77, 0xc2b2_ae3d, 0x27d4_eb2f, 0x1656_67b1];
    let round =
        |lane: u32, word: u32| lane.wrapping_add(word.wrapping_mul(P[1])).rotate_left(13).wrapping_mul(P[0]);
    let mut stripes = bytes.chunks_exact(16);
    let mut hash = seed.wrapping_add(P[4]);
    if bytes.len() >= 16 {
        let mut lanes = [
            seed.wrapping_add(P[0]).wrapping_add(P[1]),
            seed.wrapping_add(P[1]),
            seed,
            seed.wrapping_sub(P[0]),
        ];
        for stripe in stripes.by_ref() {
            for (number, lane) in lanes.iter_mut().enumerate() {
                *lane = round(*lane, u32_at(stripe, number * 4));
            }
        }
        let turned = lanes.iter().zip([1, 7, 12, 18]).map(|(lane, by)| lane.rotate_left(by));
        hash = turned.fold(0, u32::wrapping_add);
    }
    hash = hash.wrapping_add(bytes.len() as u32);
    let mut words = stripes.remainder().chunks_exact(4);
    for word in words.by_ref() {
        hash = hash.wrapping_add(u32_at(word, 0).wrapping_mul(P[2])).rotate_left(17).wrapping_mul(P[3]);
    }
    for byte in words.remainder() {
        hash = hash.wrapping_add(u32::from(*byte).wrapping_mul(P[4])).rotate_left(11).wrapping_mul(P[0]);
    }
    hash = (hash ^ (hash >> 15)).wrapping_mul(P[1]);
    hash = (hash ^ (hash >> 13)).wrapping_mul(P[2]);
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums() {
        assert_eq!(crc32c(b"123456789"), !0xe306_9283);
        // From the specification's own tests.
        for (bytes, seed, hash) in [
            (&b""[..], 0, 0x02cc_5d05),
            (b"a", 0, 0x550d_7456),
            (b"abc", 0, 0x32d1_53ff),
            (b"Nobody inspects the spammish repetition", 0, 0xe229_3b2f),
        ] {
            assert_eq!(xxh32(bytes, seed), hash, "{}", bytes.escape_ascii());
        }
    }
}
