//! Lists of manifests, and choosing one.

use serde::{Deserialize, Serialize};

use crate::{Descriptor, Error, MediaType, Platform};

/// How many platforms an error lists: more than there are, unless somebody wants to fill a screen.
const AVAILABLE_MAX: usize = 64;

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

/// Chooses from an index the manifest that serves `wanted` best, the first among equals. Entries that state no
/// platform are the second choice, and the image's config decides about them later; nested indexes that state
/// none come last. Attestations and artifacts are never chosen.
pub fn select<'a>(manifests: &'a [Descriptor], wanted: &Platform) -> Result<&'a Descriptor, Error> {
    let candidates = || manifests.iter().filter(|entry| may_be_image(entry));
    let best = candidates()
        .filter_map(|entry| Some((stated(entry)?.serves(wanted)?, entry)))
        .min_by_key(|(distance, _)| *distance);
    if let Some((_, manifest)) = best {
        return Ok(manifest);
    }
    let silent = |nested| {
        let nested = move |entry: &&Descriptor| matches!(entry.media_type, MediaType::Index(_)) == nested;
        candidates().filter(|entry| stated(entry).is_none()).find(nested)
    };
    silent(false).or_else(|| silent(true)).ok_or_else(|| {
        let mut available: Vec<String> = Vec::new();
        for platform in candidates().filter_map(stated).map(Platform::to_string) {
            if available.len() < AVAILABLE_MAX && !available.contains(&platform) {
                available.push(platform);
            }
        }
        Error::NoPlatform { wanted: wanted.to_string(), available }
    })
}

fn stated(manifest: &Descriptor) -> Option<&Platform> {
    manifest.platform.as_ref().filter(|platform| platform.is_stated())
}

/// Leaves out artifacts, and what BuildKit puts beside images: attestations, which are for no platform or are
/// marked by an annotation. The media type of an entry that states none is found out when it is read.
fn may_be_image(manifest: &Descriptor) -> bool {
    let readable = match &manifest.media_type {
        MediaType::Manifest(_) | MediaType::Index(_) => true,
        other => other.as_str().is_empty(),
    };
    let artifact = manifest.artifact_type.as_deref().is_some_and(|kind| {
        // Some tools name the type of the config, which an image has as well.
        !kind.is_empty() && !matches!(MediaType::parse(kind), MediaType::Config(_))
    });
    readable
        && !artifact
        && !manifest.platform.as_ref().is_some_and(Platform::is_unknown)
        && !manifest.annotations.contains_key("vnd.docker.reference.type")
}
