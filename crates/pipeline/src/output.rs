//! The rootfs as it is written: bytes at offsets, and runs of contents that come from somewhere else.
//!
//! A format's writer never sees contents, it only says where they go. What becomes of that is decided here:
//! `copy` takes them from the spool at once, `place` notes where they go, for when the layers are read. Where it pays
//! either goes past the page cache (`direct`).

mod copy;
mod direct;
mod fill;
mod gather;
mod place;
pub(crate) mod sparse;
mod stream;

use std::fs::File;
use std::io;
use std::num::NonZeroU64;

use host::FileExt;
use tree::{BLOCK, Output, Span};

use crate::event::{Event, Report};

pub(crate) use copy::{copy, copying};
pub(crate) use fill::fill;
pub(crate) use gather::Gathering;
pub(crate) use place::Places;
pub(crate) use stream::StreamOutput;

/// How much a copy through our own memory moves at once, in bytes.
pub(crate) const BUFFER: usize = 1 << 20;

/// Fewer bytes than this, in bytes, are not worth a call to have them written out.
const WRITTEN_OUT_MIN: u64 = 256 << 10;

/// Fewer bytes than this are gathered before they are written.
const GATHERED_MAX: usize = 64 << 10;

/// Shorter runs, in bytes, are not worth a call to take room for them.
const RESERVED_MIN: u64 = 1 << 20;

/// Takes room for a run that is about to be written: it costs the filesystem less than to find it block by
/// block.
fn reserve(file: &File, offset: u64, length: u64) -> io::Result<()> {
    if length < RESERVED_MIN {
        return Ok(());
    }
    host::reserve(file, offset, length)
}

/// Lets the kernel begin to write a part of the output to the disk. The end of a build waits for that anyway;
/// begun early, it goes on while the rest is being made.
pub(crate) fn write_out(file: &File, offset: u64, length: u64) {
    if let Some(length) = NonZeroU64::new(length).filter(|length| length.get() >= WRITTEN_OUT_MIN) {
        host::write_out(file, offset, length);
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

/// What becomes of runs.
pub(crate) trait Bring {
    /// Brings a run to its place, now or later.
    fn bring(&mut self, run: Run) -> io::Result<()>;

    /// Whether a run of so many bytes, which `joins` bytes that wait to be written, had better be written with them.
    fn gathers(&self, length: u64, joins: bool) -> bool;

    /// Appends to these what is to be written in a run's place now.
    fn gather(&mut self, run: Run, bytes: &mut Vec<u8>) -> io::Result<()>;

    /// Waits for what is still under way.
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Notes the runs, for when the layers are read.
impl Bring for Vec<Run> {
    fn bring(&mut self, run: Run) -> io::Result<()> {
        self.push(run);
        Ok(())
    }

    /// Amid other bytes zeros cost less than to begin anew behind them.
    fn gathers(&self, length: u64, joins: bool) -> bool {
        joins && length < BLOCK
    }

    fn gather(&mut self, run: Run, bytes: &mut Vec<u8>) -> io::Result<()> {
        self.push(run);
        bytes.resize(bytes.len() + run.source.length as usize, 0);
        Ok(())
    }
}

/// Contents are where they go already.
pub(crate) struct Settled;

impl Bring for Settled {
    fn bring(&mut self, _: Run) -> io::Result<()> {
        Ok(())
    }

    fn gathers(&self, _: u64, _: bool) -> bool {
        false
    }

    fn gather(&mut self, _: Run, _: &mut Vec<u8>) -> io::Result<()> {
        Ok(())
    }
}

/// Writes a file at given offsets, and hands on the runs of contents that go into it.
pub(crate) struct FileOutput<'a> {
    file: &'a File,
    /// Where in the file the output begins.
    start: u64,
    runs: &'a mut dyn Bring,
    /// A run that may still grow.
    pending: Option<Run>,
    /// Bytes that wait for others to be written with, and where they go.
    gathered: Vec<u8>,
    gathered_at: u64,
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
        runs: &'a mut dyn Bring,
        total: u64,
        report: Report<'a>,
    ) -> FileOutput<'a> {
        let progress = Progress { report, done: 0, told: 0, total };
        FileOutput { file, start: 0, runs, pending: None, gathered: Vec::new(), gathered_at: 0, progress }
    }

    /// The output begins at this place of the file, where a block does.
    pub(crate) fn starting_at(mut self, start: u64) -> FileOutput<'a> {
        self.start = start;
        self
    }

    /// So many bytes are written already, for the report.
    pub(crate) fn after(mut self, done: u64) -> FileOutput<'a> {
        self.progress.done = done;
        self
    }

    /// Hands on what is still pending. Dropping without it loses bytes.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        // What a device says of itself, which a writer puts last, is not to be true before the contents are there.
        self.runs.finish()?;
        self.flush_gathered()?;
        self.progress.total = self.progress.done;
        self.progress.tell();
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let Some(run) = self.pending.take() else { return Ok(()) };
        let length = run.source.length;
        self.progress.advance(length);
        let joins = self.joins(run.offset);
        if !self.runs.gathers(length, joins) {
            return self.runs.bring(run);
        }
        if !joins || self.gathered.len() as u64 + length > BUFFER as u64 {
            self.flush_gathered()?;
            self.gathered_at = run.offset;
        }
        self.runs.gather(run, &mut self.gathered)
    }

    /// Whether bytes wait that end where others begin.
    fn joins(&self, offset: u64) -> bool {
        !self.gathered.is_empty() && self.gathered_at + self.gathered.len() as u64 == offset
    }

    fn flush_gathered(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.gathered, self.gathered_at)?;
        write_out(self.file, self.gathered_at, self.gathered.len() as u64);
        self.gathered.clear();
        Ok(())
    }
}

impl Output for FileOutput<'_> {
    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = self.start + offset;
        if let Some(Run { source, offset: target }) = &self.pending {
            // In a tarball the next header may stand in what would be the gap; in EROFS the next inode.
            let (end, padded) = (target + source.length, target + source.length.next_multiple_of(BLOCK));
            if offset < padded && offset + bytes.len() as u64 > end {
                self.flush()?;
            }
        }
        self.progress.advance(bytes.len() as u64);
        if !self.joins(offset) || self.gathered.len() + bytes.len() > BUFFER {
            self.flush_gathered()?;
            self.gathered_at = offset;
        }
        if bytes.len() >= GATHERED_MAX {
            self.flush_gathered()?;
            return self.file.write_all_at(bytes, offset);
        }
        self.gathered.extend_from_slice(bytes);
        Ok(())
    }

    fn copy(&mut self, offset: u64, span: Span) -> io::Result<()> {
        let offset = self.start + offset;
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
