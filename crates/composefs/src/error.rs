//! What can go wrong with a repository.

use std::io;
use std::path::{Path, PathBuf};

use hash::{Digest, FileDigest, Mismatch};

use crate::{Malformed, MetaError};

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The repository could not be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// There is no repository.
    #[error("{} is not a composefs repository: it has no meta.json", .0.display())]
    NoRepository(PathBuf),

    /// The host lacks what it takes.
    #[error("{} cannot be a composefs repository: that consists of symbolic links, and takes Linux", .0.display())]
    NoSymlinks(PathBuf),

    /// There is one already, made in another way.
    #[error("{} is a repository with other settings", .0.display())]
    Exists(PathBuf),

    /// `meta.json` is not what it should be.
    #[error("{}", path.display())]
    Meta {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: MetaError,
    },

    /// The repository demands fs-verity of all that is in it, and the filesystem has none.
    #[error("{} is to have fs-verity, which its filesystem does not have or has not enabled", .0.display())]
    NoVerity(PathBuf),

    /// The repository was opened for reading.
    #[error("{} uses features that only let it be read", .0.display())]
    ReadOnly(PathBuf),

    /// There is no such tag, stream or image.
    #[error("there is no {what} {name}")]
    Missing {
        /// Tag, stream, image or object.
        what: &'static str,
        /// Its name.
        name: String,
    },

    /// A stream is damaged.
    #[error("stream {name}")]
    Stream {
        /// Its name or digest.
        name: String,
        /// What is wrong with it.
        source: Malformed,
    },

    /// An object does not have the digest that names it.
    #[error("object {expected} has the digest {found}")]
    Object {
        /// Its name.
        expected: FileDigest,
        /// The digest of its bytes.
        found: FileDigest,
    },

    /// The bytes of a document or layer are not those that its digest names.
    #[error("{expected} has the digest {found}")]
    Content {
        /// Its name.
        expected: Digest,
        /// The digest of its bytes.
        found: Digest,
    },

    /// An image could not be mounted.
    #[error("cannot mount the image: the kernel refuses {step}{}{said}", if said.is_empty() { "" } else { ": " })]
    Mount {
        /// What the kernel was asked for.
        step: &'static str,
        /// What the kernel's filesystem said, if it said anything.
        said: String,
        /// What the system said.
        source: io::Error,
    },

    /// Bytes that are not those that were asked for.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),

    /// An image is damaged.
    #[error("image {digest}")]
    Image {
        /// Its name.
        digest: FileDigest,
        /// What is wrong with it.
        source: erofs::composefs::Corrupt,
    },
}

impl Error {
    /// Says what was tried when the system refused.
    pub(crate) fn io<E: Into<io::Error>>(action: &'static str, path: &Path) -> impl FnOnce(E) -> Error {
        let path = path.to_owned();
        move |source| Error::Io { action, path, source: source.into() }
    }
}
