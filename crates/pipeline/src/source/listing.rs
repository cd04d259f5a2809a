//! The images that a layout's `index.json` lists, and choosing one by its name.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use hash::Digest;
use oci::{DOCUMENT_MAX, Descriptor, Document, MediaType, Platform, Reference};
use serde::Deserialize;

use super::Error;
use crate::pull;

/// The file that marks a layout.
pub(crate) const LAYOUT_FILE: &str = "oci-layout";
/// The list.
pub(crate) const INDEX_FILE: &str = "index.json";
/// How large each of the two may be, in bytes.
pub(crate) const FILE_MAX: u64 = DOCUMENT_MAX;

/// Where containerd puts the full name; its `ref.name` is the tag alone.
pub(crate) const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// A layout's list, and what was chosen from it.
pub(super) struct Listing {
    path: PathBuf,
    entries: Vec<Descriptor>,
    chosen: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marker {
    image_layout_version: String,
}

impl Listing {
    /// Reads the two files that every layout has.
    pub(super) fn read(
        path: &Path,
        marker: &[u8],
        index: &[u8],
        chosen: Option<&str>,
    ) -> Result<Listing, Error> {
        let malformed =
            |file: &str, cause: String| Error::Malformed { path: path.into(), file: file.into(), cause };
        let marker: Marker =
            serde_json::from_slice(marker).map_err(|error| malformed(LAYOUT_FILE, error.to_string()))?;
        if !marker.image_layout_version.starts_with("1.") {
            return Err(Error::Version { path: path.into(), version: marker.image_layout_version });
        }
        let stated = MediaType::parse(MediaType::OCI_INDEX);
        match Document::parse(index, Some(&stated)) {
            Ok(Document::Index(index)) => {
                Ok(Listing { path: path.into(), entries: index.manifests, chosen: chosen.map(String::from) })
            }
            Ok(Document::Manifest(_)) => Err(malformed(INDEX_FILE, "it is a manifest, not an index".into())),
            Err(oci::Error::Malformed { cause, .. }) => Err(malformed(INDEX_FILE, cause)),
            Err(error) => Err(malformed(INDEX_FILE, error.to_string())),
        }
    }

    /// The descriptor of the image that was chosen, or of the only one.
    pub(super) fn root(&self, platform: &Platform) -> Result<Descriptor, pull::Error> {
        let mut candidates = match &self.chosen {
            Some(chosen) => self.named(chosen),
            None => self.entries.iter().collect(),
        };
        // The same image under several names is no choice.
        let mut seen = BTreeSet::new();
        candidates.retain(|entry| seen.insert(entry.digest));
        let path = self.path.clone();
        match (&candidates[..], &self.chosen) {
            ([only], _) => return Ok((*only).clone()),
            ([], None) => return Err(Error::Empty { path }.into()),
            ([], Some(name)) => {
                return Err(Error::NoSuchName { path, name: name.clone(), names: self.names() }.into());
            }
            _ => {}
        }
        let one_name = candidates.windows(2).all(|pair| name(pair[0]) == name(pair[1]));
        if one_name && candidates.iter().all(|entry| entry.platform.is_some()) {
            let entries: Vec<Descriptor> = candidates.into_iter().cloned().collect();
            let select = oci::select(&entries, platform).cloned();
            return select.map_err(|fault| pull::Error::Image { name: path.display().to_string(), fault });
        }
        Err(Error::Ambiguous { path, names: self.names() }.into())
    }

    /// The entries that a name or `@DIGEST` chooses: by the very name, else by what it means in full.
    fn named(&self, chosen: &str) -> Vec<&Descriptor> {
        if let Some(digest) = chosen.strip_prefix('@') {
            let digest = digest.parse::<Digest>();
            return self.entries.iter().filter(|entry| digest == Ok(entry.digest)).collect();
        }
        let full = |name: &str| name.parse::<Reference>().ok();
        let exact = |entry: &&Descriptor| name(entry) == Some(chosen);
        let containerd = |entry: &&Descriptor| {
            let name = entry.annotations.get(CONTAINERD_NAME);
            name.is_some_and(|name| name == chosen || full(name).is_some_and(|n| Some(n) == full(chosen)))
        };
        let normalised =
            |entry: &&Descriptor| name(entry).and_then(full).is_some_and(|name| Some(name) == full(chosen));
        let by: [&dyn Fn(&&Descriptor) -> bool; 3] = [&exact, &containerd, &normalised];
        by.iter()
            .map(|by| self.entries.iter().filter(by).collect::<Vec<_>>())
            .find(|found| !found.is_empty())
            .unwrap_or_default()
    }

    /// What can be chosen.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for entry in &self.entries {
            let shown = name(entry).map_or(format!("@{}", entry.digest), |n| n.escape_debug().to_string());
            if !names.contains(&shown) && names.len() < 64 {
                names.push(shown);
            }
        }
        names
    }
}

fn name(entry: &Descriptor) -> Option<&str> {
    entry.annotations.get(Descriptor::REF_NAME).map(String::as_str)
}
