//! Writing front to back, into a pipe or a socket.

use std::io::{self, Write};

use host::FileExt;
use tree::{Output, Span};

use super::{BUFFER, Progress};
use crate::event::Report;
use crate::spool::Spool;

/// Writes front to back into anything that takes bytes. What is put must be put in order.
pub(crate) struct StreamOutput<'a, W> {
    stream: W,
    spool: &'a Spool,
    position: u64,
    buffer: Vec<u8>,
    progress: Option<Progress<'a>>,
}

impl<'a, W: Write> StreamOutput<'a, W> {
    /// Writes into `stream`.
    pub(crate) fn new(stream: W, spool: &'a Spool) -> StreamOutput<'a, W> {
        StreamOutput { stream, spool, position: 0, buffer: Vec::new(), progress: None }
    }

    /// Reports how far it is; `total` is about how many bytes will come.
    pub(crate) fn telling(mut self, (total, report): (u64, Report<'a>)) -> StreamOutput<'a, W> {
        self.progress = Some(Progress { report, done: 0, told: 0, total });
        self
    }

    /// Hands everything on.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        if let Some(progress) = &mut self.progress {
            progress.tell();
        }
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
        let (from, mut at) = self.spool.find(span)?;
        let end = at + span.length;
        while at < end {
            let count = BUFFER.min(usize::try_from(end - at).unwrap_or(usize::MAX));
            from.read_exact_at(&mut self.buffer[..count], at)?;
            self.stream.write_all(&self.buffer[..count])?;
            at += count as u64;
            if let Some(progress) = &mut self.progress {
                progress.advance(count as u64);
            }
        }
        self.position += span.length;
        Ok(())
    }
}
