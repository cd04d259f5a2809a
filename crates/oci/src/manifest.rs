//! Image manifests, and telling documents apart.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Descriptor, Error, Index, MediaType};

/// How large a manifest, an index or a config may be, in bytes: what the distribution specification asks
/// registries to take of a manifest at least. Real ones have a few KiB.
pub const DOCUMENT_MAX: u64 = 4 << 20;

/// An image manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// What it says that it is, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// The image's configuration.
    pub config: Descriptor,
    /// The layers, the lowest first.
    #[serde(deserialize_with = "crate::descriptor::null_is_default", default)]
    pub layers: Vec<Descriptor>,
    /// Anything else that somebody wanted to say.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "crate::descriptor::null_is_default"
    )]
    pub annotations: BTreeMap<String, String>,
    /// What kind of artifact it is; images have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
}

/// What a digest of a registry or a layout can lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// A list to choose from.
    Index(Index),
    /// One image.
    Manifest(Box<Manifest>),
}

/// What every document tells about itself.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outline {
    #[serde(default)]
    schema_version: Option<u32>,
    #[serde(default)]
    media_type: Option<MediaType>,
    #[serde(default)]
    manifests: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    config: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    layers: Option<serde::de::IgnoredAny>,
    #[serde(default, rename = "fsLayers")]
    fs_layers: Option<serde::de::IgnoredAny>,
}

impl Document {
    /// Reads a document whose bytes were checked against their digest. `stated` is the media type of the
    /// descriptor or of the HTTP answer; where the document states one as well, they must agree, so that no
    /// bytes can be taken for two things.
    pub fn parse(bytes: &[u8], stated: Option<&MediaType>) -> Result<Document, Error> {
        const WHAT: &str = "manifest";
        let size = bytes.len() as u64;
        if size > DOCUMENT_MAX {
            return Err(Error::TooLarge { what: WHAT, size, limit: DOCUMENT_MAX });
        }
        let outline: Outline = json(WHAT, bytes)?;
        let stated = stated.filter(|stated| !stated.as_str().is_empty());
        if outline.schema_version == Some(1)
            || outline.fs_layers.is_some()
            || stated.is_some_and(MediaType::is_schema1)
            || outline.media_type.as_ref().is_some_and(MediaType::is_schema1)
        {
            return Err(Error::Unsupported(
                "docker schema 1 manifests are not supported: push the image again with a current tool"
                    .into(),
            ));
        }
        if let Some(version) = outline.schema_version.filter(|version| *version != 2) {
            return Err(Error::Unsupported(format!(
                "manifests of schema version {version} are not supported"
            )));
        }
        let malformed = |cause: &str| Error::Malformed { what: WHAT, cause: cause.into() };
        if outline.manifests.is_some() && (outline.config.is_some() || outline.layers.is_some()) {
            return Err(malformed("it is an index and a manifest at once"));
        }
        let own = outline.media_type.as_ref().filter(|own| !own.as_str().is_empty());
        if let (Some(MediaType::Index(_)), Some(MediaType::Manifest(_)))
        | (Some(MediaType::Manifest(_)), Some(MediaType::Index(_))) = (own, stated)
        {
            return Err(malformed("it says to be of another media type than what led to it"));
        }
        // What a document says itself was there when its digest was made.
        match own.or(stated.filter(|stated| !matches!(stated, MediaType::Other(_)))) {
            Some(MediaType::Index(_)) => Ok(Document::Index(json("index", bytes)?)),
            Some(MediaType::Manifest(_)) => Ok(Document::Manifest(json(WHAT, bytes)?)),
            None if outline.manifests.is_some() => Ok(Document::Index(json("index", bytes)?)),
            None if outline.config.is_some() => Ok(Document::Manifest(json(WHAT, bytes)?)),
            other => {
                let kind = other.or(stated).map_or("an unknown type".into(), MediaType::to_string);
                Err(Error::Unsupported(format!("manifests of {kind} are not supported")))
            }
        }
    }

    /// What it is: what it says itself, else `stated` where that may be, else what OCI calls its kind.
    pub fn media_type(&self, stated: &MediaType) -> MediaType {
        let (own, kind) = match self {
            Document::Index(index) => (&index.media_type, MediaType::OCI_INDEX),
            Document::Manifest(manifest) => (&manifest.media_type, MediaType::OCI_MANIFEST),
        };
        let readable = |kind: &&MediaType| matches!(kind, MediaType::Index(_) | MediaType::Manifest(_));
        let known = own.as_ref().filter(readable).or(Some(stated).filter(readable));
        known.cloned().unwrap_or_else(|| MediaType::parse(kind))
    }
}

/// Parses JSON; a byte order mark in front is not JSON, but some editors leave one.
pub(crate) fn json<'de, T: Deserialize<'de>>(what: &'static str, bytes: &'de [u8]) -> Result<T, Error> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    serde_json::from_slice(bytes).map_err(|error| Error::Malformed { what, cause: error.to_string() })
}
