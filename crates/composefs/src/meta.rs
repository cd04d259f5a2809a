//! `meta.json`: what kind of repository it is.

use erofs::composefs::Version;
use hash::Algorithm;
use serde::{Deserialize, Serialize};

/// The version of the document.
const VERSION: u32 = 1;
/// The feature of repositories whose images have the first format by default.
const V1_EROFS: &str = "v1_erofs";

/// What kind of repository it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// The hash function of objects' digests.
    pub algorithm: Algorithm,
    /// The format of images.
    pub version: Version,
    /// Formats of which each image has one more.
    pub extra: Vec<Version>,
    /// Whether it has features that allow nothing but reading.
    pub read_only: bool,
}

impl Default for Meta {
    fn default() -> Meta {
        Meta {
            algorithm: Algorithm::Sha512,
            version: Version::default(),
            extra: Vec::new(),
            read_only: false,
        }
    }
}

/// Why a document does not describe a repository.
#[derive(Debug, thiserror::Error)]
pub enum MetaError {
    /// It is not the document that it should be.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// It is newer than this program.
    #[error("version {0} of the document is not supported")]
    Version(u32),
    /// The repository uses something that this program does not know.
    #[error("the feature \"{}\" is not supported", .0.escape_default())]
    Feature(String),
    /// An unknown algorithm.
    #[error("the algorithm \"{}\" is not supported", .0.escape_default())]
    Algorithm(String),
    /// An unknown format of images.
    #[error("version {0} of composefs images is not supported")]
    Images(u32),
}

#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    algorithm: String,
    #[serde(default)]
    features: Features,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    erofs_formats: Option<Formats>,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct Features {
    compatible: Vec<String>,
    read_only_compatible: Vec<String>,
    incompatible: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Formats {
    default: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    extra: Vec<u32>,
}

impl Meta {
    /// Reads the document.
    pub fn parse(json: &[u8]) -> Result<Meta, MetaError> {
        let document: Document = serde_json::from_slice(json)?;
        if document.version != VERSION {
            return Err(MetaError::Version(document.version));
        }
        if let Some(feature) = document.features.incompatible.into_iter().next() {
            return Err(MetaError::Feature(feature));
        }
        let algorithm = match &*document.algorithm {
            "fsverity-sha256-12" => Algorithm::Sha256,
            "fsverity-sha512-12" => Algorithm::Sha512,
            _ => return Err(MetaError::Algorithm(document.algorithm)),
        };
        let is_v1 = document.features.read_only_compatible.iter().any(|feature| feature == V1_EROFS);
        let version = |number| Version::from_number(number).ok_or(MetaError::Images(number));
        let (default, extra) = match document.erofs_formats {
            Some(formats) => {
                (version(formats.default)?, formats.extra.into_iter().map(version).collect::<Result<_, _>>()?)
            }
            None => (if is_v1 { Version::V1 } else { Version::V2 }, Vec::new()),
        };
        let read_only = document.features.read_only_compatible.iter().any(|feature| feature != V1_EROFS);
        Ok(Meta { algorithm, version: default, extra, read_only })
    }

    /// The document, as it stands in the file.
    pub fn to_json(&self) -> String {
        let algorithm = format!("fsverity-{}-12", self.algorithm.name());
        let is_v1 = self.version == Version::V1;
        let features = Features {
            read_only_compatible: if is_v1 { vec![V1_EROFS.into()] } else { Vec::new() },
            ..Features::default()
        };
        let extra = self.extra.iter().map(|version| version.number()).collect();
        let erofs_formats = Some(Formats { default: self.version.number(), extra });
        let document = Document { version: VERSION, algorithm, features, erofs_formats };
        serde_json::to_string_pretty(&document).expect("it has nothing that JSON lacks") + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents() {
        let meta = |algorithm, version| Meta { algorithm, version, ..Meta::default() };
        for (json, expected) in [
            (
                r#"{"version":1,"algorithm":"fsverity-sha512-12","features":{"read-only-compatible":["v1_erofs"]}}"#,
                Ok(meta(Algorithm::Sha512, Version::V1)),
            ),
            (r#"{"version":1,"algorithm":"fsverity-sha256-12"}"#, Ok(meta(Algorithm::Sha256, Version::V2))),
            (
                r#"{"version":1,"algorithm":"fsverity-sha256-12","erofs_formats":{"default":0}}"#,
                Ok(meta(Algorithm::Sha256, Version::V0)),
            ),
            (
                r#"{"version":1,"algorithm":"fsverity-sha256-12","features":{"read-only-compatible":["new"]}}"#,
                Ok(Meta { read_only: true, ..meta(Algorithm::Sha256, Version::V2) }),
            ),
            (
                r#"{"version":2,"algorithm":"fsverity-sha256-12"}"#,
                Err("version 2 of the document is not supported"),
            ),
            (r#"{"version":1,"algorithm":"md5"}"#, Err("the algorithm \"md5\" is not supported")),
            (
                r#"{"version":1,"algorithm":"fsverity-sha256-12","features":{"incompatible":["new"]}}"#,
                Err("the feature \"new\" is not supported"),
            ),
        ] {
            let found = Meta::parse(json.as_bytes()).map_err(|error| error.to_string());
            assert_eq!(
                found.as_ref().map_err(String::as_str),
                expected.as_ref().map_err(|error| *error),
                "{json}"
            );
        }
        let meta = Meta { extra: vec![Version::V2], ..Meta::default() };
        assert_eq!(Meta::parse(meta.to_json().as_bytes()).unwrap(), meta);
    }
}
