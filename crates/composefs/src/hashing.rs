//! What goes by is hashed.

use std::io::{self, Write};

use hash::{Algorithm, Digest, Hasher};

/// Hashes and counts what is written.
pub(crate) struct Hashing<W> {
    out: W,
    hasher: Hasher,
    /// Bytes so far.
    pub(crate) size: u64,
}

impl<W: Write> Hashing<W> {
    pub(crate) fn new(algorithm: Algorithm, out: W) -> Hashing<W> {
        Hashing { out, hasher: Hasher::new(algorithm), size: 0 }
    }

    /// The digest of all that was written.
    pub(crate) fn digest(self) -> Digest {
        self.hasher.finish()
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
