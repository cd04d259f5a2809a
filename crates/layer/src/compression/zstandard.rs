//! Expanding zstd (RFC 8878): any number of frames, skippable ones among them.

use std::io::{self, BufRead};

use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, get_error_name};

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
}

impl<R: BufRead> Zstd<R> {
    pub(super) fn new(input: R, window_log: u32) -> Result<Zstd<R>, Error> {
        let mut decoder = DCtx::try_create()
            .ok_or_else(|| Error::from_io(io::ErrorKind::OutOfMemory.into(), "making a zstd decoder"))?;
        decoder.set_parameter(DParameter::WindowLogMax(window_log)).map_err(|code| {
            Error::invalid(format!("zstd window limit of 2^{window_log} bytes: {}", get_error_name(code)))
        })?;
        Ok(Zstd { input, consumed: 0, decoder, window_log, complete: false, ended: false })
    }

    /// Compressed bytes taken so far.
    pub(super) fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Expands as much as `into` holds, however the input is cut into pieces; less only at the end.
    pub(super) fn expand(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < into.len() && !self.ended {
            filled += self.expand_some(&mut into[filled..])?;
        }
        Ok(filled)
    }

    fn expand_some(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = self.input.fill_buf()?;
        let at_end = bytes.is_empty();
        if at_end && self.complete {
            self.ended = true;
            return Ok(0);
        }
        let mut input = InBuffer::around(bytes);
        let mut output = OutBuffer::around(into);
        let result = self.decoder.decompress_stream(&mut output, &mut input);
        let made = output.pos();
        let taken = input.pos();
        self.input.consume(taken);
        self.consumed += taken as u64;
        match result {
            Ok(hint) => self.complete = hint == 0,
            Err(code) => return Err(named(get_error_name(code), self.window_log).into()),
        }
        if at_end && !self.complete && made == 0 {
            return Err(Error::corrupt("zstd stream is cut off").into());
        }
        Ok(made)
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
