//! Lists of manifests, and choosing one.

use serde::{Deserialize, Serialize};

use crate::{Descriptor, Error, MediaType, Platform};

/// An image index or Docker manifest list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// What it says that it is, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// The manifests, in the order of preference.
    #[serde(deserialize_with = "crate::descriptor::null_is_default")]
    pub manifests: Vec<Descriptor>,
    /// Anything else that somebody wanted to say.
    #[serde(
        default,
        skip_serializing_if = "std::collections::BTreeMap::is_empty",
        deserialize_with = "crate::descriptor::null_is_default"
    )]
    pub annotations: std::collections::BTreeMap<String, String>,
}

impl Index {
    /// An index of these manifests.
    pub fn new(manifests: Vec<Descriptor>) -> Index {
        Index {
            schema_version: 2,
            media_type: Some(MediaType::parse(MediaType::OCI_INDEX)),
            manifests,
            annotations: Default::default(),
        }
    }
}

/// Chooses from an index the manifest that serves `wanted` best, the first among equals. Entries without a
/// platform are the second choice, and the image's config decides about them later; nested indexes without
/// one come last. Attestations and artifacts are never chosen.
pub fn select<'a>(manifests: &'a [Descriptor], wanted: &Platform) -> Result<&'a Descriptor, Error> {
    let candidates = || manifests.iter().filter(|manifest| !is_attestation(manifest));
    let stated = candidates()
        .filter_map(|m| Some((m.platform.as_ref()?.serves(wanted)?, m)))
        .min_by_key(|(distance, _)| *distance);
    if let Some((_, manifest)) = stated {
        return Ok(manifest);
    }
    let silent = || candidates().filter(|m| m.platform.is_none());
    let manifest = silent()
        .find(|m| matches!(m.media_type, MediaType::Manifest(_)))
        .or_else(|| silent().find(|m| matches!(m.media_type, MediaType::Index(_))));
    manifest.ok_or_else(|| {
        let mut available: Vec<String> =
            candidates().filter_map(|m| m.platform.as_ref()).map(Platform::to_string).collect();
        available.dedup();
        available.truncate(64);
        Error::NoPlatform { wanted: wanted.to_string(), available }
    })
}

/// What BuildKit puts beside images: for no platform, or marked by an annotation.
fn is_attestation(manifest: &Descriptor) -> bool {
    manifest.platform.as_ref().is_some_and(Platform::is_unknown)
        || manifest.annotations.contains_key("vnd.docker.reference.type")
        || manifest.artifact_type.is_some()
        || !matches!(manifest.media_type, MediaType::Manifest(_) | MediaType::Index(_))
}
