//! Why a local source cannot be used.

use std::io;
use std::path::{Path, PathBuf};

use hash::{Digest, Mismatch};

/// A layout or an archive that cannot be read, or does not have what is wanted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system would not let us.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It lacks the file that makes it what it should be.
    #[error("{} is not {what}: it has no {file}", path.display())]
    Kind {
        /// Where the source is.
        path: PathBuf,
        /// What it should be.
        what: &'static str,
        /// The file that it would have.
        file: &'static str,
    },
    /// It is what another transport reads.
    #[error("{} is not {what}; {hint}", path.display())]
    OtherKind {
        /// Where the source is.
        path: PathBuf,
        /// What it should be.
        what: &'static str,
        /// What it is.
        hint: &'static str,
    },
    /// The layout is of another version.
    #[error("{} has version \"{}\" of the image layout; only 1.x is supported", path.display(), version.escape_debug())]
    Version {
        /// The layout.
        path: PathBuf,
        /// Its version.
        version: String,
    },
    /// A file in it cannot be understood.
    #[error("{file} in {} is malformed: {cause}", path.display())]
    Malformed {
        /// Where the source is.
        path: PathBuf,
        /// The file in it, escaped.
        file: String,
        /// What the parser said.
        cause: String,
    },
    /// There is nothing in it.
    #[error("{} holds no image", path.display())]
    Empty {
        /// Where the source is.
        path: PathBuf,
    },
    /// There is more than one image, and none was chosen.
    #[error("{} holds several images, and none is chosen: {}", path.display(), names.join(", "))]
    Ambiguous {
        /// Where the source is.
        path: PathBuf,
        /// What can be chosen, escaped.
        names: Vec<String>,
    },
    /// The chosen image is not there.
    #[error("{} holds no image \"{}\"; there is {}", path.display(), name.escape_debug(), names.join(", "))]
    NoSuchName {
        /// Where the source is.
        path: PathBuf,
        /// What was chosen.
        name: String,
        /// What there is, escaped.
        names: Vec<String>,
    },
    /// A document names a blob that is not there.
    #[error("blob {digest} is missing in {}", path.display())]
    MissingBlob {
        /// Where the source is.
        path: PathBuf,
        /// The blob.
        digest: Digest,
    },
    /// An archive's list names a file that is not there.
    #[error("{} names the file {name}, but does not have it", path.display())]
    MissingFile {
        /// Where the source is.
        path: PathBuf,
        /// The file, escaped.
        name: String,
    },
    /// A name leads out of the archive.
    #[error("{} names the file {name}, which leads out of the archive", path.display())]
    Escape {
        /// Where the source is.
        path: PathBuf,
        /// The file, escaped.
        name: String,
    },
    /// A blob is a symlink, a device or the like.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// The blob.
        path: PathBuf,
    },
    /// A file of an archive is a directory, a device or the like, or links lead nowhere.
    #[error("{name} in {} is not a regular file", path.display())]
    NotAMember {
        /// Where the source is.
        path: PathBuf,
        /// The file, escaped.
        name: String,
    },
    /// A blob has other bytes than its name says.
    #[error("blob {digest} in {} is not what its name says", path.display())]
    Mismatch {
        /// Where the source is.
        path: PathBuf,
        /// The blob.
        digest: Digest,
        /// In which way.
        #[source]
        mismatch: Mismatch,
    },
    /// The archive cannot be read.
    #[error("cannot read the archive {}", path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        fault: layer::Error,
    },
    /// There is no room to expand a compressed archive.
    #[error("cannot expand {} into {}", path.display(), scratch.display())]
    Scratch {
        /// The archive.
        path: PathBuf,
        /// The directory.
        scratch: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`.
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::Io { path: path.into(), source }
    }
}
