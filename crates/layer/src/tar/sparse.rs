//! Sparse files: which bytes of the file an archive holds.

use std::io::BufRead;

use super::header::{BLOCK, Dialect, Header, number, size};
use super::pax::{Fields, SparseFields, decimal};
use super::reader::{Reader, truncated};
use crate::error::{Cap, Error};

/// A run of data in a sparse file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Where it starts in the file, in bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
}

/// How a sparse file's content is laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sparse {
    /// The file's size in bytes, holes included.
    pub size: u64,
    /// Runs of data, ascending, none empty; the rest are holes. Together they are as long as what the archive
    /// holds.
    pub segments: Vec<Segment>,
}

/// A map that is being read.
struct Map {
    real_size: u64,
    segments: Vec<Segment>,
    end: u64,
    stored: u64,
    limit: u64,
}

impl Map {
    fn new(real_size: u64, limit: u64) -> Map {
        Map { real_size, segments: Vec::new(), end: 0, stored: 0, limit }
    }

    /// Adds a run of data, which must lie behind the last one.
    fn push(&mut self, segment: Segment) -> Result<(), Error> {
        let end = segment.offset.checked_add(segment.length).filter(|&end| end <= self.real_size);
        let Some(end) = end else {
            return Err(Error::invalid("sparse map leads beyond the end of the file"));
        };
        if segment.offset < self.end {
            return Err(Error::invalid("sparse map overlaps or is out of order"));
        }
        self.end = end;
        if segment.length == 0 {
            return Ok(());
        }
        if self.segments.len() as u64 >= self.limit {
            return Err(Error::limit(Cap::SparseSegments, self.limit));
        }
        self.stored += segment.length;
        self.segments.push(segment);
        Ok(())
    }

    /// Adds the pairs of a GNU header or of one of its extension blocks, up to the first that is not used.
    fn push_gnu(&mut self, pairs: &[u8]) -> Result<(), Error> {
        for pair in pairs.chunks_exact(24) {
            let (offset, length) = pair.split_at(12);
            if length[0] == 0 {
                break;
            }
            let value = |field, what| match number(field) {
                Some(value) => size(value),
                None => Err(Error::corrupt(format!("{what} in a sparse map is not a number"))),
            };
            self.push(Segment { offset: value(offset, "offset")?, length: value(length, "length")? })?;
        }
        Ok(())
    }

    /// Compares with the bytes that the archive holds.
    fn finish(self, stored: u64) -> Result<Sparse, Error> {
        if self.stored != stored {
            let what =
                format!("sparse map names {} bytes of data where the archive has {stored}", self.stored);
            return Err(Error::invalid(what));
        }
        Ok(Sparse { size: self.real_size, segments: self.segments })
    }
}

/// The three ways in which pax headers have said it.
#[derive(Debug, PartialEq, Eq)]
enum Version {
    /// The map stands in the header, as pairs or as a list.
    InHeader,
    /// The map stands in front of the content.
    InContent,
}

impl SparseFields<'_> {
    fn version(&self) -> Result<Version, Error> {
        match (self.major.unwrap_or(0), self.minor.unwrap_or(0)) {
            (0, 0 | 1) => Ok(Version::InHeader),
            (1, 0) => Ok(Version::InContent),
            (major, minor) => Err(Error::unsupported(format!("sparse file of format {major}.{minor}"))),
        }
    }

    /// An empty map of the file's size.
    fn map(&self, limit: u64) -> Result<Map, Error> {
        match self.real_size {
            Some(real_size) => Ok(Map::new(real_size, limit)),
            None => Err(Error::corrupt("sparse file without its size")),
        }
    }

    /// Adds the map of formats 0.0 and 0.1.
    fn fill(&self, map: &mut Map) -> Result<(), Error> {
        if self.unpaired() {
            return Err(Error::corrupt("sparse map with an offset and no length"));
        }
        if let Some(list) = self.map.filter(|list| !list.is_empty()) {
            let mut numbers = list.split(|&b| b == b',');
            while let Some(offset) = numbers.next() {
                let (Some(offset), Some(length)) = (decimal(offset), numbers.next().and_then(decimal)) else {
                    return Err(Error::corrupt("sparse map is not a list of pairs"));
                };
                map.push(Segment { offset, length })?;
            }
            return Ok(());
        }
        if self.segments != self.pairs.len() as u64 {
            return Err(Error::corrupt("sparse map has another length than its header says"));
        }
        self.pairs.iter().try_for_each(|&pair| map.push(pair))
    }
}

impl<R: BufRead> Reader<R> {
    /// Reads a sparse file's map, wherever it stands. Leaves the length of the file's data as the content.
    pub(super) fn sparse(
        &mut self,
        header: &Header,
        fields: &Fields,
        stored: u64,
    ) -> Result<Option<Sparse>, Error> {
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
            decimal(&digits[..length])
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
