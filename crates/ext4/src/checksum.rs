//! Checksums over metadata, and where each starts from.
//!
//! All are crc32c (Castagnoli, reflected) as the kernel's `ext4_chksum` takes it: the raw register, without the
//! inversion at both ends that the usual crc32c has.

/// Continues `register` over `bytes`.
pub(crate) fn crc32c(register: u32, bytes: &[u8]) -> u32 {
    !crc32c::crc32c_append(!register, bytes)
}

/// The start of every checksum of a filesystem (`s_csum_seed`); kept in the superblock with the feature
/// metadata_csum_seed, so that the UUID can change later.
pub(crate) fn seed(uuid: &[u8; 16]) -> u32 {
    crc32c(!0, uuid)
}

/// The start of the checksums of one inode and of its blocks (`i_csum_seed`). What is written here has generation 0.
pub(crate) fn inode_seed(seed: u32, ino: u32, generation: u32) -> u32 {
    crc32c(crc32c(seed, &ino.to_le_bytes()), &generation.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn register_is_raw() {
        // The check value of CRC-32C over "123456789" is 0xe3069283, with both inversions.
        assert_eq!(!crc32c(!0, b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(crc32c(!0, b"1234"), b"56789"), crc32c(!0, b"123456789"));
        assert_eq!(crc32c(7, b""), 7);
    }
}
