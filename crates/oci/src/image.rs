//! An image: a manifest and its config that belong together.

use hash::Digest;

use crate::{Config, Descriptor, Error, Manifest, MediaType, Platform};

/// How many layers an image may have. Docker stops at 127; what other tools make stays far below this.
pub const LAYERS_MAX: usize = 1_000;

/// A manifest and its config, checked against each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// What names the manifest; its digest names the image.
    pub descriptor: Descriptor,
    /// The manifest.
    pub manifest: Manifest,
    /// The config.
    pub config: Config,
}

/// A layer of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layer<'a> {
    /// The blob.
    pub descriptor: &'a Descriptor,
    /// Digest of the uncompressed tarball.
    pub diff_id: &'a Digest,
}

impl Image {
    /// Puts a manifest and its config together if they are an image that can be read.
    pub fn new(descriptor: Descriptor, manifest: Manifest, config: &[u8]) -> Result<Image, Error> {
        Image::check_kind(&manifest)?;
        hash::verify(config, &manifest.config.digest, Some(manifest.config.size))?;
        let config = Config::parse(config)?;
        let (layers, diff_ids) = (manifest.layers.len(), config.rootfs.diff_ids.len());
        if layers != diff_ids {
            return Err(Error::LayerCount { layers, diff_ids });
        }
        Ok(Image { descriptor, manifest, config })
    }

    /// Refuses a manifest that is no image, or has layers that cannot be read, before anything is fetched.
    pub fn check_kind(manifest: &Manifest) -> Result<(), Error> {
        if !matches!(manifest.config.media_type, MediaType::Config(_)) {
            return Err(Error::Unsupported(format!(
                "it is an artifact, not an image: its config is of type \"{}\"",
                manifest.config.media_type
            )));
        }
        if manifest.layers.len() > LAYERS_MAX {
            return Err(Error::Unsupported(format!(
                "it has {} layers, more than the limit of {LAYERS_MAX}",
                manifest.layers.len()
            )));
        }
        for (number, layer) in manifest.layers.iter().enumerate() {
            match &layer.media_type {
                MediaType::Layer(..) => {}
                MediaType::ForeignLayer(..) => {
                    return Err(Error::Unsupported(format!(
                        "layer {} is to be fetched from elsewhere (unsupported media type \"{}\")",
                        number + 1,
                        layer.media_type
                    )));
                }
                other => {
                    return Err(Error::Unsupported(format!(
                        "layer {} has the unsupported media type \"{other}\"",
                        number + 1
                    )));
                }
            }
        }
        Ok(())
    }

    /// Refuses an image that says to be for another platform than the wanted one. One that says nothing
    /// passes: images made from scratch by simple tools do.
    pub fn check_platform(&self, wanted: &Platform) -> Result<(), Error> {
        let found = &self.config.platform;
        if !found.is_stated() || found.serves(wanted).is_some() {
            return Ok(());
        }
        Err(Error::OtherPlatform { wanted: wanted.to_string(), found: found.to_string() })
    }

    /// Bytes of all layers as transferred, as far as their descriptors can be believed.
    pub fn size(&self) -> u64 {
        self.manifest.layers.iter().fold(0, |sum, layer| layer.size.saturating_add(sum))
    }

    /// What the image is without the layers above the lowest `count`. Its descriptor stays that of the whole.
    pub fn lowest(&self, count: usize) -> Image {
        let mut image = self.clone();
        image.manifest.layers.truncate(count);
        image.config.rootfs.diff_ids.truncate(count);
        image
    }

    /// The layers, the lowest first.
    pub fn layers(&self) -> impl Iterator<Item = Layer<'_>> {
        let pairs = self.manifest.layers.iter().zip(&self.config.rootfs.diff_ids);
        pairs.map(|(descriptor, diff_id)| Layer { descriptor, diff_id })
    }
}
