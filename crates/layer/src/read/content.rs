//! Moving files' bytes into a layer's content space.

use std::io::{BufRead, Write};

use tree::{BLOCK, Content, Piece, Span};

use crate::error::Error;
use crate::tar::{Reader, Sparse};

/// Shortest run of zeros that becomes a hole. Shorter ones save less than another extent costs.
const HOLE_MIN: u64 = 64 << 10;

const BLOCK_USIZE: usize = BLOCK as usize;
static ZEROS: [u8; BLOCK_USIZE] = [0; BLOCK_USIZE];

/// A content space that is being written.
pub(crate) struct Contents<W> {
    layer: u32,
    out: W,
    /// Bytes written so far, a multiple of the block between files.
    position: u64,
    /// The current file: how much of it has gone by, and its runs of data so far.
    at: u64,
    pieces: Vec<Piece>,
    /// Bytes of zeros that wait for what follows them; whole blocks.
    zeros: u64,
    /// Whether runs of zeros become holes.
    find_holes: bool,
    /// The start of a block that is not full yet.
    partial: Vec<u8>,
}

impl<W: Write> Contents<W> {
    pub(crate) fn new(layer: u32, out: W) -> Contents<W> {
        Contents {
            layer,
            out,
            position: 0,
            at: 0,
            pieces: Vec::new(),
            zeros: 0,
            find_holes: true,
            partial: Vec::with_capacity(BLOCK_USIZE),
        }
    }

    /// Bytes of the content space.
    pub(crate) fn length(&self) -> u64 {
        self.position
    }

    /// Takes a file of `size` bytes that stands in the archive as it is.
    pub(super) fn whole<R: BufRead>(&mut self, tar: &mut Reader<R>, size: u64) -> Result<Content, Error> {
        self.begin(true);
        self.take(tar, size)?;
        self.finish(false)
    }

    /// Takes a file of which the archive has only the data. Its holes are what was declared, no more.
    pub(crate) fn sparse<R: BufRead>(
        &mut self,
        tar: &mut Reader<R>,
        sparse: &Sparse,
    ) -> Result<Content, Error> {
        self.begin(false);
        for segment in &sparse.segments {
            self.hole(segment.offset - self.end())?;
            self.take(tar, segment.length)?;
        }
        // The last block of the file need not be full to be left out.
        let rest = sparse.size - self.end();
        let fill = (BLOCK - self.end() % BLOCK) % BLOCK;
        self.hole(rest.min(fill))?;
        self.at += rest.saturating_sub(fill);
        self.finish(true)
    }

    fn begin(&mut self, find_holes: bool) {
        self.at = 0;
        self.zeros = 0;
        self.partial.clear();
        self.find_holes = find_holes;
    }

    /// How much of the file has gone by, with what waits.
    fn end(&self) -> u64 {
        self.at + self.zeros + self.partial.len() as u64
    }

    fn take<R: BufRead>(&mut self, tar: &mut Reader<R>, mut length: u64) -> Result<(), Error> {
        while length > 0 {
            let chunk = tar.chunk()?;
            let chunk = &chunk[..usize::try_from(length).unwrap_or(usize::MAX).min(chunk.len())];
            let taken = chunk.len();
            self.data(chunk)?;
            tar.advance(taken);
            length -= taken as u64;
        }
        Ok(())
    }

    /// The file's next bytes.
    fn data(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        if !self.partial.is_empty() {
            let (fill, rest) = bytes.split_at(bytes.len().min(BLOCK_USIZE - self.partial.len()));
            self.partial.extend_from_slice(fill);
            bytes = rest;
            if self.partial.len() < BLOCK_USIZE {
                return Ok(());
            }
            let block = std::mem::take(&mut self.partial);
            self.blocks(&block)?;
            self.partial = block;
            self.partial.clear();
        }
        let (whole, rest) = bytes.split_at(bytes.len() - bytes.len() % BLOCK_USIZE);
        self.blocks(whole)?;
        self.partial.extend_from_slice(rest);
        Ok(())
    }

    /// Whole blocks. What lies between two holes goes out as one slice, short runs of zeros with it.
    fn blocks(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if !self.find_holes {
            return self.store(bytes);
        }
        // Where the data starts that is still to be written, and where the zeros start that end it.
        let mut start = 0;
        let mut at = 0;
        while at < bytes.len() {
            if bytes[at..at + BLOCK_USIZE] != ZEROS {
                at += BLOCK_USIZE;
                if self.zeros > 0 {
                    self.settle()?;
                }
                continue;
            }
            let zeros = at;
            while at < bytes.len() && bytes[at..at + BLOCK_USIZE] == ZEROS {
                at += BLOCK_USIZE;
            }
            let run = (at - zeros) as u64;
            if at == bytes.len() || self.zeros > 0 || run >= HOLE_MIN {
                self.store(&bytes[start..zeros])?;
                self.zeros += run;
                start = at;
            }
        }
        self.store(&bytes[start..])
    }

    /// Decides about the zeros that wait, since data follows them.
    fn settle(&mut self) -> Result<(), Error> {
        let zeros = std::mem::take(&mut self.zeros);
        if zeros >= HOLE_MIN {
            self.at += zeros;
            return Ok(());
        }
        for _ in 0..zeros / BLOCK {
            self.store(&ZEROS)?;
        }
        Ok(())
    }

    /// A declared hole.
    fn hole(&mut self, mut length: u64) -> Result<(), Error> {
        let zeros = |length: u64| &ZEROS[..length as usize];
        if !self.partial.is_empty() {
            let fill = length.min(BLOCK - self.partial.len() as u64);
            self.data(zeros(fill))?;
            length -= fill;
        }
        let rest = length % BLOCK;
        self.at += length - rest;
        self.data(zeros(rest))
    }

    /// Writes bytes of the file, from `self.at` on. Only the last write of a file may be short of a block.
    fn store(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.out.write_all(bytes).map_err(|error| Error::from_io(error, "storing a file's bytes"))?;
        let length = bytes.len() as u64;
        match self.pieces.last_mut() {
            Some(last) if last.at + last.span.length == self.at => last.span.length += length,
            _ => {
                let span = Span { layer: self.layer, offset: self.position, length };
                self.pieces.push(Piece { at: self.at, span });
            }
        }
        self.position += length;
        self.at += length;
        Ok(())
    }

    /// Writes what waits, and tells what the file has become.
    fn finish(&mut self, declared: bool) -> Result<Content, Error> {
        if self.zeros >= HOLE_MIN && self.partial[..] == ZEROS[..self.partial.len()] {
            self.at += self.zeros + self.partial.len() as u64;
        } else {
            self.settle()?;
            self.last_block()?;
        }
        let size = self.at;
        let content = match self.pieces[..] {
            [] if size == 0 => Content::Empty,
            [Piece { at: 0, span }] if span.length == size => Content::Whole(span),
            _ => Content::Pieces { size, declared, pieces: self.pieces.as_slice().into() },
        };
        self.pieces.clear();
        Ok(content)
    }

    /// Writes the last block of a file, filled up with zeros, unless it is a full one and has gone already.
    fn last_block(&mut self) -> Result<(), Error> {
        if self.partial.is_empty() {
            return Ok(());
        }
        let fill = (BLOCK_USIZE - self.partial.len()) as u64;
        let mut block = std::mem::take(&mut self.partial);
        block.resize(BLOCK_USIZE, 0);
        self.store(&block)?;
        self.partial = block;
        self.at -= fill;
        if let Some(last) = self.pieces.last_mut() {
            last.span.length -= fill;
        }
        Ok(())
    }
}
