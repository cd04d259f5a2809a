//! The rootfs as it is written: bytes at offsets, and runs of contents that come from somewhere else.
//!
//! A format's writer never sees contents, it only says where they go. What becomes of that is decided here:
//! `copy` takes them from the spool at once, `place` notes where they go, for when the layers are read.

mod copy;
mod place;
mod stream;

use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;

use rustix::fs::{Advice, FallocateFlags};
use rustix::io::Errno;
use tree::{BLOCK, Output, Span};

use crate::event::{Event, Report};

pub(crate) use copy::{copy, copying};
pub(crate) use place::Places;
pub(crate) use stream::StreamOutput;

/// How much a copy through our own memory moves at once, in bytes.
const BUFFER: usize = 1 << 20;

/// Fewer bytes than this, in bytes, are not worth a call to have them written out.
const WRITTEN_OUT_MIN: u64 = 256 << 10;

/// Shorter runs, in bytes, are not worth a call to take room for them.
const RESERVED_MIN: u64 = 1 << 20;

/// Takes room for a run that is about to be written: it costs the filesystem less than to find it block by
/// block.
fn reserve(file: &File, offset: u64, length: u64) -> io::Result<()> {
    if length < RESERVED_MIN {
        return Ok(());
    }
    match rustix::fs::fallocate(file, FallocateFlags::empty(), offset, length) {
        Err(error @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) => Err(error.into()),
        // Else only a saving is lost: not every filesystem can.
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Lets the kernel begin to write a part of the output to the disk. The end of a build waits for that anyway;
/// begun early, it goes on while the rest is being made.
fn write_out(file: &File, offset: u64, length: u64) {
    if let Some(length) = NonZeroU64::new(length).filter(|length| length.get() >= WRITTEN_OUT_MIN) {
        // The name of the advice is of what it does once the bytes are on the disk; these are not yet.
        let _ = rustix::fs::fadvise(file, offset, Some(length), Advice::DontNeed);
    }
}

/// Contents that lie behind one another both in a layer's content space and in the output.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    /// Where they come from.
    pub(crate) source: Span,
    /// Where they go, in bytes.
    pub(crate) offset: u64,
}

/// Writes a file at given offsets, and hands on the runs of contents that go into it.
pub(crate) struct FileOutput<'a> {
    file: &'a File,
    runs: &'a mut dyn FnMut(Run) -> io::Result<()>,
    /// A run that may still grow.
    pending: Option<Run>,
    progress: Progress<'a>,
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
    pub(crate) fn new(
        file: &'a File,
        runs: &'a mut dyn FnMut(Run) -> io::Result<()>,
        total: u64,
        report: Report<'a>,
    ) -> FileOutput<'a> {
        let progress = Progress { report, done: 0, told: 0, total };
        FileOutput { file, runs, pending: None, progress }
    }

    /// Hands on what is still pending. Dropping without it loses bytes.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.progress.total = self.progress.done;
        self.progress.tell();
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let Some(run) = self.pending.take() else { return Ok(()) };
        self.progress.advance(run.source.length);
        (self.runs)(run)
    }
}

impl Output for FileOutput<'_> {
    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if let Some(Run { source, offset: target }) = &self.pending {
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
        if let Some(Run { source, offset: target }) = &mut self.pending {
            // The content space is zero up to the next block, as the output is to be: the gap goes along.
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
        self.pending = Some(Run { source: span, offset });
        Ok(())
    }
}
