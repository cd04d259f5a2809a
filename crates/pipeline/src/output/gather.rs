//! Gathering a layer's contents into large writes.

use std::io::{self, Write};

use tree::BLOCK;

use super::BUFFER;

/// Hands on what it is given in pieces of [`BUFFER`] bytes, whose first byte has an address that is a multiple of
/// [`BLOCK`]: so the disk can take them from there.
pub(crate) struct Gathering<W> {
    inner: W,
    memory: Vec<u8>,
    /// Where they begin in the memory.
    start: usize,
    filled: usize,
}

impl<W: Write> Gathering<W> {
    pub(crate) fn new(inner: W) -> Gathering<W> {
        let memory = vec![0; BUFFER + BLOCK as usize];
        let start = memory.as_ptr().addr().next_multiple_of(BLOCK as usize) - memory.as_ptr().addr();
        Gathering { inner, memory, start, filled: 0 }
    }
}

impl<W: Write> Write for Gathering<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(BUFFER - self.filled);
        let end = self.start + self.filled;
        self.memory[end..end + count].copy_from_slice(&bytes[..count]);
        self.filled += count;
        if self.filled == BUFFER {
            self.flush()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.write_all(&self.memory[self.start..self.start + self.filled])?;
        self.filled = 0;
        self.inner.flush()
    }
}
