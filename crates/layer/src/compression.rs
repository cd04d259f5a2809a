//! Telling how a blob is compressed, and expanding it as it streams by.

mod gzip;
mod zstandard;

use std::io::{self, BufRead, Cursor, Read};

use crate::error::{Cap, Error};

/// How many bytes a layer may expand to: several times the largest images in use (machine learning, about
/// 100 GB), far below what fills a disk array unnoticed.
pub const EXPANDED_MAX: u64 = 256 << 30;

/// How many bytes may come out for each that goes in. Real layers reach 4, disk images in a layer 50; deflate
/// itself ends at 1032, and zstd reaches 10,000 and more with nothing but zeros.
pub const RATIO_MAX: u64 = 250;

/// Up to here the ratio is not looked at, so that one large empty file in a small layer does no harm.
pub const RATIO_FREE: u64 = 1 << 30;

/// Base-2 logarithm of the largest window that a zstd frame may ask for, which is memory: 128 MiB, what the
/// `zstd` command takes without `--long`.
pub const WINDOW_LOG_MAX: u32 = 27;

/// Limits that an [`Expander`] keeps to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes to come out; [`EXPANDED_MAX`].
    pub expanded: u64,
    /// Most bytes to come out for each that went in; [`RATIO_MAX`].
    pub ratio: u64,
    /// Bytes that may come out before the ratio counts; [`RATIO_FREE`].
    pub ratio_free: u64,
    /// Base-2 logarithm of the largest zstd window; [`WINDOW_LOG_MAX`].
    pub window_log: u32,
}

impl Limits {
    /// Most bytes that may come out of so many.
    pub fn most(&self, compressed: u64) -> u64 {
        let most = compressed.saturating_add(1).saturating_mul(self.ratio.max(1));
        most.max(self.ratio_free).min(self.expanded)
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            expanded: EXPANDED_MAX,
            ratio: RATIO_MAX,
            ratio_free: RATIO_FREE,
            window_log: WINDOW_LOG_MAX,
        }
    }
}

/// How a layer's blob is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all: a plain tarball.
    None,
    /// gzip, RFC 1952.
    Gzip,
    /// zstd, RFC 8878.
    Zstd,
}

/// As many of a blob's first bytes as [`Compression::sniff`] looks at.
pub const SNIFFED: usize = 10;

impl Compression {
    /// Tells from a blob's first bytes, [`SNIFFED`] of them or all there are. What is not recognised is taken
    /// for a plain tarball, so that the tar reader says what is wrong with it.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for the formats that no layer may have (xz, bzip2, lz4, lzip, zip, compress).
    pub fn sniff(start: &[u8]) -> Result<Compression, Error> {
        let other = match start {
            [0x1f, 0x8b, ..] => return Ok(Compression::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
                return Ok(Compression::Zstd);
            }
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => "xz",
            // Behind "BZh" and the block size stands pi, so that a file's name cannot look like it.
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, ..] => "bzip2",
            [0x04, 0x22, 0x4d, 0x18, ..] => "lz4",
            [b'L', b'Z', b'I', b'P', 1, ..] => "lzip",
            [b'P', b'K', 3, 4, ..] => "zip",
            [0x1f, 0x9d, ..] => "compress (.Z)",
            _ => return Ok(Compression::None),
        };
        Err(Error::unsupported(format!(
            "layer is compressed with {other}; gzip, zstd and plain tar are supported"
        )))
    }
}

/// Expands a blob while it is read. The bytes decide how; ask [`Expander::compression`] and compare it with
/// the media type.
///
/// Reading fails with an [`io::Error`] that carries an [`Error`]: `Corrupt` for damage (truncation, checksums,
/// bytes behind the end), `Unsupported` for a zstd dictionary, `Limit` where one is crossed.
pub struct Expander<R> {
    format: Format<Head<R>>,
    limits: Limits,
    /// Bytes handed out so far.
    expanded: u64,
}

/// The input with the bytes back in front that sniffing took from it.
type Head<R> = io::Chain<Cursor<Vec<u8>>, R>;

enum Format<R> {
    None(R),
    Gzip(gzip::Gzip<R>),
    Zstd(zstandard::Zstd<R>),
}

impl<R: BufRead> Expander<R> {
    /// Looks at the first bytes of `blob` and makes ready to expand it.
    pub fn new(mut blob: R, limits: Limits) -> Result<Expander<R>, Error> {
        let mut start = Vec::new();
        if let Err(source) = blob.by_ref().take(SNIFFED as u64).read_to_end(&mut start) {
            return Err(Error::from_io(source, "reading the blob"));
        }
        let compression = Compression::sniff(&start)?;
        let blob = Cursor::new(start).chain(blob);
        let format = match compression {
            Compression::None => Format::None(blob),
            Compression::Gzip => Format::Gzip(gzip::Gzip::new(blob)),
            Compression::Zstd => Format::Zstd(zstandard::Zstd::new(blob, limits.window_log)?),
        };
        Ok(Expander { format, limits, expanded: 0 })
    }

    /// Leaves out gzip's checksums: for a blob that is known by its digest to have expanded without a fault
    /// before.
    pub fn without_checksums(mut self) -> Expander<R> {
        if let Format::Gzip(gzip) = &mut self.format {
            gzip.checks = false;
        }
        self
    }

    /// How the blob is compressed.
    pub fn compression(&self) -> Compression {
        match self.format {
            Format::None(_) => Compression::None,
            Format::Gzip(_) => Compression::Gzip,
            Format::Zstd(_) => Compression::Zstd,
        }
    }

    /// Bytes that came out so far.
    pub fn expanded(&self) -> u64 {
        self.expanded
    }

    /// Whether `next` more bytes stay below the limits.
    fn check(&self, next: usize) -> Result<(), Error> {
        let expanded = self.expanded + next as u64;
        if expanded > self.limits.expanded {
            return Err(Error::limit(Cap::ExpandedBytes, self.limits.expanded));
        }
        let compressed = match &self.format {
            Format::None(_) => return Ok(()),
            Format::Gzip(gzip) => gzip.consumed(),
            Format::Zstd(zstd) => zstd.consumed(),
        };
        if expanded > self.limits.ratio_free && expanded / self.limits.ratio.max(1) > compressed {
            return Err(Error::limit(Cap::Ratio, self.limits.ratio));
        }
        Ok(())
    }
}

/// Expands straight into what it is given, which had better be large.
impl<R: BufRead> Read for Expander<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = match &mut self.format {
            Format::None(blob) => blob.read(into)?,
            Format::Gzip(gzip) => gzip.expand(into)?,
            Format::Zstd(zstd) => zstd.expand(into)?,
        };
        self.check(length)?;
        self.expanded += length as u64;
        Ok(length)
    }
}
