//! Taking a tarball apart: the bytes of its larger files, and all the rest, from which it can be put together again.
//!
//! The tarball is read as [`read`](crate::read()) does it, by the same parser; here only the bytes that go by are dealt
//! out.

use std::cell::RefCell;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

use tree::{BLOCK, Content, Span};

use crate::error::Error;
use crate::read::{Keep, Layer, ReadOptions, Reading};
use crate::tar::{Entry, EntryKind, Reader};

/// Takes the parts of a tarball, in its order. All bytes come, each once.
pub trait Parts {
    /// Bytes that are no larger file's.
    fn inline(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// A file of `size` bytes follows.
    fn begin(&mut self, size: u64) -> io::Result<()>;
    /// The file's next bytes.
    fn content(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// The file is whole.
    fn end(&mut self) -> io::Result<()>;
}

/// Reads a layer in one pass, to the last byte of `tarball`, and deals all bytes of it out to `parts`. Files of more
/// than `inline_max` bytes are dealt out by themselves.
///
/// In the changes, a small file's content is inline, and a larger one's is a span at [`BLOCK`] times the number of the
/// file among those that were dealt out, from 0. Runs of zeros make no holes.
///
/// # Errors
///
/// As [`read`](crate::read()), and `Unsupported` for sparse files.
pub fn split(
    number: u32,
    tarball: impl BufRead,
    parts: &mut dyn Parts,
    inline_max: u64,
    options: &ReadOptions,
) -> Result<Layer, Error> {
    let state = Rc::new(RefCell::new(State { parts, left: 0, fault: None }));
    let tap = Tap { input: tarball, state: Rc::clone(&state) };
    let keep = Split { number, state, inline_max, dealt: 0, current: None };
    let mut reading = Reading::with(number, tap, keep, options);
    while reading.step()? {}
    reading.finish()
}

/// Where the bytes that go by belong to.
struct State<'p> {
    parts: &'p mut dyn Parts,
    /// Bytes of a file still to come.
    left: u64,
    /// What went wrong where nobody could be told.
    fault: Option<io::Error>,
}

impl State<'_> {
    fn begin(&mut self, size: u64) -> io::Result<()> {
        self.left = size;
        self.parts.begin(size)
    }

    fn pass(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (file, rest) = bytes.split_at(usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len()));
        if !file.is_empty() {
            self.parts.content(file)?;
            self.left -= file.len() as u64;
            if self.left == 0 {
                self.parts.end()?;
            }
        }
        if rest.is_empty() { Ok(()) } else { self.parts.inline(rest) }
    }
}

/// Lets a tarball through, and deals out what was read of it.
struct Tap<'p, R> {
    input: R,
    state: Rc<RefCell<State<'p>>>,
}

impl<R: BufRead> BufRead for Tap<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self.state.borrow_mut().fault.take() {
            Some(fault) => Err(fault),
            None => self.input.fill_buf(),
        }
    }

    fn consume(&mut self, amount: usize) {
        if amount == 0 {
            return;
        }
        // What is being consumed was filled before, and is still there.
        let mut state = self.state.borrow_mut();
        let passed = self.input.fill_buf().and_then(|buffer| state.pass(&buffer[..amount]));
        if let Err(fault) = passed {
            state.fault = Some(fault);
        }
        self.input.consume(amount);
    }
}

impl<R: BufRead> Read for Tap<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let amount = self.fill_buf()?.read(into)?;
        self.consume(amount);
        Ok(amount)
    }
}

/// Says what files' contents are.
struct Split<'p> {
    number: u32,
    state: Rc<RefCell<State<'p>>>,
    inline_max: u64,
    /// Files that were dealt out.
    dealt: u64,
    /// The number of the current entry's file, if it is dealt out.
    current: Option<u64>,
}

impl<'p, R: BufRead> Keep<Tap<'p, R>> for Split<'p> {
    fn entry(&mut self, entry: &Entry) -> Result<(), Error> {
        self.current = None;
        if entry.kind == EntryKind::File && entry.size > self.inline_max {
            let begun = self.state.borrow_mut().begin(entry.size);
            begun.map_err(|error| Error::from_io(error, "storing a file's bytes"))?;
            self.current = Some(self.dealt);
            self.dealt += 1;
        }
        Ok(())
    }

    fn content(&mut self, tar: &mut Reader<Tap<'p, R>>, entry: &Entry) -> Result<Content, Error> {
        if entry.sparse.is_some() {
            return Err(Error::unsupported("a sparse file in a layer that is taken apart"));
        }
        if let Some(place) = self.current {
            tar.skip_content()?;
            return Ok(Content::Whole(Span {
                layer: self.number,
                offset: place * BLOCK,
                length: entry.size,
            }));
        }
        let mut bytes = Vec::with_capacity(entry.size as usize);
        while bytes.len() < entry.size as usize {
            let chunk = tar.chunk()?;
            bytes.extend_from_slice(chunk);
            let taken = chunk.len();
            tar.advance(taken);
        }
        Ok(if bytes.is_empty() { Content::Empty } else { Content::Inline(bytes.into()) })
    }

    fn length(&self) -> u64 {
        self.dealt * BLOCK
    }

    fn finish(&mut self) -> Result<(), Error> {
        // The last bytes have nobody behind them who would ask.
        match self.state.borrow_mut().fault.take() {
            Some(fault) => Err(Error::from_io(fault, "storing the layer")),
            None => Ok(()),
        }
    }
}
