//! Reading a stream. Whoever wrote it may have been anybody.

use std::io::{self, Read};

use hash::{Algorithm, FileDigest};
use zerocopy::FromBytes;
use zstd::stream::read::Decoder;

use super::format::{ContentType, Header, Info, LG_BLOCKSIZE, MAGIC, Range, VERSION};

/// Most bytes of names: each of the layers that an image may have takes less than a hundred.
const NAMES_MAX: u64 = 1 << 20;

/// As many bytes of a piece are given at once.
const CHUNK: usize = 64 << 10;

/// Why bytes are no stream.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// Something is not as it is in every stream.
    #[error("{0}")]
    Format(&'static str),
    /// What is compressed cannot be expanded.
    #[error("cannot be expanded")]
    Expand(#[source] io::Error),
}

/// A stream.
#[derive(Debug)]
pub struct Splitstream {
    /// The hash function of the digests in it.
    pub algorithm: Algorithm,
    /// What its bytes are; `None` for something that is not of OCI.
    pub content_type: Option<ContentType>,
    /// How many bytes it stands for.
    pub size: u64,
    /// The objects in it, each once.
    pub objects: Vec<FileDigest>,
    /// What it needs beside, by names in their order: other streams, images.
    pub references: Vec<(String, FileDigest)>,
    body: Vec<u8>,
}

/// Something in a stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// Bytes, or some of the bytes of a piece.
    Inline(&'a [u8]),
    /// All bytes of an object.
    Object(FileDigest),
}

impl Splitstream {
    /// Reads all but the body.
    pub fn parse(bytes: &[u8]) -> Result<Splitstream, Malformed> {
        let format = Malformed::Format;
        let (header, _) = Header::read_from_prefix(bytes).map_err(|_| format("too short"))?;
        if header.magic != *MAGIC || header.version != VERSION {
            return Err(format("not the header of a splitstream"));
        }
        let algorithm = match (header.algorithm, header.lg_blocksize) {
            (1, LG_BLOCKSIZE) => Algorithm::Sha256,
            (2, LG_BLOCKSIZE) => Algorithm::Sha512,
            _ => return Err(format("digests of an unknown kind")),
        };
        let part = |range: Range| {
            let bounds = usize::try_from(range.start.get()).ok().zip(usize::try_from(range.end.get()).ok());
            bounds
                .and_then(|(start, end)| bytes.get(start..end))
                .ok_or(format("a part that is not in the file"))
        };
        let (info, _) = Info::read_from_prefix(part(header.info)?).map_err(|_| format("too short"))?;
        let digests = |range| {
            let chunks = part(range)?.chunks_exact(algorithm.length());
            if !chunks.remainder().is_empty() {
                return Err(format("half a digest"));
            }
            Ok(chunks.filter_map(|bytes| FileDigest::from_bytes(algorithm, bytes)).collect::<Vec<_>>())
        };
        let streams = digests(info.stream_refs)?;
        Ok(Splitstream {
            algorithm,
            content_type: ContentType::parse(info.content_type),
            size: info.stream_size.get(),
            objects: digests(info.object_refs)?,
            references: references(part(info.named_refs)?, &streams)?,
            body: part(info.stream)?.to_vec(),
        })
    }

    /// What a name stands for.
    pub fn reference(&self, name: &str) -> Option<FileDigest> {
        self.references.iter().find(|(known, _)| known == name).map(|(_, digest)| *digest)
    }

    /// What the stream is made of, from the start.
    pub fn parts(&self) -> Result<Parts<'_>, Malformed> {
        let body = Decoder::with_buffer(&self.body[..]).map_err(Malformed::Expand)?;
        Ok(Parts { objects: &self.objects, body, left: 0, seen: 0, size: self.size, buffer: vec![0; CHUNK] })
    }
}

/// Reads `INDEX:NAME\0…`.
fn references(compressed: &[u8], streams: &[FileDigest]) -> Result<Vec<(String, FileDigest)>, Malformed> {
    let mut names = Vec::new();
    let decoder = Decoder::with_buffer(compressed).map_err(Malformed::Expand)?;
    decoder.take(NAMES_MAX + 1).read_to_end(&mut names).map_err(Malformed::Expand)?;
    if names.len() as u64 > NAMES_MAX {
        return Err(Malformed::Format("too many names"));
    }
    let mut found: Vec<(String, FileDigest)> = Vec::new();
    let Some(names) = names.strip_suffix(b"\0") else {
        return if names.is_empty() { Ok(found) } else { Err(Malformed::Format("half a name")) };
    };
    for entry in names.split(|&b| b == 0) {
        let entry = str::from_utf8(entry).ok().and_then(|entry| entry.split_once(':'));
        let reference = entry
            .and_then(|(place, name)| Some((name.to_owned(), *streams.get(place.parse::<usize>().ok()?)?)));
        found.push(reference.ok_or(Malformed::Format("a name of nothing"))?);
    }
    if found.windows(2).any(|pair| pair[0].0 >= pair[1].0) {
        return Err(Malformed::Format("names out of order"));
    }
    Ok(found)
}

/// Goes through a stream.
pub struct Parts<'a> {
    objects: &'a [FileDigest],
    body: Decoder<'static, &'a [u8]>,
    /// Bytes of a piece still to come.
    left: u64,
    /// Bytes that stood in the stream itself, and how many there may be.
    seen: u64,
    size: u64,
    buffer: Vec<u8>,
}

impl Parts<'_> {
    /// The next part; `None` at the end.
    pub fn step(&mut self) -> Result<Option<Part<'_>>, Malformed> {
        if self.left == 0 {
            let mut number = [0; 8];
            match self.fill(&mut number)? {
                0 => return Ok(None),
                8 => {}
                _ => return Err(Malformed::Format("ends in the middle of a number")),
            }
            let number = i64::from_le_bytes(number);
            if let Ok(place) = usize::try_from(number) {
                let object =
                    self.objects.get(place).ok_or(Malformed::Format("an object that is not listed"))?;
                return Ok(Some(Part::Object(*object)));
            }
            self.left = number.unsigned_abs();
            self.seen = self.seen.saturating_add(self.left);
            if self.seen > self.size {
                return Err(Malformed::Format("more bytes than it says to have"));
            }
        }
        let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(CHUNK);
        let mut buffer = std::mem::take(&mut self.buffer);
        let filled = self.fill(&mut buffer[..length]);
        self.buffer = buffer;
        if filled? < length {
            return Err(Malformed::Format("ends in the middle of a piece"));
        }
        self.left -= length as u64;
        Ok(Some(Part::Inline(&self.buffer[..length])))
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, Malformed> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.body.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Malformed::Expand(error)),
            }
        }
        Ok(filled)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Writer;
    use super::*;

    fn digest(bytes: &[u8]) -> FileDigest {
        FileDigest::of(Algorithm::Sha256, bytes)
    }

    fn some() -> Vec<u8> {
        let mut writer = Writer::new(Algorithm::Sha256, ContentType::Layer).unwrap();
        writer.inline(b"head").unwrap();
        writer.inline(b"er").unwrap();
        writer.object(&digest(b"a"), 1000).unwrap();
        writer.object(&digest(b"b"), 2000).unwrap();
        writer.inline(&[7; 100_000]).unwrap();
        writer.object(&digest(b"a"), 1000).unwrap();
        writer.reference("z", &digest(b"z"));
        writer.reference("y", &digest(b"z"));
        writer.finish().unwrap()
    }

    fn parts(stream: &Splitstream) -> Result<String, Malformed> {
        let (mut parts, mut text, mut inline) = (stream.parts()?, String::new(), 0);
        loop {
            let part = parts.step()?;
            if let Some(Part::Inline(bytes)) = part {
                inline += bytes.len();
                continue;
            }
            if inline > 0 {
                text += &format!("{inline} ");
                inline = 0;
            }
            match part {
                Some(Part::Object(digest)) => text += &format!("{} ", &digest.hex()[..4]),
                _ => return Ok(text),
            }
        }
    }

    #[test]
    fn there_and_back() {
        let stream = Splitstream::parse(&some()).unwrap();
        let [a, b] = [&digest(b"a").hex()[..4], &digest(b"b").hex()[..4]].map(str::to_owned);
        assert_eq!(parts(&stream).unwrap(), format!("6 {a} {b} 100000 {a} "));
        assert_eq!((stream.content_type, stream.size), (Some(ContentType::Layer), 104_006));
        assert_eq!(stream.objects, [digest(b"a"), digest(b"b")]);
        assert_eq!(stream.references, [("y".into(), digest(b"z")), ("z".into(), digest(b"z"))]);
        assert_eq!(stream.reference("y"), Some(digest(b"z")));
        assert_eq!(stream.reference("x"), None);
    }

    #[test]
    fn damage_is_noticed_or_harmless() {
        let whole = some();
        for at in 0..whole.len() {
            for change in [1, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= change;
                let _ = Splitstream::parse(&bytes).and_then(|stream| parts(&stream));
            }
            let cut = Splitstream::parse(&whole[..at]).and_then(|stream| parts(&stream));
            assert!(cut.is_err(), "cut at {at}");
        }
    }
}
