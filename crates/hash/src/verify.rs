//! Checking bytes against the digest and size that name them.

use std::io::{self, Read};

use crate::{Digest, Hasher};

/// Bytes that are not the ones that were asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// There are fewer bytes than there should be.
    #[error("{digest} has {found} bytes instead of {expected}")]
    Short {
        /// The name of the bytes.
        digest: Digest,
        /// Bytes there should be.
        expected: u64,
        /// Bytes there are.
        found: u64,
    },
    /// There are more bytes than there should be.
    #[error("{digest} has more than {expected} bytes")]
    Long {
        /// The name of the bytes.
        digest: Digest,
        /// Bytes there should be.
        expected: u64,
    },
    /// The bytes have another digest.
    #[error("digest mismatch: expected {expected}, found {found}")]
    Digest {
        /// The digest that was asked for.
        expected: Digest,
        /// The digest of the bytes.
        found: Digest,
    },
}

/// Checks bytes that are in memory. `size` is in bytes; `None` where nobody stated it.
pub fn verify(bytes: &[u8], expected: &Digest, size: Option<u64>) -> Result<(), Mismatch> {
    let mut verifier = Verifier::new(bytes, *expected, size);
    let found = bytes.len() as u64;
    verifier.check_length(found, true)?;
    let found = Digest::of(expected.algorithm(), bytes);
    if found == *expected { Ok(()) } else { Err(Mismatch::Digest { expected: *expected, found }) }
}

/// Reads bytes through, and at their end fails unless they have the expected size and digest. The cause
/// stands in the [`io::Error`] as a [`Mismatch`]. Whoever stops before the end has verified nothing.
pub struct Verifier<R> {
    inner: R,
    expected: Digest,
    size: Option<u64>,
    hasher: Option<Hasher>,
    seen: u64,
}

impl<R> Verifier<R> {
    /// Expects `size` bytes, if it is known, with the digest `expected`.
    pub fn new(inner: R, expected: Digest, size: Option<u64>) -> Verifier<R> {
        Verifier { inner, expected, size, hasher: Some(Hasher::new(expected.algorithm())), seen: 0 }
    }

    /// Takes in bytes that were read elsewhere: the part of a download that an earlier attempt left.
    pub fn feed(&mut self, bytes: &[u8]) {
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
            self.seen += bytes.len() as u64;
        }
    }

    /// Bytes that went through so far.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    fn check_length(&mut self, length: u64, ended: bool) -> Result<(), Mismatch> {
        match self.size {
            Some(expected) if length > expected => Err(Mismatch::Long { digest: self.expected, expected }),
            Some(expected) if ended && length < expected => {
                Err(Mismatch::Short { digest: self.expected, expected, found: length })
            }
            _ => Ok(()),
        }
    }

    fn check_end(&mut self) -> Result<(), Mismatch> {
        self.check_length(self.seen, true)?;
        let Some(hasher) = self.hasher.take() else { return Ok(()) };
        let found = hasher.finish();
        if found == self.expected { Ok(()) } else { Err(Mismatch::Digest { expected: self.expected, found }) }
    }
}

impl<R: Read> Read for Verifier<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = self.inner.read(buffer)?;
        let invalid = |mismatch| io::Error::new(io::ErrorKind::InvalidData, mismatch);
        if count == 0 {
            self.check_end().map_err(invalid)?;
            return Ok(0);
        }
        self.feed(&buffer[..count]);
        self.check_length(self.seen, false).map_err(invalid)?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], digest: Digest, size: Option<u64>) -> Result<Vec<u8>, Mismatch> {
        let mut out = Vec::new();
        match Verifier::new(bytes, digest, size).read_to_end(&mut out) {
            Ok(_) => Ok(out),
            Err(error) => {
                Err(error.into_inner().and_then(|e| e.downcast::<Mismatch>().ok()).map(|e| *e).unwrap())
            }
        }
    }

    #[test]
    fn only_the_right_bytes_come_through() {
        let abc = Digest::sha256(b"abc");
        for size in [None, Some(3)] {
            assert_eq!(read(b"abc", abc, size), Ok(b"abc".to_vec()));
            assert_eq!(verify(b"abc", &abc, size), Ok(()));
        }
        let short = Mismatch::Short { digest: abc, expected: 4, found: 3 };
        assert_eq!(read(b"abc", abc, Some(4)), Err(short.clone()));
        assert_eq!(verify(b"abc", &abc, Some(4)), Err(short));
        let long = Mismatch::Long { digest: abc, expected: 2 };
        assert_eq!(read(b"abc", abc, Some(2)), Err(long.clone()));
        assert_eq!(verify(b"abc", &abc, Some(2)), Err(long));
        let other = Mismatch::Digest { expected: abc, found: Digest::sha256(b"abd") };
        assert_eq!(read(b"abd", abc, Some(3)), Err(other.clone()));
        assert_eq!(verify(b"abd", &abc, None), Err(other));
    }
}
