//! What can be wrong with a layer, and where.

use std::borrow::Cow;
use std::fmt;
use std::io;

use tree::escape;

/// Why a layer cannot be read, or a tree not written. The caller adds the layer's digest.
///
/// An `Error` survives a trip through [`io::Error`]: what an [`Expander`](crate::Expander) finds while
/// somebody reads from it comes out of [`read`](crate::read()) as it went in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading the input or storing the output failed; the layer itself is not to blame.
    #[error("{place}{action} failed")]
    Io {
        /// Where it happened.
        place: Place,
        /// What was being done.
        action: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// The bytes are well formed, and what they say is refused.
    #[error("{place}{what}")]
    Invalid {
        /// Where it stands.
        place: Place,
        /// What is wrong.
        what: Cow<'static, str>,
    },
    /// Something that exists and that is not handled.
    #[error("{place}{what}")]
    Unsupported {
        /// Where it stands.
        place: Place,
        /// What it is.
        what: Cow<'static, str>,
    },
    /// The bytes do not follow their format: damaged, cut off, or never right.
    #[error("{place}{what}")]
    Corrupt {
        /// Where it stands.
        place: Place,
        /// What is wrong.
        what: Cow<'static, str>,
    },
    /// Something is larger than its limit.
    #[error("{place}{cap} than the limit of {limit}")]
    Limit {
        /// Where it stands.
        place: Place,
        /// Which limit.
        cap: Cap,
        /// Its value.
        limit: u64,
    },
}

/// Where in an archive something is wrong. Shown as a prefix, or as nothing where nothing is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// Index of the entry, from 0; headers that only extend another entry are not counted.
    pub entry: Option<u64>,
    /// The entry's name as the archive spells it; raw bytes, empty where unknown.
    pub name: Box<[u8]>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.entry, self.name.is_empty()) {
            (Some(entry), true) => write!(f, "entry {entry}: "),
            (Some(entry), false) => write!(f, "entry {entry} ({}): ", escape(&self.name)),
            (None, true) => Ok(()),
            (None, false) => write!(f, "{}: ", escape(&self.name)),
        }
    }
}

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cap {
    /// Entries of an archive.
    Entries,
    /// Bytes that a blob expands to.
    ExpandedBytes,
    /// Expanded bytes for each compressed one.
    Ratio,
    /// Bytes of memory that a zstd frame asks for.
    Window,
    /// Bytes of the headers that extend one entry (long names, pax records).
    HeaderBytes,
    /// Runs of data in one sparse file.
    SparseSegments,
    /// Bytes of names, link targets and attributes in an archive.
    MetadataBytes,
    /// Bytes behind an archive's end.
    TrailingBytes,
}

impl fmt::Display for Cap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cap::Entries => "more entries",
            Cap::ExpandedBytes => "expands to more bytes",
            Cap::Ratio => "expands to more bytes for each compressed one",
            Cap::Window => "zstd window of more bytes",
            Cap::HeaderBytes => "more bytes of extension headers",
            Cap::SparseSegments => "more runs of data in a sparse file",
            Cap::MetadataBytes => "more bytes of names, links and attributes",
            Cap::TrailingBytes => "more bytes behind the end of the archive",
        })
    }
}

impl Error {
    pub(crate) fn invalid(what: impl Into<Cow<'static, str>>) -> Error {
        Error::Invalid { place: Place::default(), what: what.into() }
    }

    pub(crate) fn unsupported(what: impl Into<Cow<'static, str>>) -> Error {
        Error::Unsupported { place: Place::default(), what: what.into() }
    }

    pub(crate) fn corrupt(what: impl Into<Cow<'static, str>>) -> Error {
        Error::Corrupt { place: Place::default(), what: what.into() }
    }

    pub(crate) fn limit(cap: Cap, limit: u64) -> Error {
        Error::Limit { place: Place::default(), cap, limit }
    }

    /// Takes out of an [`io::Error`] the `Error` that it carries; another one becomes [`Error::Io`].
    pub(crate) fn from_io(source: io::Error, action: &'static str) -> Error {
        match source.downcast::<Error>() {
            Ok(error) => error,
            Err(source) => Error::Io { place: Place::default(), action, source },
        }
    }

    /// Adds where it happened, unless something nearer to the cause has said so.
    pub(crate) fn at(mut self, entry: u64, name: &[u8]) -> Error {
        let place = self.place_mut();
        if place.entry.is_none() {
            place.entry = Some(entry);
        }
        if place.name.is_empty() {
            place.name = name.into();
        }
        self
    }

    /// Where it happened, as far as it is known.
    pub fn place(&self) -> &Place {
        match self {
            Error::Io { place, .. }
            | Error::Invalid { place, .. }
            | Error::Unsupported { place, .. }
            | Error::Corrupt { place, .. }
            | Error::Limit { place, .. } => place,
        }
    }

    /// Adds the path of a tree at which writing failed.
    pub(crate) fn below(mut self, path: &[u8]) -> Error {
        let name = if path.is_empty() { &b"/"[..] } else { path };
        if self.place().name.is_empty() {
            *self.place_mut() = Place { entry: None, name: name.into() };
        }
        self
    }

    pub(crate) fn place_mut(&mut self) -> &mut Place {
        match self {
            Error::Io { place, .. }
            | Error::Invalid { place, .. }
            | Error::Unsupported { place, .. }
            | Error::Corrupt { place, .. }
            | Error::Limit { place, .. } => place,
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        match error {
            Error::Io { source, .. } => source,
            error => io::Error::new(io::ErrorKind::InvalidData, error),
        }
    }
}
