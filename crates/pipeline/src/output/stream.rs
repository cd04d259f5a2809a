//! Writing front to back, into a pipe or a socket.

use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use tree::{Output, Span};

use super::BUFFER;
use crate::spool::Spool;

/// Writes front to back into anything that takes bytes. What is put must be put in order.
pub(crate) struct StreamOutput<'a, W> {
    stream: W,
    spool: &'a Spool,
    position: u64,
    buffer: Vec<u8>,
}

impl<'a, W: Write> StreamOutput<'a, W> {
    /// Writes into `stream`.
    pub(crate) fn new(stream: W, spool: &'a Spool) -> StreamOutput<'a, W> {
        StreamOutput { stream, spool, position: 0, buffer: Vec::new() }
    }

    /// Hands everything on.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.stream.flush()
    }

    /// Writes the zeros that stand between the last bytes and `offset`.
    fn advance(&mut self, offset: u64) -> io::Result<()> {
        let Some(gap) = offset.checked_sub(self.position) else {
            return Err(io::Error::other("this output can only be written front to back"));
        };
        io::copy(&mut io::Read::take(io::repeat(0), gap), &mut self.stream)?;
        self.position = offset;
        Ok(())
    }
}

impl<W: Write> Output for StreamOutput<'_, W> {
    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.advance(offset)?;
        self.position += bytes.len() as u64;
        self.stream.write_all(bytes)
    }

    fn copy(&mut self, offset: u64, span: Span) -> io::Result<()> {
        self.advance(offset)?;
        self.buffer.resize(BUFFER, 0);
        let from = self.spool.file(span.layer)?;
        let (mut at, end) = (span.offset, span.offset + span.length);
        while at < end {
            let count = BUFFER.min(usize::try_from(end - at).unwrap_or(usize::MAX));
            from.read_exact_at(&mut self.buffer[..count], at)?;
            self.stream.write_all(&self.buffer[..count])?;
            at += count as u64;
        }
        self.position += span.length;
        Ok(())
    }
}
