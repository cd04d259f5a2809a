//! The two ends of a copy: from the spool of contents into a file or a stream.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use rustix::io::Errno;
use tree::{BLOCK, Output, Span};

use crate::event::{Event, Report};
use crate::spool::Spool;

/// How much a copy through our own memory moves at once, in bytes.
const BUFFER: usize = 1 << 20;

/// How much one copy inside the kernel moves, in bytes: afterwards the spool lets go of it.
const STEP: usize = 32 << 20;

/// Writes a file at given offsets. Contents are copied inside the kernel, as reflinks where the filesystem
/// has them, and copies that continue each other are made as one.
pub(crate) struct FileOutput<'a> {
    file: &'a File,
    spool: &'a Spool,
    pending: Option<Copy>,
    in_kernel: bool,
    progress: Progress<'a>,
}

/// A copy that may still grow.
struct Copy {
    source: Span,
    offset: u64,
}

/// Tells how far the writing is.
struct Progress<'a> {
    report: Report<'a>,
    done: u64,
    told: u64,
    total: u64,
}

impl Progress<'_> {
    fn advance(&mut self, bytes: u64) {
        self.done += bytes;
        if self.done - self.told >= 16 << 20 {
            self.tell();
        }
    }

    fn tell(&mut self) {
        self.told = self.done;
        (self.report)(Event::Write { done: self.done.min(self.total), total: self.total });
    }
}

impl<'a> FileOutput<'a> {
    /// Writes into `file`; `total` is about how many bytes will come, for the report.
    pub(crate) fn new(file: &'a File, spool: &'a Spool, total: u64, report: Report<'a>) -> FileOutput<'a> {
        let progress = Progress { report, done: 0, told: 0, total };
        FileOutput { file, spool, pending: None, in_kernel: true, progress }
    }

    /// Writes what is still pending. Dropping without it loses bytes.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.progress.total = self.progress.done;
        self.progress.tell();
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let Some(Copy { source, mut offset }) = self.pending.take() else { return Ok(()) };
        self.progress.advance(source.length);
        let from = self.spool.file(source.layer)?;
        let (mut at, end) = (source.offset, source.offset + source.length);
        while self.in_kernel && at < end {
            let length = usize::try_from(end - at).unwrap_or(usize::MAX).min(STEP);
            let (mut source_at, mut target_at) = (at, offset);
            let done = rustix::fs::copy_file_range(
                from,
                Some(&mut source_at),
                self.file,
                Some(&mut target_at),
                length,
            );
            match done {
                Ok(0) => return Err(short()),
                Ok(count) => {
                    self.spool.release(Span { offset: at, length: count as u64, ..source });
                    at += count as u64;
                    offset += count as u64;
                }
                Err(Errno::INTR) => {}
                // Between these two files the kernel cannot: other filesystems, a device, an old kernel.
                Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM) => {
                    self.in_kernel = false;
                }
                Err(error) => return Err(error.into()),
            }
        }
        let mut buffer = vec![0; if at < end { BUFFER } else { 0 }];
        while at < end {
            let count = buffer.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
            from.read_exact_at(&mut buffer[..count], at)?;
            self.file.write_all_at(&buffer[..count], offset)?;
            self.spool.release(Span { offset: at, length: count as u64, ..source });
            at += count as u64;
            offset += count as u64;
        }
        Ok(())
    }
}

impl Output for FileOutput<'_> {
    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if let Some(Copy { source, offset: target }) = &self.pending {
            // In a tarball the next header may stand in what would be the gap.
            let (end, padded) = (target + source.length, target + source.length.next_multiple_of(BLOCK));
            if offset < padded && offset + bytes.len() as u64 > end {
                self.flush()?;
            }
        }
        self.progress.advance(bytes.len() as u64);
        self.file.write_all_at(bytes, offset)
    }

    fn copy(&mut self, offset: u64, span: Span) -> io::Result<()> {
        if let Some(Copy { source, offset: target }) = &mut self.pending {
            // The spool is zero up to the next block, as the output is to be: the gap is copied along.
            let padded = source.length.next_multiple_of(BLOCK);
            let continues = source.layer == span.layer
                && source.offset + padded == span.offset
                && *target + padded == offset;
            if continues {
                source.length = padded + span.length;
                return Ok(());
            }
            self.flush()?;
        }
        self.pending = Some(Copy { source: span, offset });
        Ok(())
    }
}

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

fn short() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the spool is shorter than it was")
}
