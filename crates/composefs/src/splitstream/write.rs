//! Writing a stream, into memory: what is not in objects is small, and compressed.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::mem::size_of;

use hash::{Algorithm, FileDigest};
use zerocopy::IntoBytes;
use zstd::stream::write::Encoder;

use super::format::{ContentType, Header, Info, LG_BLOCKSIZE, MAGIC, Range, VERSION};

/// zstd's own choice. A stream's digest, and so its place, depends on it.
const LEVEL: i32 = 0;

/// Most bytes of one piece, which stays in memory until it is whole: what 100,000 small files take. cfsctl has no
/// limit.
const PIECE_MAX: usize = 64 << 20;

/// Takes what a stream stands for, in its order.
pub struct Writer {
    algorithm: Algorithm,
    content_type: ContentType,
    body: Encoder<'static, Vec<u8>>,
    /// Bytes that belong into one piece with what follows.
    inline: Vec<u8>,
    objects: References,
    streams: References,
    names: BTreeMap<String, u64>,
    size: u64,
}

/// Digests, each once, in the order in which they came.
#[derive(Default)]
struct References {
    bytes: Vec<u8>,
    places: BTreeMap<FileDigest, u64>,
}

impl References {
    fn place(&mut self, digest: &FileDigest) -> u64 {
        let next = self.places.len() as u64;
        *self.places.entry(*digest).or_insert_with(|| {
            self.bytes.extend_from_slice(digest.as_bytes());
            next
        })
    }
}

impl Writer {
    /// Starts an empty stream.
    pub fn new(algorithm: Algorithm, content_type: ContentType) -> io::Result<Writer> {
        Ok(Writer {
            algorithm,
            content_type,
            body: Encoder::new(Vec::new(), LEVEL)?,
            inline: Vec::new(),
            objects: References::default(),
            streams: References::default(),
            names: BTreeMap::new(),
            size: 0,
        })
    }

    /// Adds bytes that stand in the stream itself.
    pub fn inline(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.size += bytes.len() as u64;
        self.inline.extend_from_slice(bytes);
        if self.inline.len() <= PIECE_MAX {
            return Ok(());
        }
        // Not in the middle of a tarball's block, since a header must not lie in two pieces.
        let rest = self.inline.split_off(self.inline.len() - (self.size % 512) as usize);
        self.flush()?;
        self.inline = rest;
        Ok(())
    }

    /// Adds an object of `size` bytes.
    pub fn object(&mut self, digest: &FileDigest, size: u64) -> io::Result<()> {
        self.flush()?;
        self.size += size;
        let place = self.objects.place(digest) as i64;
        self.body.write_all(&place.to_le_bytes())
    }

    /// Names another stream, or an image, that this one needs.
    pub fn reference(&mut self, name: &str, digest: &FileDigest) {
        let place = self.streams.place(digest);
        self.names.insert(name.into(), place);
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.inline.is_empty() {
            let length = -(self.inline.len() as i64);
            self.body.write_all(&length.to_le_bytes())?;
            self.body.write_all(&self.inline)?;
            self.inline.clear();
        }
        Ok(())
    }

    /// The bytes of the whole stream.
    pub fn finish(mut self) -> io::Result<Vec<u8>> {
        self.flush()?;
        let body = self.body.finish()?;
        let mut names = Encoder::new(Vec::new(), LEVEL)?;
        for (name, place) in &self.names {
            write!(names, "{place}:{name}\0")?;
        }
        let names = names.finish()?;
        let mut end = (size_of::<Header>() + size_of::<Info>()) as u64;
        let info = Range { start: (size_of::<Header>() as u64).into(), end: end.into() };
        let mut next = |part: &[u8]| {
            let start = end;
            end += part.len() as u64;
            Range { start: start.into(), end: end.into() }
        };
        let (streams, objects) = (&self.streams.bytes, &self.objects.bytes);
        let [stream_refs, object_refs, named_refs, stream] =
            [next(streams), next(objects), next(&names), next(&body)];
        let header = Header {
            magic: *MAGIC,
            version: VERSION,
            flags: 0.into(),
            algorithm: match self.algorithm {
                Algorithm::Sha256 => 1,
                Algorithm::Sha512 => 2,
            },
            lg_blocksize: LG_BLOCKSIZE,
            info,
        };
        let info = Info {
            stream_refs,
            object_refs,
            stream,
            named_refs,
            content_type: self.content_type.bytes(),
            stream_size: self.size.into(),
        };
        Ok([header.as_bytes(), info.as_bytes(), streams, objects, &names, &body].concat())
    }
}
