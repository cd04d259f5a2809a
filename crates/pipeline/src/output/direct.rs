//! Bringing contents from the spool to the disk past the page cache.
//!
//! Contents that nobody will read again at once need no second place in memory: the pages for it, and the wait at the
//! end until the disk has them all, cost more than to write them.

use std::fs::File;
use std::io;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Scope, ScopedJoinHandle};

use host::{Direct, Splicer};
use tree::{BLOCK, Span};

use super::{Run, copy};
use crate::spool::Spool;

/// How many writes are under way at a time: a disk that is asked for one thing at a time is idle in between.
const WRITERS: usize = 3;

/// How much one of them moves before the spool lets go of it, in bytes.
const STEP: u64 = 8 << 20;

/// Threads that bring runs of contents from the spool past the page cache.
pub(crate) struct Splicing<'scope> {
    queue: Option<SyncSender<Run>>,
    threads: Vec<ScopedJoinHandle<'scope, ()>>,
    failed: Arc<Mutex<Option<io::Error>>>,
}

impl<'scope> Splicing<'scope> {
    /// Starts them, for a file that can be written so.
    pub(crate) fn start<'env: 'scope>(
        scope: &'scope Scope<'scope, 'env>,
        (file, direct): (&'env File, &'env Direct),
        spool: &'env Spool,
    ) -> Splicing<'scope> {
        let (queue, waiting) = mpsc::sync_channel(WRITERS);
        let waiting = Arc::new(Mutex::new(waiting));
        let failed: Arc<Mutex<Option<io::Error>>> = Arc::default();
        let thread = |_| {
            let (waiting, failed) = (Arc::clone(&waiting), Arc::clone(&failed));
            scope.spawn(move || {
                let mut splicer = Splicer::new();
                while let Some(run) = next(&waiting) {
                    if let Err(error) = bring(&mut splicer, (file, direct), spool, run) {
                        lock(&failed).get_or_insert(error);
                    }
                }
            })
        };
        let threads = (0..WRITERS).map(thread).collect();
        Splicing { queue: Some(queue), threads, failed }
    }

    /// Whether a run can go this way: its blocks must lie alike in the spool and in the output.
    pub(crate) fn takes(&self, run: &Run) -> bool {
        run.offset.is_multiple_of(BLOCK) && run.source.offset.is_multiple_of(BLOCK)
    }

    /// Takes the whole blocks of a run, which room was taken for, and leaves the rest.
    pub(crate) fn bring(&self, run: Run) -> io::Result<Run> {
        let whole = run.source.length - run.source.length % BLOCK;
        for at in (0..whole).step_by(STEP as usize) {
            if let Some(error) = lock(&self.failed).take() {
                return Err(error);
            }
            let part = part(&run, at, STEP.min(whole - at));
            // They end only when the queue does.
            self.queue.as_ref().map(|queue| queue.send(part));
        }
        Ok(part(&run, whole, run.source.length - whole))
    }

    /// Waits until all is done.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.queue = None;
        for thread in self.threads.drain(..) {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
        lock(&self.failed).take().map_or(Ok(()), Err)
    }
}

fn part(run: &Run, at: u64, length: u64) -> Run {
    let source = Span { layer: run.source.layer, offset: run.source.offset + at, length };
    Run { source, offset: run.offset + at }
}

fn next(waiting: &Mutex<Receiver<Run>>) -> Option<Run> {
    lock(waiting).recv().ok()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn bring(splicer: &mut Splicer, (file, direct): (&File, &Direct), spool: &Spool, run: Run) -> io::Result<()> {
    let length = run.source.length;
    let done = splicer.splice(spool.find(run.source)?, (direct, run.offset), length)?;
    spool.release(part(&run, 0, done).source);
    // What could not go this way.
    if done < length { copy(file, spool, part(&run, done, length - done)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::Path;

    use host::FileExt;

    use super::super::{Gathering, Places, copying};
    use super::*;

    /// On a disk: the directory for temporary files may be in memory.
    const HERE: &str = env!("CARGO_MANIFEST_DIR");

    /// From, length, to: whole blocks; with a tail; more than a step; to where no block begins; behind one another.
    const RUNS: [(usize, usize, usize); 6] = [
        (0, 1 << 20, 3 << 20),
        (1 << 20, 70_001, 4096),
        (2 << 20, 300_000, 1_049_088),
        (4 << 20, 9_000_123, 8 << 20),
        (14 << 20, 131_072, 18 << 20),
        ((14 << 20) + 131_072, 65_537, (18 << 20) + 131_072),
    ];

    fn pattern(length: usize) -> Vec<u8> {
        (0..length as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
    }

    fn runs() -> Vec<Run> {
        let run = |(from, length, to)| {
            let source = Span { layer: 0, offset: from as u64, length: length as u64 };
            Run { source, offset: to as u64 }
        };
        RUNS.map(run).into()
    }

    fn output() -> File {
        let output = tempfile::tempfile_in(HERE).unwrap();
        output.set_len(24 << 20).unwrap();
        output
    }

    fn check(output: &File, bytes: &[u8]) {
        let mut expected = vec![0; 24 << 20];
        for (from, length, to) in RUNS {
            expected[to..to + length].copy_from_slice(&bytes[from..from + length]);
        }
        let mut found = vec![0; expected.len()];
        output.read_exact_at(&mut found, 0).unwrap();
        assert!(found == expected);
    }

    #[test]
    fn from_the_spool() {
        let bytes = pattern(16 << 20);
        for direct in [true, false] {
            let output = output();
            let direct = if direct { Direct::open(&output) } else { None };
            let spool = Spool::new(1, false);
            spool.create(0, Path::new(HERE)).unwrap().write_at(&bytes, 0).unwrap();
            copying(&output, &spool, direct, |copier| {
                runs().into_iter().try_for_each(|run| copier.bring(run))?;
                copier.finish()
            })
            .unwrap();
            check(&output, &bytes);
        }
    }

    #[test]
    fn from_memory() {
        let bytes = pattern(16 << 20);
        for direct in [true, false] {
            let output = output();
            let direct = if direct { Direct::open(&output) } else { None };
            let places = Places::new(&output, direct, 1, runs()).unwrap();
            let mut gathering = Gathering::new(places.of_layer(0));
            // As they come out of a tarball: in pieces of any length.
            bytes.chunks(77_777).try_for_each(|piece| gathering.write_all(piece)).unwrap();
            gathering.flush().unwrap();
            drop(gathering);
            check(&output, &bytes);
        }
    }
}
