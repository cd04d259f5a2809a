//! Why an image was not copied.

use std::io;
use std::path::{Path, PathBuf};

use hash::Digest;
use oci::{Descriptor, Reference};

use crate::pull;

/// A copy that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The source did not give it, or a registry did not take it.
    #[error("{0}")]
    Pull(#[from] pull::Error),
    /// The store failed.
    #[error("{0}")]
    Store(#[from] store::Error),
    /// The composefs repository that it comes from failed.
    #[error("{0}")]
    Composefs(#[from] composefs::Error),
    /// A blob could not be copied.
    #[error("cannot copy blob {blob}")]
    Blob {
        /// The blob.
        blob: Digest,
        /// Why.
        #[source]
        cause: Box<Error>,
    },
    /// The destination cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// The directory is used for something else.
    #[error("{} is not an OCI image layout: it has no oci-layout file, and is not empty", path.display())]
    NotALayout {
        /// The directory.
        path: PathBuf,
    },
    /// A file of the layout cannot be understood, so that nothing can be added to it.
    #[error("{} is malformed: {cause}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// The layout is the store itself, which has a list of tags of its own.
    #[error("{} is the store: store:NAME names what is in it", path.display())]
    IsTheStore {
        /// The directory.
        path: PathBuf,
    },
    /// A name that such an archive cannot have.
    #[error("invalid name \"{}\" for an image in an archive of docker save: it is NAME:TAG", name.escape_debug())]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        #[source]
        fault: oci::ReferenceError,
    },
    /// The destination names by its digest what it does not get.
    #[error("the destination is {wanted}, but the image is {found}")]
    OtherDigest {
        /// The destination.
        wanted: Reference,
        /// The image's digest.
        found: Digest,
    },
    /// There are many images, and room for one.
    #[error("{place} can hold one image, not an index of several")]
    OneImage {
        /// The destination.
        place: String,
    },
    /// What the image is made of cannot be copied there.
    #[error("cannot use the image")]
    Image(#[source] oci::Error),
    /// A layer cannot be expanded.
    #[error("cannot expand layer {} ({blob})", number + 1)]
    Layer {
        /// Number of the layer, from 0.
        number: usize,
        /// Its blob.
        blob: Digest,
        /// Why.
        #[source]
        fault: Box<crate::LayerFault>,
    },
    /// The store has several images of the name, from more than one index.
    #[error(
        "the store has images of {reference} that were chosen from several indexes: copy one platform at a time"
    )]
    SeveralIndexes {
        /// The name.
        reference: Reference,
    },
}

impl Error {
    /// For `map_err`.
    pub(crate) fn write(path: &Path) -> impl FnOnce(io::Error) -> Error {
        move |cause| Error::Write { path: path.into(), cause }
    }

    /// Says about which blob it is.
    pub(crate) fn about(self, blob: &Descriptor) -> Error {
        Error::Blob { blob: blob.digest, cause: Box::new(self) }
    }

    /// The blob in the store that is to be fetched again, if that is what is wrong.
    pub(super) fn corrupt_blob(&self) -> Option<Digest> {
        match self {
            Error::Store(error) => error.corrupt_blob(),
            Error::Pull(pull::Error::Store(error)) => error.corrupt_blob(),
            Error::Blob { cause, .. } => cause.corrupt_blob(),
            _ => None,
        }
    }
}

impl From<::registry::Error> for Error {
    fn from(error: ::registry::Error) -> Error {
        pull::Error::from(error).into()
    }
}
