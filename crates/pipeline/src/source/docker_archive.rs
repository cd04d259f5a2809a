//! What `docker save` writes, of any age: a list in `manifest.json`, configs, and layers as plain tarballs. As
//! it has no manifests, one is made here, always the same for the same image.

use std::collections::BTreeMap;
use std::path::Path;

use hash::{Digest, Hasher};
use layer::Compression;
use oci::{Config, Descriptor, Manifest, MediaType, Platform, Reference};
use serde::Deserialize;
use store::Store;

use super::archive::{Archive, Extent, escape};
use super::listing::{FILE_MAX, LAYOUT_FILE};
use super::{Error, Origin, Progress, oci_archive};
use crate::pull;

/// The list of images.
pub(crate) const LIST: &str = "manifest.json";
const WHAT: &str = "an archive of docker save";
/// Bytes that are hashed at once.
const CHUNK: u64 = 1 << 20;

/// An open archive.
pub(super) struct DockerArchive {
    archive: Archive,
    images: Vec<Listed>,
    chosen: Option<String>,
    made: std::sync::OnceLock<Made>,
}

/// An image in the list.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// What was made of a listed image.
struct Made {
    root: Descriptor,
    /// The manifest and the config.
    documents: BTreeMap<Digest, Vec<u8>>,
    layers: BTreeMap<Digest, Extent>,
}

impl DockerArchive {
    /// Lists what is in an archive.
    pub(super) fn open(path: &Path, chosen: Option<&str>, scratch: &Path) -> Result<DockerArchive, Error> {
        let archive = Archive::open(path, scratch)?;
        if !archive.has(LIST) {
            let hint = if archive.has(LAYOUT_FILE) {
                "it looks like an OCI layout: oci-archive: reads those"
            } else if archive.has("repositories") {
                "it is older than docker 1.10: save it again with a current one"
            } else {
                return Err(Error::Kind { path: path.into(), what: WHAT, file: LIST });
            };
            return Err(Error::OtherKind { path: path.into(), what: WHAT, hint });
        }
        let list = archive.read(LIST, FILE_MAX)?;
        let images = serde_json::from_slice(&list).map_err(|error| Error::Malformed {
            path: path.into(),
            file: LIST.into(),
            cause: error.to_string(),
        })?;
        let chosen = chosen.map(String::from);
        Ok(DockerArchive { archive, images, chosen, made: Default::default() })
    }

    fn made(&self) -> Result<&Made, pull::Error> {
        if let Some(made) = self.made.get() {
            return Ok(made);
        }
        let made = self.make(self.choose()?)?;
        Ok(self.made.get_or_init(|| made))
    }

    /// The image that was chosen by one of its tags or by its number (`@0`), or the only one.
    fn choose(&self) -> Result<&Listed, Error> {
        let path = self.archive.path.clone();
        let Some(chosen) = &self.chosen else {
            return match &self.images[..] {
                [] => Err(Error::Empty { path }),
                [only] => Ok(only),
                _ => Err(Error::Ambiguous { path, names: self.names() }),
            };
        };
        let by_number = chosen.strip_prefix('@').and_then(|number| number.parse::<usize>().ok());
        let found = match by_number {
            Some(number) => self.images.get(number),
            None => {
                let full = |name: &str| name.parse::<Reference>().ok();
                let wanted = full(chosen);
                let named = |tag: &String| tag == chosen || wanted.is_some() && full(tag) == wanted;
                self.images.iter().find(|image| image.repo_tags.iter().flatten().any(named))
            }
        };
        found.ok_or_else(|| Error::NoSuchName { path, name: chosen.clone(), names: self.names() })
    }

    /// What can be chosen.
    fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for (number, image) in self.images.iter().enumerate().take(64) {
            let tags = image.repo_tags.as_deref().unwrap_or_default();
            names.extend(tags.iter().map(|tag| escape(tag)));
            if tags.is_empty() {
                names.push(format!("@{number}"));
            }
        }
        names
    }

    /// Makes a manifest for a listed image.
    fn make(&self, image: &Listed) -> Result<Made, pull::Error> {
        let config_bytes = self.archive.read(&image.config, FILE_MAX)?;
        let refused = |fault| pull::Error::Image { name: self.archive.path.display().to_string(), fault };
        let config = Config::parse(&config_bytes).map_err(refused)?;
        let files = image.layers.as_deref().unwrap_or_default();
        let diff_ids = &config.rootfs.diff_ids;
        if files.len() != diff_ids.len() {
            let (layers, diff_ids) = (files.len(), diff_ids.len());
            return Err(refused(oci::Error::LayerCount { layers, diff_ids }));
        }
        let mut layers = BTreeMap::new();
        let mut descriptors = Vec::new();
        for (file, diff_id) in files.iter().zip(diff_ids) {
            let extent = self.archive.find(file)?;
            let descriptor = self.describe_layer(file, extent, diff_id)?;
            layers.insert(descriptor.digest, extent);
            descriptors.push(descriptor);
        }
        let (root, manifest) = make_manifest(&config_bytes, descriptors);
        let config = Digest::sha256(&config_bytes);
        let documents = BTreeMap::from([(root.digest, manifest), (config, config_bytes)]);
        Ok(Made { root, documents, layers })
    }

    /// A layer that is not compressed has its diff ID for a digest, so nothing needs to be read; one that is
    /// has it for a name in archives of today, and must be hashed in others.
    fn describe_layer(&self, file: &str, extent: Extent, diff_id: &Digest) -> Result<Descriptor, Error> {
        let sniffed = extent.size.min(layer::compression::SNIFFED as u64);
        let start = self.archive.read_extent(Extent { size: sniffed, ..extent })?;
        let fault = |fault| Error::Archive { path: self.archive.path.clone(), fault };
        let compression = Compression::sniff(&start).map_err(fault)?;
        let (media_type, plain) = match compression {
            Compression::None => ("application/vnd.oci.image.layer.v1.tar", true),
            Compression::Gzip => ("application/vnd.oci.image.layer.v1.tar+gzip", false),
            Compression::Zstd => ("application/vnd.oci.image.layer.v1.tar+zstd", false),
        };
        let digest = match file.strip_prefix("blobs/sha256/").map(|hex| format!("sha256:{hex}").parse()) {
            _ if plain => *diff_id,
            Some(Ok(named)) => named,
            _ => self.hash(extent)?,
        };
        Ok(Descriptor::new(MediaType::parse(media_type), digest, extent.size))
    }

    fn hash(&self, extent: Extent) -> Result<Digest, Error> {
        let mut hasher = Hasher::new(hash::Algorithm::Sha256);
        let end = extent.offset + extent.size;
        let mut offset = extent.offset;
        while offset < end {
            let size = CHUNK.min(end - offset);
            hasher.update(&self.archive.read_extent(Extent { offset, size })?);
            offset += size;
        }
        Ok(hasher.finish())
    }
}

/// The manifest for a config and layers that come without one, always the same for the same.
pub(crate) fn make_manifest(config: &[u8], layers: Vec<Descriptor>) -> (Descriptor, Vec<u8>) {
    let describe = |media_type: &str, bytes: &[u8]| {
        Descriptor::new(MediaType::parse(media_type), Digest::sha256(bytes), bytes.len() as u64)
    };
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(MediaType::parse(MediaType::OCI_MANIFEST)),
        config: describe("application/vnd.oci.image.config.v1+json", config),
        layers,
        annotations: BTreeMap::new(),
        artifact_type: None,
    };
    let manifest = serde_json::to_vec(&manifest).expect("it has strings for keys and no way to fail");
    (describe(MediaType::OCI_MANIFEST, &manifest), manifest)
}

impl Origin for DockerArchive {
    fn root(&self, _: &Platform) -> Result<Descriptor, pull::Error> {
        Ok(self.made()?.root.clone())
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, pull::Error> {
        let (path, digest) = (self.archive.path.clone(), descriptor.digest);
        let document = self.made()?.documents.get(&digest).cloned();
        Ok(document.ok_or(Error::MissingBlob { path, digest })?)
    }

    fn put(&self, descriptor: &Descriptor, store: &Store, progress: Progress<'_>) -> Result<(), pull::Error> {
        let (path, digest) = (self.archive.path.clone(), descriptor.digest);
        let extent = self.made()?.layers.get(&digest).copied();
        let extent = extent.ok_or(Error::MissingBlob { path, digest })?;
        oci_archive::put(&self.archive, extent, descriptor, store, progress)
    }
}
