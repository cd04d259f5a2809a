//! Where images are copied from and to, and how that is written.

use std::fmt;
use std::str::FromStr;

use oci::{Reference, ReferenceError};

use crate::source::{Source, SourceError};

/// How images of the store are written.
const STORE: &str = "store:";

/// A place for images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A tag of the store.
    Store(Reference),
    /// Any other.
    Elsewhere(Source),
}

/// Why text is no [`Place`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// No place at all.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// No tag of the store.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// A name that may be one in a registry or one in the store.
    #[error("\"{0}\" may be in a registry or in the store: docker://{0} or store:{0} says which")]
    Ambiguous(String),
}

impl Place {
    /// Reads a destination: as a source is written, but a name says whether it is in a registry (`docker://NAME`) or
    /// in the store (`store:NAME`).
    pub fn destination(text: &str) -> Result<Place, PlaceError> {
        let place: Place = text.parse()?;
        match &place {
            Place::Elsewhere(Source::Registry(_)) if !text.starts_with("docker://") => {
                Err(PlaceError::Ambiguous(text.into()))
            }
            _ => Ok(place),
        }
    }

    /// The same as a source. What is in the store has a registry's name, but the registry is not to be asked.
    pub fn source(&self) -> Source {
        match self {
            Place::Store(reference) => Source::Registry(reference.clone()),
            Place::Elsewhere(source) => source.clone(),
        }
    }

    /// Whether an index of several images can be kept there.
    pub(super) fn holds_indexes(&self) -> bool {
        !matches!(self, Place::Elsewhere(Source::DockerArchive { .. }))
    }
}

impl FromStr for Place {
    type Err = PlaceError;

    /// Reads `store:NAME[:TAG]`, and whatever is a [`Source`].
    fn from_str(text: &str) -> Result<Place, PlaceError> {
        match text.strip_prefix(STORE) {
            Some(name) if name.starts_with("docker://") => {
                Err(ReferenceError::Repository(name.into()).into())
            }
            Some(name) => Ok(Place::Store(name.parse()?)),
            None => Ok(Place::Elsewhere(text.parse()?)),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Store(reference) => write!(f, "{STORE}{reference}"),
            Place::Elsewhere(Source::Registry(reference)) => write!(f, "docker://{reference}"),
            Place::Elsewhere(source) => source.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        for (text, shown) in [
            ("store:alpine", "store:docker.io/library/alpine:latest"),
            ("docker://alpine", "docker://docker.io/library/alpine:latest"),
            ("oci:a:b", "oci:a:b"),
            ("oci-archive:x.tar", "oci-archive:x.tar"),
            ("docker-archive:x.tar:a:b", "docker-archive:x.tar:a:b"),
        ] {
            let place = Place::destination(text).unwrap();
            assert_eq!(place.to_string(), shown);
            assert_eq!(shown.parse::<Place>(), Ok(place), "again");
        }
    }

    #[test]
    fn what_is_no_destination() {
        for (text, said) in [
            (
                "alpine:3",
                "\"alpine:3\" may be in a registry or in the store: docker://alpine:3 or store:alpine:3 says which",
            ),
            ("store:", "empty image name"),
            ("oci:", "oci: needs a path"),
        ] {
            assert_eq!(Place::destination(text).unwrap_err().to_string(), said, "{text}");
        }
        assert!(Place::destination("store:docker://alpine").is_err());
        assert!("alpine".parse::<Place>().is_ok());
    }
}
