//! The libraries that compute SHA-256.

use sha2::Digest;

/// Hashes.
type Hash = fn(&[u8]) -> [u8; 32];

/// Each library, by name.
pub(crate) const ALL: &[(&str, Hash)] = &[
    ("ring", ring),
    ("aws-lc", aws_lc),
    ("sha2", |bytes| sha2::Sha256::digest(bytes).into()),
    #[cfg(feature = "openssl")]
    ("openssl", openssl::sha::sha256),
];

fn ring(bytes: &[u8]) -> [u8; 32] {
    let mut sum = [0; 32];
    sum.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref());
    sum
}

fn aws_lc(bytes: &[u8]) -> [u8; 32] {
    let mut sum = [0; 32];
    sum.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref());
    sum
}
