//! Writing to the disk past the page cache.
//!
//! Contents that nobody will read again at once need no second place in memory: the pages for it, and the wait at the
//! end until the disk has them all, cost more than to write them. From the spool they go without any copy, a pipe
//! between, page by page; from memory as they are.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Scope, ScopedJoinHandle};

use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};
use rustix::pipe::{self, PipeFlags, SpliceFlags};
use tree::{BLOCK, Span};

use super::{Run, copy};
use crate::spool::Spool;

/// What `statfs` calls ext4 and its older kin. Others have reflinks, checksums over what lies in memory, or a network
/// behind them: there the page cache is the better way, or has not been measured against this one.
const EXT4: i64 = 0xef53;

/// Where the addresses of bytes must be multiples of this, every disk takes them from there.
const ALIGNMENT: usize = 512;

/// How many writes are under way at a time: a disk that is asked for one thing at a time is idle in between.
const WRITERS: usize = 3;

/// How much one of them moves before the spool lets go of it, in bytes.
const STEP: u64 = 8 << 20;

/// What a pipe holds, in bytes: as much as anybody may have it hold.
const PIPE: usize = 1 << 20;

/// A file to write into without the page cache between.
#[derive(Debug)]
pub(crate) struct Direct(File);

impl Direct {
    /// Opens a file once more. `None` where this way does not pay, or cannot be gone.
    pub(crate) fn open(file: &File) -> Option<Direct> {
        let filesystem = rustix::fs::fstatfs(file).ok()?.f_type;
        if i64::try_from(filesystem) != Ok(EXT4) {
            return None;
        }
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let flags = OFlags::WRONLY | OFlags::DIRECT | OFlags::CLOEXEC;
        rustix::fs::open(path, flags, Mode::empty()).ok().map(|file| Direct(file.into()))
    }

    /// Writes whole blocks from the start of `bytes`, and says how many bytes that were: the rest goes another way.
    pub(crate) fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        if !offset.is_multiple_of(BLOCK) || !bytes.as_ptr().addr().is_multiple_of(ALIGNMENT) {
            return Ok(done);
        }
        let whole = bytes.len() - bytes.len() % BLOCK as usize;
        while done < whole && done.is_multiple_of(BLOCK as usize) {
            match retry_on_intr(|| rustix::io::pwrite(&self.0, &bytes[done..whole], offset + done as u64)) {
                Ok(0) | Err(Errno::INVAL | Errno::OPNOTSUPP) => break,
                Ok(count) => done += count,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(done)
    }
}

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
                let mut splicer = Splicer::new(direct);
                while let Some(run) = next(&waiting) {
                    if let Err(error) = splicer.bring(file, spool, run) {
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

/// One of the threads.
struct Splicer<'a> {
    direct: &'a Direct,
    /// Its two ends; none if there can be none, or if bytes are stuck in it.
    pipe: Option<(OwnedFd, OwnedFd)>,
}

impl Splicer<'_> {
    fn new(direct: &Direct) -> Splicer<'_> {
        Splicer { direct, pipe: pipe().ok() }
    }

    fn bring(&mut self, file: &File, spool: &Spool, run: Run) -> io::Result<()> {
        let done = self.splice(spool.file(run.source.layer)?, &run)?;
        spool.release(part(&run, 0, done).source);
        let rest = part(&run, done, run.source.length - done);
        if rest.source.length > 0 { copy(file, spool, rest) } else { Ok(()) }
    }

    /// Lets the disk have pages of the spool, and says how many bytes that were: the rest cannot go this way.
    fn splice(&mut self, from: &File, run: &Run) -> io::Result<u64> {
        let mut done = 0;
        while done < run.source.length
            && let Some((reading, writing)) = &self.pipe
        {
            let length = (run.source.length - done).min(PIPE as u64) as usize;
            let (mut at, mut offset) = (run.source.offset + done, run.offset + done);
            let taken = splice((from, Some(&mut at)), (writing, None), length)?;
            let (mut left, mut put) = (taken, 1);
            while left > 0 && put > 0 {
                put = splice((reading, None), (&self.direct.0, Some(&mut offset)), left)?;
                left -= put;
            }
            // Whole blocks alone count; what else was on its way goes again.
            done += (taken - left) as u64 / BLOCK * BLOCK;
            if taken == 0 || left > 0 || !taken.is_multiple_of(BLOCK as usize) {
                self.pipe = None;
            }
        }
        Ok(done)
    }
}

fn pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    let made = pipe::pipe_with(PipeFlags::CLOEXEC)?;
    // A smaller one only takes longer.
    let _ = pipe::fcntl_setpipe_size(&made.1, PIPE);
    Ok(made)
}

/// Moves bytes from or into a pipe. None are if the kernel cannot.
fn splice<F: AsFd, T: AsFd>(
    from: (F, Option<&mut u64>),
    to: (T, Option<&mut u64>),
    length: usize,
) -> io::Result<usize> {
    let ((from, mut at), (to, mut offset)) = (from, to);
    let moved = retry_on_intr(|| {
        pipe::splice(&from, at.as_deref_mut(), &to, offset.as_deref_mut(), length, SpliceFlags::empty())
    });
    match moved {
        Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(0),
        moved => Ok(moved?),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::FileExt;
    use std::path::Path;

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

    #[test]
    fn whole_blocks_from_an_address_of_a_block() {
        let output = output();
        // Elsewhere there is nothing to test.
        let Some(direct) = Direct::open(&output) else { return };
        let memory = pattern(5 * BLOCK as usize);
        let start = memory.as_ptr().addr().next_multiple_of(ALIGNMENT) - memory.as_ptr().addr();
        let bytes = &memory[start..start + 3 * BLOCK as usize + 100];
        assert_eq!(direct.write_at(bytes, BLOCK).unwrap(), 3 * BLOCK as usize);
        assert_eq!(direct.write_at(bytes, 512).unwrap(), 0, "the rest of a block would be lost");
        assert_eq!(direct.write_at(&bytes[1..], BLOCK).unwrap(), 0, "no disk takes bytes from there");
        let mut found = vec![0; 3 * BLOCK as usize];
        output.read_exact_at(&mut found, BLOCK).unwrap();
        assert_eq!(found, bytes[..found.len()]);
    }
}
