//! Why the store did not do what was asked.

use std::io;
use std::path::{Path, PathBuf};

use hash::{Digest, Mismatch};

/// A store that failed, or that was given the wrong bytes.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system would not let us.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no home directory to have a store in.
    #[error("there is no place for the store: neither XDG_DATA_HOME nor HOME is set to an absolute path")]
    NoHome,
    /// The directory is used for something else.
    #[error("{} is not a store: it has no oci-layout file, and is not empty", path.display())]
    NotAStore {
        /// The directory.
        path: PathBuf,
    },
    /// The layout is of another version.
    #[error("{} has version \"{}\" of the image layout; only 1.0.0 is supported", path.display(), version.escape_debug())]
    Version {
        /// The store.
        path: PathBuf,
        /// What its oci-layout file says.
        version: String,
    },
    /// A file that is not a blob cannot be understood.
    #[error("{} is malformed: {cause}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        cause: String,
    },
    /// A symlink, a device or the like stands where a file should.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// Where.
        path: PathBuf,
    },
    /// A blob is not there.
    #[error("blob {digest} is not in the store")]
    Missing {
        /// The blob.
        digest: Digest,
    },
    /// A blob is there, but is not what it was.
    #[error("the stored blob {digest} is corrupt: {mismatch}")]
    Corrupt {
        /// The blob.
        digest: Digest,
        /// In which way.
        mismatch: Mismatch,
    },
    /// What was to be stored has not the digest or the size that it should have.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// The bytes to be stored could not be had.
    #[error("cannot fetch blob {digest}")]
    Fetch {
        /// The blob.
        digest: Digest,
        /// What its source said.
        source: io::Error,
    },
    /// Another process has it, and did not let go in time.
    #[error("{} is in use by another process", path.display())]
    InUse {
        /// What it has.
        path: PathBuf,
    },
    /// A running process needs it.
    #[error("image {digest} is in use by another process")]
    Needed {
        /// The manifest.
        digest: Digest,
    },
    /// What a tag leads to cannot be followed, so that nobody can say which blobs it needs.
    #[error("cannot tell which blobs \"{}\" needs", name.escape_debug())]
    Unreachable {
        /// The tag.
        name: String,
        /// What is wrong on the way.
        source: Box<Error>,
    },
    /// The store has no such tag.
    #[error("the store has no \"{}\"", name.escape_debug())]
    NoTag {
        /// What was asked for.
        name: String,
    },
    /// An image is to go, or to be treated as if it had no name, that has one.
    #[error("image {digest} has the name \"{}\"", name.escape_debug())]
    Tagged {
        /// The manifest.
        digest: Digest,
        /// One of its names.
        name: String,
    },
    /// Not all of an image is in the store.
    #[error("image {digest} is not whole in the store: {missing} of its blobs are missing")]
    Incomplete {
        /// The manifest.
        digest: Digest,
        /// How many blobs it lacks.
        missing: usize,
    },
    /// The caller did not want to go on.
    #[error("cancelled")]
    Cancelled,
    /// A document is malformed, too large, or of an unsupported kind.
    #[error(transparent)]
    Document(#[from] oci::Error),
}

impl Error {
    /// The blob that is to be [discarded](crate::Store::discard) and fetched again, if that is what is wrong.
    pub fn corrupt_blob(&self) -> Option<Digest> {
        match self {
            Error::Corrupt { digest, .. } => Some(*digest),
            _ => None,
        }
    }

    /// For `map_err`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::Io { action, path: path.into(), source }
    }
}
