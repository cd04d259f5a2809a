//! Walking through an archive, entry by entry.

use std::io::{self, BufRead, Read, Seek};

use tree::{Device, Time};

use super::header::{BLOCK, Dialect, Header, field, text};
use super::pax::{self, Fields};
use super::sparse::{Map, Sparse, Version};
use super::{Entry, EntryKind, Limits, Segment};
use crate::error::{Cap, Error};

/// Reads an archive's entries in their order. After [`Reader::entry`] the reader itself reads as that entry's
/// content; what of it is left unread is skipped by the next call.
pub struct Reader<R> {
    input: R,
    limits: Limits,
    /// Bytes consumed.
    position: u64,
    /// Bytes of the current entry's content still to come, and of the padding behind it.
    content: u64,
    padding: u64,
    /// Entries so far, and the last one's name for messages.
    entries: u64,
    name: Vec<u8>,
    /// A block that was read to see whether it is a header, and is.
    ahead: Option<[u8; BLOCK]>,
    globals: Globals,
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

/// Fields that a global header gives to all entries behind it.
#[derive(Debug, Clone, Copy, Default)]
struct Globals {
    uid: Option<i128>,
    gid: Option<i128>,
    mtime: Option<Time>,
}

/// What the headers in front of an entry say of it.
#[derive(Default)]
struct Extensions {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    records: Vec<u8>,
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
                // Some writers (umoci's `insert`) neither fill the last block nor end the archive; the content
                // is whole all the same.
                self.padding = 0;
                break;
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
    fn read_block(&mut self, into: &mut [u8]) -> Result<usize, Error> {
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
                // X is what Solaris wrote before x was standardised.
                b'x' | b'X' => {
                    let records = self.extension(&header, &mut extensions)?;
                    pax::check(&records)?;
                    extensions.records.extend(records);
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
    fn expect_content(&mut self, size: u64) {
        self.content = size;
        self.padding = size.wrapping_neg() % BLOCK as u64;
    }

    /// Makes an entry of its header and what stood before it.
    fn resolve(&mut self, header: &Header, extensions: Extensions) -> Result<Entry, Error> {
        let Extensions { name, link, records, .. } = extensions;
        self.name = name.unwrap_or_else(|| header.name());
        let fields = Fields::parse(&records)?;
        if let Some(name) = fields.sparse.name.or(fields.path) {
            self.name = name.to_vec();
        }
        let name = self.name.clone();
        if self.entries >= self.limits.entries {
            return Err(Error::limit(Cap::Entries, self.limits.entries));
        }
        let link = match fields.linkpath {
            Some(link) => link.to_vec(),
            None => link.unwrap_or_else(|| header.linkname().to_vec()),
        };
        let kind = kind(header, &name)?;
        let stored = match fields.size {
            Some(size) => size,
            None => header.size()?,
        };
        let device = match kind {
            EntryKind::CharDevice | EntryKind::BlockDevice => device(header, &fields)?,
            _ => Device { major: 0, minor: 0 },
        };
        let mtime = match fields.mtime.or(self.globals.mtime) {
            Some(time) => time,
            None => Time { seconds: seconds(header.number(field::MTIME, "mtime")?)?, nanoseconds: 0 },
        };
        let uid = match fields.uid.or(self.globals.uid) {
            Some(uid) => uid,
            None => header.number(field::UID, "uid")?,
        };
        let gid = match fields.gid.or(self.globals.gid) {
            Some(gid) => gid,
            None => header.number(field::GID, "gid")?,
        };
        let mut entry = Entry {
            index: self.entries,
            kind,
            name,
            link,
            // What lies above belongs to nobody.
            mode: header.number(field::MODE, "mode")? as u32,
            uid: owner(uid, "uid")?,
            gid: owner(gid, "gid")?,
            mtime,
            device,
            content_offset: 0,
            size: 0,
            sparse: None,
            records: Vec::new(),
        };
        match kind {
            EntryKind::File | EntryKind::Unknown(_) => {
                self.expect_content(stored);
                entry.sparse = self.sparse(header, &fields, stored)?;
                entry.size = self.content;
                entry.content_offset = self.position;
            }
            _ => {
                entry.content_offset = self.position;
                self.skip_body(stored)?;
            }
        }
        entry.records = records;
        self.entries += 1;
        Ok(entry)
    }

    /// Skips the body of an entry that has a size and should have no content.
    ///
    /// POSIX has been of several minds: ustar says that a link's size is what the file's was and no content
    /// follows, pax allows content. Readers that run containers take none. So: where a header or the archive's
    /// end follows at once there is no body, and where anything else does it can only be one.
    fn skip_body(&mut self, size: u64) -> Result<(), Error> {
        if size == 0 {
            return Ok(());
        }
        let mut block = [0; BLOCK];
        let length = self.read_block(&mut block)?;
        if length == 0 {
            return Ok(());
        }
        if length < BLOCK {
            return Err(truncated("an entry's content"));
        }
        if block == [0; BLOCK] || Header::parse(&block).is_ok() {
            self.ahead = Some(block);
            return Ok(());
        }
        self.expect_content(size);
        let first = size.min(BLOCK as u64);
        self.content -= first;
        self.padding = if self.content == 0 { 0 } else { self.padding };
        // The index is not counted up yet, so that a message names this entry.
        self.entries += 1;
        let skipped = self.skip_content();
        self.entries -= 1;
        skipped
    }

    /// Reads a sparse file's map, wherever it stands. Leaves the length of the file's data as the content.
    fn sparse(&mut self, header: &Header, fields: &Fields, stored: u64) -> Result<Option<Sparse>, Error> {
        let limit = self.limits.sparse_segments;
        if header.typeflag() == b'S' {
            if header.dialect() != Dialect::Gnu {
                return Err(Error::unsupported("sparse file of another format than GNU's"));
            }
            let (pairs, mut more, real_size) = header.gnu_sparse()?;
            let mut map = Map::new(real_size, limit);
            map.push_gnu(pairs)?;
            while more {
                let mut block = [0; BLOCK];
                if self.read_block(&mut block)? < BLOCK {
                    return Err(truncated("a sparse map"));
                }
                map.push_gnu(&block[..504])?;
                more = block[504] != 0;
            }
            return map.finish(stored).map(Some);
        }
        if fields.sparse.is_empty() {
            return Ok(None);
        }
        let mut map = fields.sparse.map(limit)?;
        match fields.sparse.version()? {
            Version::InHeader => fields.sparse.fill(&mut map)?,
            Version::InContent => self.content_map(&mut map)?,
        }
        let data = self.content;
        map.finish(data).map(Some)
    }

    /// Reads the map of sparse format 1.0: decimal numbers on lines of their own, the count of pairs first,
    /// filled up to whole blocks.
    fn content_map(&mut self, map: &mut Map) -> Result<(), Error> {
        let mut block = [0; BLOCK];
        let mut next = BLOCK;
        let mut number = |reader: &mut Self| -> Result<u64, Error> {
            let mut digits = [0; 20];
            let mut length = 0;
            loop {
                if next == BLOCK {
                    if reader.content < BLOCK as u64 {
                        return Err(Error::corrupt("sparse map is longer than the content"));
                    }
                    if reader.read_block(&mut block)? < BLOCK {
                        return Err(truncated("a sparse map"));
                    }
                    reader.content -= BLOCK as u64;
                    next = 0;
                }
                let byte = block[next];
                next += 1;
                if byte == b'\n' {
                    break;
                }
                if length == digits.len() {
                    return Err(Error::corrupt("number in a sparse map is too long"));
                }
                digits[length] = byte;
                length += 1;
            }
            pax::decimal(&digits[..length])
                .ok_or_else(|| Error::corrupt("sparse map has something else than numbers"))
        };
        let pairs = number(self)?;
        if pairs > self.limits.sparse_segments {
            return Err(Error::limit(Cap::SparseSegments, self.limits.sparse_segments));
        }
        for _ in 0..pairs {
            map.push(Segment { offset: number(self)?, length: number(self)? })?;
        }
        Ok(())
    }
}

impl<R: BufRead + Seek> Reader<R> {
    /// Skips what is left of the current entry's content, by seeking: the way to go through an archive of
    /// archives in a file. That the content is all there is checked.
    pub fn seek_over_content(&mut self) -> Result<(), Error> {
        // The last byte is read, so that a file that ends early is noticed.
        let far = (self.content + self.padding).saturating_sub(1);
        let whole = self.content.min(far);
        let seek = |input: &mut R, by: u64| input.seek_relative(i64::try_from(by).unwrap_or(i64::MAX));
        if far > 0 {
            seek(&mut self.input, far).map_err(|error| Error::from_io(error, "seeking in the archive"))?;
            self.position += far;
            self.content -= whole;
            self.padding -= far - whole;
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

impl Globals {
    /// Takes the records of a global header in. A name or a size for every entry makes no sense, and
    /// attributes for every entry would multiply a few bytes into gigabytes.
    fn take(&mut self, records: &[u8]) -> Result<(), Error> {
        for (key, _) in pax::Records::new(records) {
            let refused = matches!(key, b"path" | b"linkpath" | b"size")
                || [&b"GNU.sparse."[..], b"SCHILY.xattr.", b"SCHILY.acl.", b"LIBARCHIVE.xattr."]
                    .iter()
                    .any(|prefix| key.starts_with(prefix));
            if refused {
                let what = format!("global header gives \"{}\" to every entry", tree::escape(key));
                return Err(Error::unsupported(what));
            }
        }
        let fields = Fields::parse(records)?;
        for (key, _) in pax::Records::new(records) {
            match key {
                b"uid" => self.uid = fields.uid,
                b"gid" => self.gid = fields.gid,
                b"mtime" => self.mtime = fields.mtime,
                _ => {}
            }
        }
        Ok(())
    }
}

fn kind(header: &Header, name: &[u8]) -> Result<EntryKind, Error> {
    let slash = name.ends_with(b"/");
    Ok(match header.typeflag() {
        // v7 had no type for directories and showed them by a slash; NUL is v7's way to say "file".
        0 if slash => EntryKind::Directory,
        b'0' if slash && header.dialect() == Dialect::V7 => EntryKind::Directory,
        // 7 is "contiguous" file, S is GNU's sparse one.
        0 | b'0' | b'7' | b'S' => EntryKind::File,
        b'1' => EntryKind::Link,
        b'2' => EntryKind::Symlink,
        b'3' => EntryKind::CharDevice,
        b'4' => EntryKind::BlockDevice,
        // D is a directory of GNU's incremental dumps, whose content lists its names.
        b'5' | b'D' => EntryKind::Directory,
        b'6' => EntryKind::Fifo,
        b'M' => return Err(Error::unsupported("part of a file whose start is in another volume")),
        other => EntryKind::Unknown(other),
    })
}

fn device(header: &Header, fields: &Fields) -> Result<Device, Error> {
    let number = |record: Option<i128>, range, what| {
        let number = match record {
            Some(number) => number,
            None => header.number(range, what)?,
        };
        u32::try_from(number).map_err(|_| Error::invalid(format!("{what} number does not fit 32 bits")))
    };
    Ok(Device {
        major: number(fields.devmajor, field::DEVMAJOR, "device's major")?,
        minor: number(fields.devminor, field::DEVMINOR, "device's minor")?,
    })
}

fn owner(number: i128, what: &str) -> Result<u32, Error> {
    u32::try_from(number).map_err(|_| {
        let why = if number < 0 { "is negative" } else { "does not fit 32 bits" };
        Error::invalid(format!("{what} {number} {why}"))
    })
}

fn seconds(number: i128) -> Result<i64, Error> {
    i64::try_from(number).map_err(|_| Error::invalid("mtime overflows 64 bits"))
}

fn truncated(what: &str) -> Error {
    Error::corrupt(format!("archive is cut off inside {what}"))
}
