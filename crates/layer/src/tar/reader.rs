//! Walking through an archive, entry by entry.

use std::io::{self, BufRead, Read, Seek};

use super::header::{BLOCK, Header, text};
use super::resolve::Globals;
use super::{Entry, Limits, pax};
use crate::error::{Cap, Error};

/// Reads an archive's entries in their order. After [`Reader::entry`] the reader itself reads as that entry's
/// content; what of it is left unread is skipped by the next call.
pub struct Reader<R> {
    input: R,
    pub(super) limits: Limits,
    /// Bytes consumed.
    pub(super) position: u64,
    /// Bytes of the current entry's content still to come, and of the padding behind it.
    pub(super) content: u64,
    pub(super) padding: u64,
    /// Entries so far, and the last one's name for messages.
    pub(super) entries: u64,
    pub(super) name: Vec<u8>,
    /// A block that was read to see whether it is a header, and is.
    pub(super) ahead: Option<[u8; BLOCK]>,
    pub(super) globals: Globals,
    ended: Option<bool>,
}

/// How an archive ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Bytes of the whole archive, with what stands behind its end.
    pub length: u64,
    /// Number of entries.
    pub entries: u64,
    /// Whether the two zero blocks are there.
    pub marked: bool,
    /// Whether anything but zeros stands behind them.
    pub trailing: bool,
}

/// What the headers in front of an entry say of it.
#[derive(Default)]
pub(super) struct Extensions {
    pub(super) name: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) records: Vec<u8>,
    /// Whether there are any, and the bytes of all of them.
    pending: bool,
    length: u64,
}

impl<R: BufRead> Reader<R> {
    /// Reads an archive from its first byte. `input` should have a buffer of 64 KiB at least.
    pub fn new(input: R, limits: Limits) -> Reader<R> {
        Reader {
            input,
            limits,
            position: 0,
            content: 0,
            padding: 0,
            entries: 0,
            name: Vec::new(),
            ahead: None,
            globals: Globals::default(),
            ended: None,
        }
    }

    /// Bytes of the archive consumed so far.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next entry; `None` behind the last.
    ///
    /// # Errors
    ///
    /// `Corrupt` where the archive is damaged or cut off, `Invalid` for numbers that no file can have,
    /// `Unsupported` for the parts of a multi-volume archive, `Limit`, and `Io`.
    pub fn entry(&mut self) -> Result<Option<Entry>, Error> {
        if self.ended.is_some() {
            return Ok(None);
        }
        self.skip_content()?;
        self.name.clear();
        let index = self.entries;
        match self.read_entry() {
            Ok(entry) => Ok(entry),
            Err(error) => Err(error.at(index, &self.name)),
        }
    }

    /// Skips what is left of the current entry's content, reading over it.
    pub fn skip_content(&mut self) -> Result<(), Error> {
        while self.content > 0 {
            let length = self.chunk()?.len();
            self.advance(length);
        }
        while self.padding > 0 {
            let length = (self.fill()?.len() as u64).min(self.padding);
            if length == 0 {
                // Some writers (umoci's `insert`) neither fill the last block nor end the archive. The content
                // is whole all the same.
                self.padding = 0;
            }
            self.padding -= length;
            self.advance_input(length as usize);
        }
        Ok(())
    }

    /// Reads to the very end of the input and tells how the archive ended. To be called when there is no
    /// further entry: what stands behind the end belongs to the layer's digest all the same.
    pub fn finish(&mut self) -> Result<End, Error> {
        let marked = match self.ended {
            Some(marked) => marked,
            None => {
                while self.entry()?.is_some() {}
                self.ended.unwrap_or(false)
            }
        };
        let end = self.position;
        let mut trailing = false;
        loop {
            let chunk = self.fill()?;
            let length = chunk.len();
            if length == 0 {
                break;
            }
            trailing = trailing || chunk.iter().any(|&b| b != 0);
            self.advance_input(length);
            if self.position - end > self.limits.trailing_bytes {
                return Err(Error::limit(Cap::TrailingBytes, self.limits.trailing_bytes));
            }
        }
        Ok(End { length: self.position, entries: self.entries, marked, trailing })
    }

    /// The next bytes of the current entry's content, as many as are at hand; empty at its end.
    pub(crate) fn chunk(&mut self) -> Result<&[u8], Error> {
        if self.content == 0 {
            return Ok(&[]);
        }
        let left = usize::try_from(self.content).unwrap_or(usize::MAX);
        if self.fill()?.is_empty() {
            return Err(self.here(truncated("an entry's content")));
        }
        let chunk = self.fill()?;
        Ok(&chunk[..chunk.len().min(left)])
    }

    /// Marks bytes of the last chunk as read.
    pub(crate) fn advance(&mut self, amount: usize) {
        self.content -= amount as u64;
        self.advance_input(amount);
    }

    fn here(&self, error: Error) -> Error {
        error.at(self.entries.saturating_sub(1), &self.name)
    }

    fn fill(&mut self) -> Result<&[u8], Error> {
        loop {
            match self.input.fill_buf() {
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::from_io(error, "reading the archive")),
            }
        }
        self.input.fill_buf().map_err(|error| Error::from_io(error, "reading the archive"))
    }

    fn advance_input(&mut self, amount: usize) {
        self.input.consume(amount);
        self.position += amount as u64;
    }

    /// Fills `into` as far as the input goes; gives how far.
    pub(super) fn read_block(&mut self, into: &mut [u8]) -> Result<usize, Error> {
        let mut filled = 0;
        while filled < into.len() {
            let chunk = self.fill()?;
            let length = chunk.len().min(into.len() - filled);
            if length == 0 {
                break;
            }
            into[filled..filled + length].copy_from_slice(&chunk[..length]);
            filled += length;
            self.advance_input(length);
        }
        Ok(filled)
    }

    /// The next header's block; `None` at the end of the archive.
    fn header(&mut self) -> Result<Option<[u8; BLOCK]>, Error> {
        let mut block = [0; BLOCK];
        if let Some(ahead) = self.ahead.take() {
            block = ahead;
        } else {
            match self.read_block(&mut block)? {
                BLOCK => {}
                // A short block of zeros is what is left of the end marker.
                length if block[..length].iter().all(|&b| b == 0) => {
                    self.ended = Some(false);
                    return Ok(None);
                }
                _ => return Err(truncated("a header")),
            }
        }
        if block != [0; BLOCK] {
            return Ok(Some(block));
        }
        let length = self.read_block(&mut block)?;
        if block[..length].iter().any(|&b| b != 0) {
            return Err(Error::corrupt("a lone zero block stands between entries"));
        }
        self.ended = Some(length == BLOCK);
        Ok(None)
    }

    fn read_entry(&mut self) -> Result<Option<Entry>, Error> {
        let mut extensions = Extensions::default();
        loop {
            let Some(block) = self.header()? else {
                if extensions.pending {
                    return Err(Error::corrupt("archive ends behind a header that extends an entry"));
                }
                return Ok(None);
            };
            let header = Header::parse(&block)?;
            match header.typeflag() {
                b'L' => extensions.name = Some(self.long_text(&header, &mut extensions)?),
                b'K' => extensions.link = Some(self.long_text(&header, &mut extensions)?),
                // X is what Solaris wrote before x was standardised. Of two such headers the last counts, whole.
                b'x' | b'X' => {
                    let records = self.extension(&header, &mut extensions)?;
                    pax::check(&records)?;
                    extensions.records = records;
                }
                b'g' => {
                    let records = self.extension(&header, &mut Extensions::default())?;
                    pax::check(&records)?;
                    self.globals.take(&records)?;
                }
                // The archive's own name.
                b'V' => {
                    self.expect_content(header.size()?);
                    self.skip_content()?;
                }
                _ => return self.resolve(&header, extensions).map(Some),
            }
        }
    }

    /// Reads the content of a header that extends another.
    fn extension(&mut self, header: &Header, extensions: &mut Extensions) -> Result<Vec<u8>, Error> {
        let size = header.size()?;
        extensions.pending = true;
        extensions.length = extensions.length.saturating_add(size);
        if extensions.length > self.limits.header_bytes {
            return Err(Error::limit(Cap::HeaderBytes, self.limits.header_bytes));
        }
        let mut bytes = vec![0; size as usize];
        if self.read_block(&mut bytes)? < bytes.len() {
            return Err(truncated("an extension header"));
        }
        self.expect_content(size);
        self.content = 0;
        self.skip_content()?;
        Ok(bytes)
    }

    fn long_text(&mut self, header: &Header, extensions: &mut Extensions) -> Result<Vec<u8>, Error> {
        let mut bytes = self.extension(header, extensions)?;
        let length = text(&bytes).len();
        bytes.truncate(length);
        Ok(bytes)
    }

    /// Says how much content follows.
    pub(super) fn expect_content(&mut self, size: u64) {
        self.content = size;
        self.padding = size.wrapping_neg() % BLOCK as u64;
    }
}

impl<R: BufRead + Seek> Reader<R> {
    /// Skips what is left of the current entry's content, by seeking: the way to go through an archive of
    /// archives in a file. That the content is all there is checked.
    pub fn seek_over_content(&mut self) -> Result<(), Error> {
        // The last byte is read, so that a file that ends early is noticed.
        let far = self.content.saturating_sub(1);
        if far > 0 {
            let seek = i64::try_from(far).map(|far| self.input.seek_relative(far));
            seek.unwrap_or_else(|_| Err(io::ErrorKind::FileTooLarge.into()))
                .map_err(|error| Error::from_io(error, "seeking in the archive"))?;
            self.position += far;
            self.content -= far;
        }
        self.skip_content()
    }
}

impl<R: BufRead> BufRead for Reader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(self.chunk()?)
    }

    fn consume(&mut self, amount: usize) {
        self.advance(amount);
    }
}

impl<R: BufRead> Read for Reader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let chunk = self.chunk()?;
        let length = chunk.len().min(into.len());
        into[..length].copy_from_slice(&chunk[..length]);
        self.advance(length);
        Ok(length)
    }
}

pub(super) fn truncated(what: &str) -> Error {
    Error::corrupt(format!("archive is cut off inside {what}"))
}
