//! What one document says of another: `descriptor.md` of the image specification.

use std::collections::BTreeMap;

use hash::Digest;
use serde::{Deserialize, Serialize};

use crate::{MediaType, Platform};

/// Names bytes by digest, and says what they are and how many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the bytes are.
    #[serde(default = "nothing")]
    pub media_type: MediaType,
    /// Their name.
    pub digest: Digest,
    /// How many there are.
    pub size: u64,
    /// Other places that have them.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub urls: Vec<String>,
    /// Anything else that somebody wanted to say.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_default")]
    pub annotations: BTreeMap<String, String>,
    /// What a manifest in an index runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// What kind of artifact a manifest in an index is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
}

impl Descriptor {
    /// The annotation that holds a tag in an OCI layout's `index.json`.
    pub const REF_NAME: &'static str = "org.opencontainers.image.ref.name";

    /// Describes bytes and nothing more.
    pub fn new(media_type: MediaType, digest: Digest, size: u64) -> Descriptor {
        Descriptor {
            media_type,
            digest,
            size,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
            platform: None,
            artifact_type: None,
        }
    }
}

fn nothing() -> MediaType {
    MediaType::Other(String::new())
}

/// Go programs write `null` for an empty list.
pub(crate) fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
