//! Expanding gzip (RFC 1952): any number of members, then nothing but zeros.

use std::io::{self, BufRead};

use flate2::{Crc, Decompress, FlushDecompress, Status};

use crate::error::Error;

const FHCRC: u8 = 1 << 1;
const FEXTRA: u8 = 1 << 2;
const FNAME: u8 = 1 << 3;
const FCOMMENT: u8 = 1 << 4;
/// "Reserved FLG bits must be zero", and "must give an error indication if any reserved bit is non-zero".
const RESERVED: u8 = 0b1110_0000;
const DEFLATE: u8 = 8;

/// A gzip stream being expanded.
pub(super) struct Gzip<R> {
    input: Counted<R>,
    inflate: Decompress,
    /// Checksum of the member's bytes so far, which counts them as well (modulo 2^32, as ISIZE does).
    crc: Crc,
    /// Whether what that comes to is compared with the member's trailer.
    pub(super) checks: bool,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before a member; whether it is the first.
    Between { first: bool },
    /// Inside one.
    Inside,
    /// Behind the last.
    Ended,
}

impl<R: BufRead> Gzip<R> {
    pub(super) fn new(input: R) -> Gzip<R> {
        Gzip {
            input: Counted { input, consumed: 0 },
            inflate: Decompress::new(false),
            crc: Crc::new(),
            checks: true,
            state: State::Between { first: true },
        }
    }

    /// Compressed bytes taken so far.
    pub(super) fn consumed(&self) -> u64 {
        self.input.consumed
    }

    /// Expands as much as `into` holds, however the input is cut into pieces; less only at the end.
    pub(super) fn expand(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < into.len() && self.state != State::Ended {
            match self.state {
                State::Between { first } => self.begin(first)?,
                State::Inside => filled += self.inflate(&mut into[filled..])?,
                State::Ended => {}
            }
        }
        Ok(filled)
    }

    /// Reads a member's header, or finds that there is none.
    fn begin(&mut self, first: bool) -> io::Result<()> {
        match self.input.peek()? {
            None if !first => self.state = State::Ended,
            // Tapes and some archivers fill up with zeros.
            Some(0) if !first => {
                while let Some(byte) = self.input.next()? {
                    if byte != 0 {
                        return Err(Error::corrupt("garbage behind the gzip stream").into());
                    }
                }
                self.state = State::Ended;
            }
            _ => {
                self.header(first)?;
                self.inflate.reset(false);
                self.crc.reset();
                self.state = State::Inside;
            }
        }
        Ok(())
    }

    fn header(&mut self, first: bool) -> io::Result<()> {
        let mut crc = Crc::new();
        let mut fixed = [0; 10];
        self.input.exact(&mut fixed, &mut crc)?;
        let [id1, id2, method, flags, ..] = fixed;
        if [id1, id2] != [0x1f, 0x8b] {
            let what = if first { "not a gzip stream" } else { "garbage behind the gzip stream" };
            return Err(Error::corrupt(what).into());
        }
        if method != DEFLATE {
            return Err(Error::unsupported(format!("gzip with compression method {method}")).into());
        }
        if flags & RESERVED != 0 {
            return Err(Error::corrupt("gzip header with reserved flags").into());
        }
        if flags & FEXTRA != 0 {
            let mut length = [0; 2];
            self.input.exact(&mut length, &mut crc)?;
            for _ in 0..u16::from_le_bytes(length) {
                self.input.exact(&mut [0], &mut crc)?;
            }
        }
        for text in [FNAME, FCOMMENT] {
            let mut byte = [1];
            while flags & text != 0 && byte != [0] {
                self.input.exact(&mut byte, &mut crc)?;
            }
        }
        if flags & FHCRC != 0 {
            let expected = crc.sum() as u16;
            let mut found = [0; 2];
            self.input.exact(&mut found, &mut crc)?;
            if u16::from_le_bytes(found) != expected {
                return Err(Error::corrupt("gzip header's checksum does not match").into());
            }
        }
        Ok(())
    }

    /// Expands some of a member; at its end, checks the trailer.
    fn inflate(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let input = self.input.input.fill_buf()?;
        let at_end = input.is_empty();
        let (in_before, out_before) = (self.inflate.total_in(), self.inflate.total_out());
        let status = self.inflate.decompress(input, into, FlushDecompress::None);
        let taken = (self.inflate.total_in() - in_before) as usize;
        let made = (self.inflate.total_out() - out_before) as usize;
        self.input.consume(taken);
        if self.checks {
            self.crc.update(&into[..made]);
        }
        match status {
            Err(_) => return Err(Error::corrupt("deflate stream is damaged").into()),
            Ok(Status::StreamEnd) => {
                self.trailer()?;
                self.state = State::Between { first: false };
            }
            Ok(Status::Ok | Status::BufError) if at_end && made == 0 => return Err(truncated()),
            Ok(Status::Ok | Status::BufError) => {}
        }
        Ok(made)
    }

    fn trailer(&mut self) -> io::Result<()> {
        let (mut crc, mut isize) = ([0; 4], [0; 4]);
        self.input.exact(&mut crc, &mut Crc::new())?;
        self.input.exact(&mut isize, &mut Crc::new())?;
        if !self.checks {
            return Ok(());
        }
        if u32::from_le_bytes(crc) != self.crc.sum() {
            return Err(Error::corrupt("gzip checksum does not match").into());
        }
        if u32::from_le_bytes(isize) != self.crc.amount() {
            return Err(Error::corrupt("gzip length does not match").into());
        }
        Ok(())
    }
}

fn truncated() -> io::Error {
    Error::corrupt("gzip stream is cut off").into()
}

/// An input that counts.
struct Counted<R> {
    input: R,
    consumed: u64,
}

impl<R: BufRead> Counted<R> {
    fn peek(&mut self) -> io::Result<Option<u8>> {
        Ok(self.input.fill_buf()?.first().copied())
    }

    fn next(&mut self) -> io::Result<Option<u8>> {
        let byte = self.peek()?;
        self.consume(usize::from(byte.is_some()));
        Ok(byte)
    }

    /// Fills `into`, and adds it to the checksum.
    fn exact(&mut self, into: &mut [u8], crc: &mut Crc) -> io::Result<()> {
        for byte in into.iter_mut() {
            *byte = self.next()?.ok_or_else(truncated)?;
        }
        crc.update(into);
        Ok(())
    }

    fn consume(&mut self, amount: usize) {
        self.consumed += amount as u64;
        self.input.consume(amount);
    }
}
