//! Going through a rootfs once, on all processors: reading it, summing it up, and writing it elsewhere, holes kept.

use std::fs::File;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use host::{FileExt, is_hole};

use super::file::{CHUNK, checksum};
use crate::event::{Event, Report};
use crate::output::{sparse, write_out};

/// Progress is told after so many bytes.
const TOLD: u64 = 16 << 20;

/// One way through a rootfs.
pub(super) struct Pass<'a> {
    /// The rootfs, from the start of the file.
    pub(super) from: &'a File,
    /// Where it is written, if it is. All zeros as far as it was not written.
    pub(super) into: Option<&'a File>,
    /// Whether the disk is to begin with what was written, since somebody will wait for it.
    pub(super) flushed: bool,
    /// Its bytes.
    pub(super) size: u64,
    pub(super) report: Report<'a>,
}

/// Why a pass ended early.
#[derive(Debug)]
pub(super) enum Fault {
    Read(io::Error),
    Write(io::Error),
    /// A checksum is another one.
    Differs,
}

impl Pass<'_> {
    /// Gives the checksums of all chunks.
    pub(super) fn sum_up(&self) -> io::Result<Vec<u128>> {
        let checksums = Mutex::new(vec![0; self.size.div_ceil(CHUNK) as usize]);
        let seen = |number: u64, found: u128| {
            if let Ok(mut checksums) = checksums.lock() {
                checksums[number as usize] = found;
            }
            true
        };
        match self.run(&seen) {
            Ok(()) | Err(Fault::Differs) => Ok(checksums.into_inner().unwrap_or_default()),
            Err(Fault::Read(error) | Fault::Write(error)) => Err(error),
        }
    }

    /// Compares all chunks with their checksums. None that differs is written.
    pub(super) fn compare(&self, checksums: &[u128]) -> Result<(), Fault> {
        self.run(&|number, found| checksums.get(number as usize) == Some(&found))
    }

    /// Shows the checksum of each chunk, in any order, to `seen`, which says whether it is right.
    fn run(&self, seen: &(dyn Fn(u64, u128) -> bool + Sync)) -> Result<(), Fault> {
        let chunks = self.size.div_ceil(CHUNK);
        // A filesystem is known by its first bytes: on a device, which is written in place, they come last.
        let (next, stop, done) = (AtomicU64::new(1), AtomicBool::new(false), AtomicU64::new(0));
        let writing = Mutex::new(());
        let worker = || Worker { pass: self, buffer: vec![0; CHUNK as usize], hole: None, writing: &writing };
        let work = || {
            let mut worker = worker();
            let mut outcome = Ok(());
            while outcome.is_ok() && !stop.load(Ordering::Relaxed) {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= chunks {
                    break;
                }
                outcome = worker.chunk(number, seen);
                let before = done.fetch_add(CHUNK, Ordering::Relaxed);
                if before / TOLD != (before + CHUNK) / TOLD {
                    (self.report)(Event::Write { done: before + CHUNK, total: self.size });
                }
            }
            if outcome.is_err() {
                stop.store(true, Ordering::Relaxed);
            }
            outcome
        };
        let threads = thread::available_parallelism().map_or(1, |n| n.get() as u64).min(chunks);
        thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let own = work();
            let broken = || Err(Fault::Read(io::Error::other("a thread ended early")));
            others.into_iter().map(|other| other.join().unwrap_or_else(|_| broken())).fold(own, Result::and)
        })?;
        if chunks > 0 {
            worker().chunk(0, seen)?;
        }
        (self.report)(Event::Write { done: self.size, total: self.size });
        Ok(())
    }
}

/// What one thread has.
struct Worker<'a> {
    pass: &'a Pass<'a>,
    buffer: Vec<u8>,
    /// The checksum of a whole chunk of zeros, once it was needed.
    hole: Option<u128>,
    /// Held while something is written: a file lets one thread in at a time, and those that wait there spin.
    writing: &'a Mutex<()>,
}

impl Worker<'_> {
    fn chunk(&mut self, number: u64, seen: &(dyn Fn(u64, u128) -> bool + Sync)) -> Result<(), Fault> {
        let Pass { from, into, flushed, size, .. } = *self.pass;
        let offset = number * CHUNK;
        let length = (size - offset).min(CHUNK);
        let bytes = &mut self.buffer[..length as usize];
        if is_hole(from, offset, length) {
            let sum = |bytes: &mut [u8]| {
                bytes.fill(0);
                checksum(bytes)
            };
            let found =
                if length == CHUNK { *self.hole.get_or_insert_with(|| sum(bytes)) } else { sum(bytes) };
            return if seen(number, found) { Ok(()) } else { Err(Fault::Differs) };
        }
        from.read_exact_at(bytes, offset).map_err(Fault::Read)?;
        if !seen(number, checksum(bytes)) {
            return Err(Fault::Differs);
        }
        if let Some(into) = into {
            let _alone = self.writing.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            sparse::write_at(into, bytes, offset).map_err(Fault::Write)?;
            if flushed {
                write_out(into, offset, length);
            }
        }
        Ok(())
    }
}
