//! Bytes on their way into a file, hashed beside being written.

use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use hash::Hasher;
use host::FileExt;

/// Bytes that are read, hashed and written at once.
pub(crate) const CHUNK: usize = 1 << 20;
/// Chunks that may wait to be hashed.
const QUEUE: usize = 3;

/// Why a stream ended early. What was written until then is right.
pub(crate) enum Broken {
    /// The source failed.
    Read(io::Error),
    /// The destination failed.
    Write(io::Error),
    /// There is more than there should be.
    Long,
    /// The caller did not want to go on.
    Cancelled,
}

/// What is known of a stream while it flows.
pub(crate) struct Flow<'a> {
    pub(crate) hasher: Hasher,
    /// Bytes that went through, those of an earlier attempt included.
    pub(crate) done: u64,
    /// Bytes that there should be.
    pub(crate) size: u64,
    /// Is told about `done`, and may stop everything.
    pub(crate) progress: &'a dyn Fn(u64) -> ControlFlow<()>,
}

impl Flow<'_> {
    /// Reads `source` to its end. Every byte is hashed, and written to `into` if there is such a file.
    pub(crate) fn run(mut self, source: &mut dyn Read, into: Option<&File>) -> Result<Self, Broken> {
        if self.size - self.done.min(self.size) <= CHUNK as u64 {
            // Too little to be worth a thread.
            let mut buffer = vec![0; CHUNK];
            loop {
                let (count, ended) = self.step(source, into, &mut buffer)?;
                self.hasher.update(&buffer[..count]);
                if ended {
                    return Ok(self);
                }
            }
        }
        let (to_hash, chunks) = sync_channel::<(Vec<u8>, usize)>(QUEUE);
        let (give_back, free) = sync_channel::<Vec<u8>>(QUEUE + 2);
        let hasher = self.hasher.clone();
        thread::scope(|scope| {
            let hashing = scope.spawn(move || hash(hasher, &chunks, &give_back));
            let read = self.read_all(source, into, &free, &to_hash);
            drop(to_hash);
            self.hasher = hashing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            read
        })?;
        Ok(self)
    }

    fn read_all(
        &mut self,
        source: &mut dyn Read,
        into: Option<&File>,
        free: &Receiver<Vec<u8>>,
        to_hash: &SyncSender<(Vec<u8>, usize)>,
    ) -> Result<(), Broken> {
        loop {
            let mut buffer = free.try_recv().unwrap_or_else(|_| vec![0; CHUNK]);
            let (count, ended) = self.step(source, into, &mut buffer)?;
            // The hashing thread takes everything until we hang up.
            let _ = to_hash.send((buffer, count));
            if ended {
                return Ok(());
            }
        }
    }

    /// Reads one chunk and writes it. Gives its length, and whether it was the last.
    fn step(
        &mut self,
        source: &mut dyn Read,
        into: Option<&File>,
        buffer: &mut [u8],
    ) -> Result<(usize, bool), Broken> {
        let (count, end) = self.fill(source, buffer);
        // Also what came before an error is worth keeping: the next attempt goes on behind it.
        if let Some(mut into) = into {
            into.write_all(&buffer[..count]).map_err(Broken::Write)?;
        }
        Ok((count, end?))
    }

    /// Reads until the buffer is full or the source ends, which is then said.
    fn fill(&mut self, source: &mut dyn Read, buffer: &mut [u8]) -> (usize, Result<bool, Broken>) {
        let mut count = 0;
        while count < buffer.len() {
            if (self.progress)(self.done).is_break() {
                return (count, Err(Broken::Cancelled));
            }
            match source.read(&mut buffer[count..]) {
                Ok(0) => return (count, Ok(true)),
                Ok(more) => {
                    count += more;
                    self.done += more as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (count, Err(Broken::Read(error))),
            }
            if self.done > self.size {
                return (count, Err(Broken::Long));
            }
        }
        (count, Ok(false))
    }
}

fn hash(mut hasher: Hasher, chunks: &Receiver<(Vec<u8>, usize)>, give_back: &SyncSender<Vec<u8>>) -> Hasher {
    while let Ok((buffer, count)) = chunks.recv() {
        hasher.update(&buffer[..count]);
        let _ = give_back.try_send(buffer);
    }
    hasher
}

/// Reads a part of a file without moving anybody's position in it.
pub(crate) struct Range<'a> {
    pub(crate) file: &'a File,
    pub(crate) position: u64,
    pub(crate) end: u64,
}

impl Read for Range<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.end - self.position).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read_at(&mut buffer[..room], self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}
