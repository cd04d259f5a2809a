//! Expanding zstd (RFC 8878): any number of frames, skippable ones among them.

use std::io::{self, BufRead};

use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, get_error_name};

use super::BUFFER;
use crate::error::{Cap, Error};

/// A zstd stream being expanded.
pub(super) struct Zstd<R> {
    input: R,
    consumed: u64,
    decoder: DCtx<'static>,
    window_log: u32,
    /// Whether the last frame is complete, so that the input may end here.
    complete: bool,
    ended: bool,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl<R: BufRead> Zstd<R> {
    pub(super) fn new(input: R, window_log: u32) -> Result<Zstd<R>, Error> {
        let mut decoder = DCtx::try_create()
            .ok_or_else(|| Error::from_io(io::ErrorKind::OutOfMemory.into(), "making a zstd decoder"))?;
        decoder.set_parameter(DParameter::WindowLogMax(window_log)).map_err(|code| {
            Error::invalid(format!("zstd window limit of 2^{window_log} bytes: {}", get_error_name(code)))
        })?;
        Ok(Zstd {
            input,
            consumed: 0,
            decoder,
            window_log,
            complete: false,
            ended: false,
            buffer: vec![0; BUFFER].into(),
            start: 0,
            end: 0,
        })
    }

    /// Compressed bytes taken so far.
    pub(super) fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Sees to it that something is in the buffer and gives its length, 0 at the end.
    pub(super) fn fill(&mut self) -> io::Result<usize> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            while self.end < self.buffer.len() && !self.ended {
                self.expand()?;
            }
        }
        Ok(self.end - self.start)
    }

    pub(super) fn filled(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    pub(super) fn consume(&mut self, amount: usize) {
        self.start = (self.start + amount).min(self.end);
    }

    fn expand(&mut self) -> io::Result<()> {
        let bytes = self.input.fill_buf()?;
        let at_end = bytes.is_empty();
        if at_end && self.complete {
            self.ended = true;
            return Ok(());
        }
        let before = self.end;
        let mut input = InBuffer::around(bytes);
        let mut output = OutBuffer::around_pos(&mut self.buffer[..], self.end);
        let result = self.decoder.decompress_stream(&mut output, &mut input);
        self.end = output.pos();
        let taken = input.pos();
        self.input.consume(taken);
        self.consumed += taken as u64;
        match result {
            Ok(hint) => self.complete = hint == 0,
            Err(code) => return Err(named(get_error_name(code), self.window_log).into()),
        }
        if at_end && !self.complete && self.end == before {
            return Err(Error::corrupt("zstd stream is cut off").into());
        }
        Ok(())
    }
}

/// What a decoder's complaint means; it has no codes that stay the same, but its texts do.
fn named(complaint: &str, window_log: u32) -> Error {
    match complaint {
        "Dictionary mismatch" => Error::unsupported("zstd frame needs a dictionary"),
        "Frame requires too much memory for decoding" => Error::limit(Cap::Window, 1 << window_log),
        _ => Error::corrupt(format!("zstd stream is damaged: {}", complaint.to_lowercase())),
    }
}
