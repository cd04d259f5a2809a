//! Writing an output from front to back.

use std::io;

use tree::{Content, Output, Span};

use crate::error::Error;

/// Headers and small contents are gathered up to here.
const GATHERED: usize = 64 << 10;

static ZEROS: [u8; GATHERED] = [0; GATHERED];

/// An output and how far it is written.
pub(crate) struct Front<'o> {
    out: &'o mut dyn Output,
    /// Bytes put to the output.
    written: u64,
    /// Bytes that follow and wait.
    waiting: Vec<u8>,
}

impl<'o> Front<'o> {
    pub(crate) fn new(out: &'o mut dyn Output) -> Front<'o> {
        Front { out, written: 0, waiting: Vec::with_capacity(2 * GATHERED) }
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if bytes.len() >= GATHERED {
            self.flush()?;
            return self.put(bytes);
        }
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() >= GATHERED { self.flush() } else { Ok(()) }
    }

    pub(crate) fn zeros(&mut self, mut length: u64) -> Result<(), Error> {
        while length > 0 {
            let part = length.min(GATHERED as u64);
            self.bytes(&ZEROS[..part as usize])?;
            length -= part;
        }
        Ok(())
    }

    pub(crate) fn copy(&mut self, span: Span) -> Result<(), Error> {
        self.flush()?;
        self.out.copy(self.written, span).map_err(failed)?;
        self.written += span.length;
        Ok(())
    }

    /// Fills up to a multiple of `unit` bytes.
    pub(crate) fn pad(&mut self, unit: u64) -> Result<(), Error> {
        let end = self.written + self.waiting.len() as u64;
        self.zeros(end.next_multiple_of(unit) - end)
    }

    /// Writes a file's bytes, holes as zeros.
    pub(crate) fn content(&mut self, content: &Content) -> Result<(), Error> {
        if let Content::Inline(bytes) = content {
            return self.bytes(bytes);
        }
        let mut at = 0;
        for piece in content.pieces() {
            self.zeros(piece.at - at)?;
            self.copy(piece.span)?;
            at = piece.at + piece.span.length;
        }
        self.zeros(content.size() - at)
    }

    /// Puts what waits, and gives the length of the whole.
    pub(crate) fn finish(mut self) -> Result<u64, Error> {
        self.flush()?;
        Ok(self.written)
    }

    fn flush(&mut self) -> Result<(), Error> {
        let waiting = std::mem::take(&mut self.waiting);
        if !waiting.is_empty() {
            self.put(&waiting)?;
        }
        self.waiting = waiting;
        self.waiting.clear();
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.out.write(self.written, bytes).map_err(failed)?;
        self.written += bytes.len() as u64;
        Ok(())
    }
}

fn failed(error: io::Error) -> Error {
    Error::from_io(error, "writing the archive")
}
