//! Copying contents from the spool, inside the kernel where it can.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::io::Errno;
use tree::Span;

use super::{BUFFER, Run, write_out};
use crate::spool::Spool;

/// How much one copy inside the kernel moves, in bytes: afterwards the spool lets go of it.
const STEP: usize = 32 << 20;

/// Copies runs of contents into a file: as reflinks where the filesystem has them.
pub(crate) struct Copier<'a> {
    file: &'a File,
    spool: &'a Spool,
    in_kernel: bool,
}

impl<'a> Copier<'a> {
    /// Copies from `spool` into `file`.
    pub(crate) fn new(file: &'a File, spool: &'a Spool) -> Copier<'a> {
        Copier { file, spool, in_kernel: true }
    }

    /// Copies a run to where it goes.
    pub(crate) fn copy(&mut self, run: Run) -> io::Result<()> {
        let Run { source, mut offset } = run;
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
                    write_out(self.file, offset, count as u64);
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
            write_out(self.file, offset, count as u64);
            at += count as u64;
            offset += count as u64;
        }
        Ok(())
    }
}

fn short() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the spool is shorter than it was")
}
