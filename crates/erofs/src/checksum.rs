//! Checksums over metadata.

use twox_hash::XxHash32;

use crate::format::XATTR_FILTER_SEED;

/// Of a superblock: crc32c (Castagnoli, reflected) as a raw register from ~0, without the inversion at the end
/// that the usual crc32c has (`erofs_superblock_csum_verify`).
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    !crc32c::crc32c(bytes)
}

/// The bit that stands for an attribute's name, behind its prefix, in a filter of names
/// (`erofs_getxattr`, Linux 6.6).
pub(crate) fn filter_bit(index: u8, name: &[u8]) -> u32 {
    1 << (XxHash32::oneshot(XATTR_FILTER_SEED + u32::from(index), name) & 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn register_is_raw() {
        // The check value of CRC-32C over "123456789" is 0xe3069283, with both inversions.
        assert_eq!(crc32c(b"123456789"), !0xe306_9283);
    }
}
