//! Why a rootfs could not be built.

use std::io;
use std::path::PathBuf;

use hash::{Digest, Mismatch};

/// A build that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The image could not be brought into the store.
    #[error(transparent)]
    Pull(#[from] crate::pull::Error),
    /// It could not, for a reason that whoever pulled it knows.
    #[error("the image was not pulled")]
    NotPulled,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A layer could not be read.
    #[error("layer {} ({blob})", number + 1)]
    Layer {
        /// Number of the layer, from 0.
        number: u32,
        /// Its blob.
        blob: Digest,
        /// What is wrong with it.
        #[source]
        fault: Box<LayerFault>,
    },
    /// A layer does not make sense on top of those below it.
    #[error("{blob}")]
    Apply {
        /// The layer's blob.
        blob: Digest,
        /// What is wrong.
        #[source]
        fault: tree::Error,
    },
    /// The image has no layer with anything in it.
    #[error("the image is empty: its layers hold not one file (--allow-empty builds it all the same)")]
    Empty,
    /// Contents that wait to be written could not be read again.
    #[error("cannot read from the scratch directory")]
    Spool(#[source] io::Error),
    /// The tree does not fit the format.
    #[error("cannot make an ext4 filesystem")]
    Ext4(#[source] ext4::Error),
    /// The tree does not fit the format.
    #[error("cannot make an EROFS filesystem")]
    Erofs(#[source] erofs::Error),
    /// The filesystem cannot be a partition.
    #[error("cannot make a disk")]
    Frame(#[from] crate::frame::Unframeable),
    /// The tree does not fit the format.
    #[error("cannot make a composefs image")]
    Image(#[source] erofs::composefs::Error),
    /// The tree cannot be booted.
    #[error("cannot make the composefs image that is booted")]
    Boot(#[source] crate::compose::BootError),
    /// The composefs repository failed.
    #[error(transparent)]
    Composefs(#[from] composefs::Error),
    /// The tree could not be written as a tarball or cpio archive.
    #[error("cannot write the archive")]
    Archive(#[source] layer::Error),
    /// The image could not be packed for LiteBox.
    #[error(transparent)]
    Pack(#[from] crate::pack::PackError),
    /// The tree could not be written as a directory.
    #[error("cannot write the directory {}", path.display())]
    Directory {
        /// The output.
        path: PathBuf,
        /// What went wrong.
        #[source]
        fault: crate::directory::Error,
    },
    /// The output could not be written.
    #[error("cannot write {}", path.display())]
    Output {
        /// The output.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// The stream could not be written to; mostly it was closed by who reads it.
    #[error("cannot write the output stream")]
    Stream(#[source] io::Error),
}

/// What is wrong with a layer.
#[derive(Debug, thiserror::Error)]
pub enum LayerFault {
    /// The stored blob is not what it was.
    #[error("the stored blob is corrupt")]
    Corrupt(#[source] Mismatch),
    /// The stored blob cannot be read.
    #[error("cannot read the stored blob")]
    Blob(#[source] io::Error),
    /// The spool cannot be written.
    #[error("cannot write to the scratch directory")]
    Spool(#[source] io::Error),
    /// The tarball that it expands to cannot be written.
    #[error("cannot write the expanded layer")]
    Tarball(#[source] io::Error),
    /// Its bytes, expanded, are not those that the config names.
    #[error("diff ID mismatch: expected {expected}, found {found}")]
    DiffId {
        /// What the config says.
        expected: Digest,
        /// What the bytes have.
        found: Digest,
    },
    /// It is compressed in another way than its media type says.
    #[error("compressed in another way than its media type {} says", .stated.escape_debug())]
    MediaType {
        /// The media type.
        stated: String,
    },
    /// All layers together expand to too many bytes.
    #[error("the image expands to more bytes than the limit of {limit}")]
    ImageTooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// It is not what an earlier read left as its outline. Whoever started from outlines begins anew.
    #[error("the stored outline is not the layer's")]
    Outline,
    /// All layers together have too many entries.
    #[error("the image has more entries than the limit of {limit}")]
    ImageEntries {
        /// The limit.
        limit: u64,
    },
    /// It is malformed, hostile or beyond a limit.
    #[error(transparent)]
    Layer(layer::Error),
}

impl Error {
    /// The blob whose outline in the store is not its own, if that is what is wrong: whoever begins anew will not
    /// meet it again.
    pub fn wrong_outline(&self) -> Option<Digest> {
        match self {
            Error::Layer { blob, fault, .. } if matches!(**fault, LayerFault::Outline) => Some(*blob),
            _ => None,
        }
    }

    /// The blob in the store that is to be fetched again, if that is what is wrong.
    pub fn corrupt_blob(&self) -> Option<Digest> {
        match self {
            Error::Store(error) => error.corrupt_blob(),
            Error::Layer { blob, fault, .. } if matches!(**fault, LayerFault::Corrupt(_)) => Some(*blob),
            _ => None,
        }
    }
}
