//! Handing bytes from one thread to others, in chunks that are used again.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

/// Bytes in a chunk: large enough that handing over costs nothing, small enough to stay in the cache.
const CHUNK: usize = 256 << 10;

/// Chunks that may wait in front of a slow reader; with [`CHUNK`] this bounds the memory of a pipe.
const QUEUE: usize = 8;

/// Bytes on their way; shared by all who read them, and used again after the last.
pub(crate) struct Chunk {
    bytes: Vec<u8>,
    length: usize,
    pool: Arc<Pool>,
}

#[derive(Default)]
struct Pool(Mutex<Vec<Vec<u8>>>);

impl std::ops::Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        if let Ok(mut free) = self.pool.0.lock() {
            free.push(std::mem::take(&mut self.bytes));
        }
    }
}

type Item = io::Result<Arc<Chunk>>;

/// Reads a stream into chunks and sends each to several pipes.
pub(crate) struct Sender {
    pool: Arc<Pool>,
    targets: Vec<SyncSender<Item>>,
}

impl Sender {
    /// A sender and the readers of as many pipes as asked for.
    pub(crate) fn with_readers<const N: usize>() -> (Sender, [Reader; N]) {
        let mut sender = Sender { pool: Arc::default(), targets: Vec::new() };
        let readers = [(); N].map(|()| sender.reader());
        (sender, readers)
    }

    /// The reader of one more pipe.
    pub(crate) fn reader(&mut self) -> Reader {
        let (target, receiver) = sync_channel(QUEUE);
        self.targets.push(target);
        Reader { receiver, chunk: None, position: 0, failed: false }
    }

    /// Sends all that `source` gives; an error is sent on as well. Gives up once a reader has left, and says
    /// whether the source was read to its end.
    pub(crate) fn send_all(self, mut source: impl Read, mut seen: impl FnMut(&[u8])) -> io::Result<bool> {
        loop {
            let recycled = self.pool.0.lock().ok().and_then(|mut free| free.pop());
            let mut bytes = recycled.unwrap_or_else(|| vec![0; CHUNK]);
            let length = match fill(&mut source, &mut bytes) {
                Ok(length) => length,
                Err(error) => {
                    // The kind travels to the readers, the cause to whoever joins this thread.
                    for target in &self.targets {
                        let _ = target.send(Err(io::Error::from(error.kind())));
                    }
                    return Err(error);
                }
            };
            if length == 0 {
                return Ok(true);
            }
            let chunk = Chunk { bytes, length, pool: Arc::clone(&self.pool) };
            seen(&chunk);
            let chunk = Arc::new(chunk);
            for target in &self.targets {
                if target.send(Ok(Arc::clone(&chunk))).is_err() {
                    return Ok(false);
                }
            }
        }
    }
}

/// Reads until the buffer is full or the source ends.
fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match source.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// The end of a pipe at which bytes come out.
pub(crate) struct Reader {
    receiver: Receiver<Item>,
    chunk: Option<Arc<Chunk>>,
    position: usize,
    failed: bool,
}

impl Reader {
    /// The next chunk, whole; `None` at the end or after an error.
    pub(crate) fn chunk(&mut self) -> Option<Arc<Chunk>> {
        self.receiver.recv().ok()?.ok()
    }
}

impl BufRead for Reader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let exhausted = self.chunk.as_ref().is_none_or(|chunk| self.position == chunk.len());
        if exhausted && !self.failed {
            self.position = 0;
            // Set free before waiting, so that the sender can use it again.
            self.chunk = None;
            match self.receiver.recv() {
                Ok(Ok(chunk)) => self.chunk = Some(chunk),
                Ok(Err(error)) => {
                    self.failed = true;
                    return Err(error);
                }
                Err(_) => {}
            }
        }
        Ok(self.chunk.as_ref().map_or(&[], |chunk| &chunk[self.position..]))
    }

    fn consume(&mut self, count: usize) {
        self.position += count;
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(buffer.len());
        buffer[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reader_gets_every_byte() {
        let bytes: Vec<u8> = (0..3 * CHUNK + 17).map(|n| ((n * 7) >> 3) as u8).collect();
        let (sender, [mut one, mut other]) = Sender::with_readers();
        std::thread::scope(|scope| {
            let sent = scope.spawn(|| sender.send_all(&bytes[..], |_| {}));
            let counted =
                scope.spawn(move || std::iter::from_fn(|| other.chunk()).map(|c| c.len()).sum::<usize>());
            let mut read = Vec::new();
            one.read_to_end(&mut read).unwrap();
            assert!(read == bytes);
            assert_eq!(counted.join().unwrap(), bytes.len());
            assert!(sent.join().unwrap().unwrap());
        });
    }

    #[test]
    fn a_reader_that_leaves_ends_the_sender() {
        let (sender, [reader]) = Sender::with_readers();
        drop(reader);
        assert!(!sender.send_all(io::repeat(1), |_| {}).unwrap());
    }
}
