//! Why a rootfs was not shared, or not taken.

use std::io;
use std::path::PathBuf;

use hash::{Digest, Mismatch};
use oci::Reference;

/// A push that failed, or a rootfs that cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The registry did not give or take it.
    #[error("{0}")]
    Registry(#[from] registry::Error),
    /// A blob could not be sent.
    #[error("{0}")]
    Send(#[from] crate::copy::Error),
    /// The image is not where its rootfs is to be.
    #[error("{reference} is not there: push the image first, since its rootfs is found through it")]
    NoImage {
        /// The image.
        reference: Reference,
    },
    /// A directory of the host is no file.
    #[error("a directory cannot be shared: it is not one file")]
    Directory,
    /// The rootfs cannot be read, or what comes of it not be written.
    #[error("cannot pack {}", path.display())]
    Pack {
        /// The rootfs.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// The output cannot be written.
    #[error("cannot write {}", path.display())]
    Output {
        /// The output.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// The artifact is not what it should be.
    #[error("prebuilt rootfs {artifact} is malformed: {cause}")]
    Malformed {
        /// The artifact.
        artifact: Digest,
        /// What is wrong with it.
        cause: &'static str,
    },
    /// The rootfs is larger than an image may expand to.
    #[error("prebuilt rootfs {artifact} has {size} bytes, more than the limit of {limit}")]
    TooLarge {
        /// The artifact.
        artifact: Digest,
        /// Its rootfs's size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A part of it cannot be expanded.
    #[error("part {} of prebuilt rootfs {artifact} is damaged", number + 1)]
    Part {
        /// The artifact.
        artifact: Digest,
        /// Number of the part, from 0.
        number: usize,
        /// What is wrong with it.
        #[source]
        cause: io::Error,
    },
    /// It has other bytes than it says.
    #[error("prebuilt rootfs {artifact} is damaged: {mismatch}")]
    Damaged {
        /// The artifact.
        artifact: Digest,
        /// In which way.
        mismatch: Mismatch,
    },
}
