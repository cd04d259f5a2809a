//! The hash of a name in a hashed directory: half MD4, names as signed bytes (`fs/ext4/hash.c`).

/// A name's place in the order of a hashed directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NameHash {
    /// What the index knows; its lowest bit is always 0.
    pub(crate) major: u32,
    /// Decides among equals.
    pub(crate) minor: u32,
}

/// Hashes `name`. A seed of zeros means MD4's own start values.
pub(crate) fn half_md4(name: &[u8], seed: &[u8; 16]) -> NameHash {
    let mut state = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    if seed.iter().any(|&b| b != 0) {
        for (word, bytes) in state.iter_mut().zip(seed.chunks_exact(4)) {
            *word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
    }
    let mut rest = name;
    while !rest.is_empty() {
        transform(&mut state, &words(rest));
        rest = &rest[rest.len().min(32)..];
    }
    // 0x7fffffff << 1 marks the end of a directory to readers (EXT4_HTREE_EOF_32BIT).
    let major = match state[1] & !1 {
        0xffff_fffe => 0xffff_fffc,
        hash => hash,
    };
    NameHash { major, minor: state[2] }
}

/// Packs up to 32 bytes of a name into eight words, padded with the length of what is left of the name
/// (`str2hashbuf_signed`).
fn words(rest: &[u8]) -> [u32; 8] {
    let pad = rest.len() as u32 | ((rest.len() as u32) << 8);
    let pad = pad | (pad << 16);
    let mut words = [pad; 8];
    for (word, bytes) in words.iter_mut().zip(rest[..rest.len().min(32)].chunks(4)) {
        for &byte in bytes {
            *word = (byte as i8 as u32).wrapping_add(*word << 8);
        }
    }
    words
}

/// Three rounds of MD4 with eight steps each (`half_md4_transform`).
fn transform(state: &mut [u32; 4], words: &[u32; 8]) {
    type Mix = fn(u32, u32, u32) -> u32;
    let rounds: [(Mix, u32, [usize; 8], [u32; 4]); 3] = [
        (|x, y, z| z ^ (x & (y ^ z)), 0, [0, 1, 2, 3, 4, 5, 6, 7], [3, 7, 11, 19]),
        (|x, y, z| (x & y).wrapping_add((x ^ y) & z), 0x5a82_7999, [1, 3, 5, 7, 0, 2, 4, 6], [3, 5, 9, 13]),
        (|x, y, z| x ^ y ^ z, 0x6ed9_eba1, [3, 7, 2, 6, 1, 5, 0, 4], [3, 9, 11, 15]),
    ];
    let [mut a, mut b, mut c, mut d] = *state;
    for (mix, constant, order, shifts) in rounds {
        for (step, &word) in order.iter().enumerate() {
            let sum = a.wrapping_add(mix(b, c, d)).wrapping_add(words[word]).wrapping_add(constant);
            (a, b, c, d) = (d, sum.rotate_left(shifts[step % 4]), b, c);
        }
    }
    for (word, value) in state.iter_mut().zip([a, b, c, d]) {
        *word = word.wrapping_add(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `debugfs -R 'dx_hash -h half_md4 [-s SEED] NAME'` of e2fsprogs 1.47 says.
    #[test]
    fn agrees_with_debugfs() {
        let seed = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
        let long = "a longer name that takes two rounds of 32 bytes";
        for (name, seed, major, minor) in [
            ("a", [0; 16], 0xd5fa_7d7a, 0xacb4_8187),
            ("a", seed, 0x8d08_ec4c, 0x2fbc_cd78),
            ("bcd", [0; 16], 0x7cc5_7af4, 0x9d44_40f0),
            ("bcd", seed, 0xeab2_f4d4, 0x43ad_2b5f),
            (long, [0; 16], 0x68f7_fef4, 0xfbaf_ceed),
            (long, seed, 0xc15a_cca2, 0x2d2b_6916),
            ("\u{f6}", [0; 16], 0x5cd2_1abc, 0x0ff2_d151),
        ] {
            assert_eq!(half_md4(name.as_bytes(), &seed), NameHash { major, minor }, "{name}");
        }
    }
}
