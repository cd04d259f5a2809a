//! Copying contents from the spool, inside the kernel where it can.

use std::fs::File;
use std::io;
use std::sync::mpsc;
use std::thread;

use host::{Direct, FileExt};
use tree::Span;

use super::direct::Splicing;
use super::{BUFFER, Bring, GATHERED_MAX, Run, reserve, write_out};
use crate::spool::Spool;

/// How much one copy inside the kernel moves, in bytes: afterwards the spool lets go of it.
const STEP: usize = 8 << 20;

/// Lends `work` a way to copy runs of contents from `spool` into `file`, past the page cache where that can be. A second
/// thread tidies up behind it.
pub(crate) fn copying<T>(
    file: &File,
    spool: &Spool,
    direct: Option<Direct>,
    work: impl FnOnce(&mut dyn Bring) -> T,
) -> T {
    thread::scope(|scope| {
        let (copied, behind) = mpsc::channel();
        scope.spawn(move || behind.into_iter().for_each(|run| tidy_up(file, spool, run)));
        let splicing = direct.as_ref().map(|direct| Splicing::start(scope, (file, direct), spool));
        // The other end is gone only when this one is.
        let copied = |run| copied.send(run).unwrap_or_default();
        work(&mut Copier { file, spool, splicing, in_kernel: true, copied: &copied })
    })
}

/// Copies a single run.
pub(crate) fn copy(file: &File, spool: &Spool, run: Run) -> io::Result<()> {
    reserve(file, run.offset, run.source.length)?;
    let copied = |run| tidy_up(file, spool, run);
    Copier { file, spool, splicing: None, in_kernel: true, copied: &copied }.copy(run)
}

fn tidy_up(file: &File, spool: &Spool, copied: Run) {
    spool.release(copied.source);
    write_out(file, copied.offset, copied.source.length);
}

/// Copies runs as reflinks where the filesystem has them.
struct Copier<'a> {
    file: &'a File,
    spool: &'a Spool,
    splicing: Option<Splicing<'a>>,
    in_kernel: bool,
    /// Is told of each part that was copied.
    copied: &'a dyn Fn(Run),
}

impl Bring for Copier<'_> {
    fn bring(&mut self, run: Run) -> io::Result<()> {
        reserve(self.file, run.offset, run.source.length)?;
        match &self.splicing {
            Some(splicing) if splicing.takes(&run) => {
                let rest = splicing.bring(run)?;
                self.copy(rest)
            }
            _ => self.copy(run),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.splicing.as_mut().map_or(Ok(()), Splicing::finish)
    }

    /// A call into the kernel for each costs more than to copy them twice.
    fn gathers(&self, length: u64, _joins: bool) -> bool {
        length < GATHERED_MAX as u64
    }

    fn gather(&mut self, run: Run, bytes: &mut Vec<u8>) -> io::Result<()> {
        let start = bytes.len();
        bytes.resize(start + run.source.length as usize, 0);
        let (from, at) = self.spool.find(run.source)?;
        from.read_exact_at(&mut bytes[start..], at)
    }
}

impl Copier<'_> {
    /// Copies a run to where it goes.
    fn copy(&mut self, mut left: Run) -> io::Result<()> {
        while self.in_kernel && left.source.length > 0 {
            let length = usize::try_from(left.source.length).unwrap_or(usize::MAX).min(STEP);
            let from = self.spool.find(left.source)?;
            match host::copy_in_kernel(from, (self.file, left.offset), length)? {
                Some(0) => return Err(short()),
                Some(count) => self.done(&mut left, count),
                None => self.in_kernel = false,
            }
        }
        let mut buffer = vec![0; if left.source.length > 0 { BUFFER } else { 0 }];
        while left.source.length > 0 {
            let count = buffer.len().min(usize::try_from(left.source.length).unwrap_or(usize::MAX));
            let (from, at) = self.spool.find(left.source)?;
            from.read_exact_at(&mut buffer[..count], at)?;
            self.file.write_all_at(&buffer[..count], left.offset)?;
            self.done(&mut left, count);
        }
        Ok(())
    }

    /// Tells of the first bytes of a run, and leaves the others.
    fn done(&self, left: &mut Run, count: usize) {
        let length = count as u64;
        (self.copied)(Run { source: Span { length, ..left.source }, ..*left });
        left.source.offset += length;
        left.source.length -= length;
        left.offset += length;
    }
}

fn short() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the spool is shorter than it was")
}
