//! Where images come from, and how that is written.
//!
//! A source says which document to start at, gives documents by their digests, and brings blobs into a store.
//! Everything else about pulling is the same for all of them.

mod archive;
pub(crate) mod docker_archive;
mod error;
pub(crate) mod layout;
pub(crate) mod listing;
pub(crate) mod oci_archive;
mod registry;

use std::fmt;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use oci::{Descriptor, Platform, Reference, ReferenceError};
use store::Store;

use crate::pull;

pub use error::Error;

use docker_archive::DockerArchive;
use layout::Layout;
use oci_archive::OciArchive;
use registry::Registry;

/// Where an image comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A registry, or the store if it has been pulled before.
    Registry(Reference),
    /// A directory that is an OCI image layout.
    Layout {
        /// The directory.
        path: PathBuf,
        /// Which of its images.
        reference: Option<String>,
    },
    /// A tarball of an OCI image layout.
    OciArchive {
        /// The tarball, plain or compressed.
        path: PathBuf,
        /// Which of its images.
        reference: Option<String>,
    },
    /// What `docker save` writes.
    DockerArchive {
        /// The tarball, plain or compressed.
        path: PathBuf,
        /// Which of its images.
        reference: Option<String>,
    },
}

/// Why text is no [`Source`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// A transport of skopeo's or podman's that this program has not.
    #[error(
        "the transport {0}: is not supported (docker://, oci:, oci-archive: and docker-archive: are); \
         an image of that name is docker://{0}:…"
    )]
    Transport(&'static str),
    /// Nothing stands behind the transport.
    #[error("{0}: needs a path")]
    NoPath(&'static str),
    /// It is a name of a registry's image, but an invalid one.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
}

/// What other tools have that read the same names.
const OTHER_TRANSPORTS: &[&str] =
    &["containers-storage", "dir", "docker-daemon", "ostree", "sif", "tarball", "atomic"];

impl FromStr for Source {
    type Err = SourceError;

    /// Reads `[docker://]NAME[:TAG][@DIGEST]`, `oci:DIR[:REF]`, `oci-archive:FILE[:REF]` and
    /// `docker-archive:FILE[:REF]`. As with skopeo, a path ends at its first colon;
    /// that of a drive is none.
    fn from_str(text: &str) -> Result<Source, SourceError> {
        if let Some((transport, rest)) = text.split_once(':') {
            let drive = host::drive(rest.as_bytes());
            let end = rest[drive..].find(':').map_or(rest.len(), |colon| drive + colon);
            let (path, reference) = (&rest[..end], rest.get(end + 1..).unwrap_or_default());
            let located = |transport| match (path, reference) {
                ("", _) => Err(SourceError::NoPath(transport)),
                (path, "") => Ok((PathBuf::from(path), None)),
                (path, reference) => Ok((PathBuf::from(path), Some(reference.to_string()))),
            };
            match transport {
                "oci" => {
                    return located("oci").map(|(path, reference)| Source::Layout { path, reference });
                }
                "oci-archive" => {
                    return located("oci-archive")
                        .map(|(path, reference)| Source::OciArchive { path, reference });
                }
                "docker-archive" => {
                    return located("docker-archive")
                        .map(|(path, reference)| Source::DockerArchive { path, reference });
                }
                _ => {}
            }
            if let Some(other) = OTHER_TRANSPORTS.iter().find(|other| transport == **other) {
                return Err(SourceError::Transport(other));
            }
        }
        Ok(Source::Registry(text.parse()?))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (transport, path, reference) = match self {
            Source::Registry(reference) => return reference.fmt(f),
            Source::Layout { path, reference } => ("oci", path, reference),
            Source::OciArchive { path, reference } => ("oci-archive", path, reference),
            Source::DockerArchive { path, reference } => ("docker-archive", path, reference),
        };
        write!(f, "{transport}:{}", path.display())?;
        reference.as_ref().map_or(Ok(()), |reference| write!(f, ":{}", reference.escape_debug()))
    }
}

/// Is told how many bytes of a blob are there, and says whether to go on.
pub(crate) type Progress<'a> = &'a dyn Fn(u64) -> ControlFlow<()>;

/// A source that has been opened. Threads share it.
pub(crate) trait Origin: Send + Sync {
    /// What names the document to start at.
    fn root(&self, platform: &Platform) -> Result<Descriptor, pull::Error>;

    /// The bytes of a document, verified.
    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, pull::Error>;

    /// Brings a blob into the store.
    fn put(&self, descriptor: &Descriptor, store: &Store, progress: Progress<'_>) -> Result<(), pull::Error>;
}

impl Source {
    /// Opens a source. A registry is not asked yet, and of the others lists of contents are read. A compressed
    /// archive is expanded into a file without a name in `scratch`.
    pub(crate) fn open<'a>(
        &'a self,
        scratch: &Path,
        registry: &::registry::Options,
    ) -> Result<Box<dyn Origin + 'a>, pull::Error> {
        Ok(match self {
            Source::Registry(reference) => {
                Box::new(Registry::new(::registry::Client::new(registry.clone())?, reference))
            }
            Source::Layout { path, reference } => Box::new(Layout::open(path, reference.as_deref())?),
            Source::OciArchive { path, reference } => {
                Box::new(OciArchive::open(path, reference.as_deref(), scratch)?)
            }
            Source::DockerArchive { path, reference } => {
                Box::new(DockerArchive::open(path, reference.as_deref(), scratch)?)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        for (text, shown) in [
            ("alpine", "docker.io/library/alpine:latest"),
            ("docker://alpine:3", "docker.io/library/alpine:3"),
            ("docker://dir:latest", "docker.io/library/dir:latest"),
            ("localhost:5000/oci:v1", "localhost:5000/oci:v1"),
            ("oci:a/b", "oci:a/b"),
            ("oci:/a/b:", "oci:/a/b"),
            ("oci:a:docker.io/library/alpine:3", "oci:a:docker.io/library/alpine:3"),
            ("oci-archive:x.tar:v1", "oci-archive:x.tar:v1"),
            ("docker-archive:x.tar:@0", "docker-archive:x.tar:@0"),
        ] {
            let source: Source = text.parse().unwrap();
            assert_eq!(source.to_string(), shown);
            assert_eq!(shown.parse::<Source>(), Ok(source), "again");
        }
    }

    #[test]
    fn what_is_no_source() {
        for (text, said) in [
            (
                "containers-storage:alpine",
                "the transport containers-storage: is not supported (docker://, oci:, oci-archive: and \
                 docker-archive: are); an image of that name is docker://containers-storage:…",
            ),
            ("oci:", "oci: needs a path"),
            ("oci::x", "oci: needs a path"),
            ("docker-archive:", "docker-archive: needs a path"),
            ("", "empty image name"),
        ] {
            assert_eq!(text.parse::<Source>().unwrap_err().to_string(), said, "{text}");
        }
        assert!("dir:/x".parse::<Source>().is_err());
        assert!("/x".parse::<Source>().is_err());
    }
}
