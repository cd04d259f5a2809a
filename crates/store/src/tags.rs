//! Tags: names of images, and the images that they name.

use std::fs;
use std::io;

use hash::Digest;
use oci::{Descriptor, Image, MediaType, Platform, Reference};

use crate::error::Error;
use crate::format::Listing;
use crate::open::{Store, json};
use crate::resolve::{Resolved, resolve};

/// The annotation of a tag that says from which index its image was chosen.
pub const INDEX_ANNOTATION: &str = "dev.unlade.index";

/// A name, and one of the images that it has: one for each platform that was pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// The name.
    pub reference: Reference,
    /// The image's manifest, with its platform.
    pub descriptor: Descriptor,
    /// The index that the image was chosen from.
    pub index: Option<Digest>,
}

impl Store {
    /// All tags, in the order in which they were made. Entries that other tools made under names which are no
    /// full references are left out.
    pub fn tags(&self) -> Result<Vec<Tag>, Error> {
        Ok(self.read_index()?.entries().filter_map(Tag::read).collect())
    }

    /// Lets a name have an image, for the platform that the descriptor states. To be called last, when
    /// everything that the image needs is in the store. `index` is what the image was chosen from.
    pub fn tag(
        &self,
        reference: &Reference,
        mut descriptor: Descriptor,
        index: Option<&Digest>,
    ) -> Result<(), Error> {
        let name = reference.to_string();
        // What the index said of the image was said there; here stands what we say.
        descriptor.annotations.clear();
        descriptor.annotations.insert(Descriptor::REF_NAME.into(), name.clone());
        if let Some(index) = index {
            descriptor.annotations.insert(INDEX_ANNOTATION.into(), index.to_string());
        }
        if self.read_index()?.entries().any(|entry| entry == descriptor) {
            return Ok(());
        }
        let _lock = self.lock_tags()?;
        // A tag that survives a crash must find its blobs.
        self.flush_directory(&self.paths.blobs(descriptor.digest.algorithm()))?;
        if descriptor.digest.algorithm() != hash::Algorithm::Sha256 {
            self.flush_directory(&self.paths.blobs(hash::Algorithm::Sha256))?;
        }
        let mut listing = self.read_index()?;
        listing.remove(|entry| is_named(entry, &name) && replaces(&descriptor, entry));
        listing.push(&descriptor);
        self.replace(&self.paths.index(), &json(&listing))
    }

    /// Lets another name have an image of the store, whole.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] if the image is not in the store, [`Error::Incomplete`] if not all of it is.
    pub fn tag_stored(&self, digest: &Digest, name: &Reference) -> Result<(), Error> {
        let image = self.image_by_digest(digest)?.ok_or(Error::Missing { digest: *digest })?;
        let missing = self.missing(&image).len();
        if missing > 0 {
            return Err(Error::Incomplete { digest: *digest, missing });
        }
        let known = self.tags()?.into_iter().find(|tag| tag.descriptor.digest == *digest);
        let own = Some(image.config.platform).filter(Platform::is_stated);
        let (platform, index) = known.map_or((None, None), |tag| (tag.descriptor.platform, tag.index));
        let descriptor = Descriptor { platform: platform.or(own), ..image.descriptor };
        self.tag(name, descriptor, index.as_ref())
    }

    /// Takes a name away from all images that have it, or from the one for a platform. The images stay until the
    /// next sweep. `name` is a full reference, or what another tool wrote. Gives what the name had.
    ///
    /// # Errors
    ///
    /// [`Error::NoTag`].
    pub fn untag(&self, name: &str, platform: Option<&Platform>) -> Result<Vec<Digest>, Error> {
        let full = name.parse::<Reference>().map(|reference| reference.to_string());
        let goes = |entry: &Descriptor, name: &str| {
            let stated = entry.platform.as_ref();
            is_named(entry, name) && platform.is_none_or(|wanted| stated.is_some_and(|p| p.is_same(wanted)))
        };
        let _lock = self.lock_tags()?;
        let mut listing = self.read_index()?;
        let mut gone = Vec::new();
        for name in full.iter().map(String::as_str).chain([name]) {
            gone.extend(listing.entries().filter(|entry| goes(entry, name)).map(|entry| entry.digest));
            listing.remove(|entry| goes(entry, name));
        }
        if gone.is_empty() {
            return Err(Error::NoTag { name: name.into() });
        }
        self.replace(&self.paths.index(), &json(&listing))?;
        Ok(gone)
    }

    /// The image that a reference names for a platform: by its digest, else by its tag. `None` if the store
    /// does not have its manifest and config; whether it has the layers is [`Store::missing`]'s to say.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if one of the documents is, [`Error::Document`] if one cannot be used.
    pub fn image(&self, reference: &Reference, platform: &Platform) -> Result<Option<Image>, Error> {
        let root = match reference.digest() {
            Some(digest) => self.describe(digest),
            None => self.tagged(reference, platform),
        };
        let found = root.and_then(|root| match root {
            Some(root) => self.resolve(root, platform).map(Some),
            None => Ok(None),
        });
        match found {
            Ok(Some(resolved)) => self.read_image(resolved),
            // Documents that a tag leads to, but that are gone, are as if never pulled.
            Ok(None) | Err(Error::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The blobs of an image that the store does not have, each once, config and layers.
    pub fn missing<'a>(&self, image: &'a Image) -> Vec<&'a Descriptor> {
        let mut missing: Vec<&Descriptor> = Vec::new();
        for blob in std::iter::once(&image.manifest.config).chain(&image.manifest.layers) {
            let known = missing.iter().any(|other| other.digest == blob.digest);
            if !known && !self.contains(&blob.digest, blob.size) {
                missing.push(blob);
            }
        }
        missing
    }

    fn resolve(&self, root: Descriptor, platform: &Platform) -> Result<Resolved, Error> {
        resolve(root, platform, &mut |descriptor| self.document(descriptor))
    }

    fn read_image(&self, resolved: Resolved) -> Result<Option<Image>, Error> {
        Image::check_kind(&resolved.manifest)?;
        match self.document(&resolved.manifest.config) {
            Ok(config) => Ok(Some(Image::new(resolved.descriptor, resolved.manifest, &config)?)),
            Err(Error::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A descriptor for a document of which the digest is all that is known.
    fn describe(&self, digest: &Digest) -> Result<Option<Descriptor>, Error> {
        match self.document_by_digest(digest) {
            Ok(bytes) => {
                Ok(Some(Descriptor::new(MediaType::Other(String::new()), *digest, bytes.len() as u64)))
            }
            Err(Error::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What a tag names for a platform, if it is what a pull for that platform would give.
    fn tagged(&self, reference: &Reference, platform: &Platform) -> Result<Option<Descriptor>, Error> {
        let name = reference.to_string();
        let listing = self.read_index()?;
        let entries: Vec<Descriptor> = listing.entries().filter(|entry| is_named(entry, &name)).collect();
        let Ok(chosen) = oci::select(&entries, platform) else { return Ok(None) };
        let index = chosen.annotations.get(INDEX_ANNOTATION).and_then(|index| index.parse::<Digest>().ok());
        let exact = chosen.platform.as_ref().is_none_or(|found| found.serves(platform) == Some(0));
        if let (false, Some(index)) = (exact, index) {
            // The image serves, but was pulled for a lesser variant: the index may have a better one.
            let Some(index) = self.describe(&index)? else { return Ok(None) };
            match self.resolve(index, platform) {
                Ok(best) if best.descriptor.digest == chosen.digest => {}
                Ok(_) | Err(Error::Missing { .. }) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(Some(chosen.clone()))
    }

    pub(crate) fn read_index(&self) -> Result<Listing, Error> {
        let path = self.paths.index();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            // Some tools that make layouts write it only with the first image.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Listing::default()),
            Err(error) => return Err(Error::io("read", &path)(error)),
        };
        serde_json::from_slice(&bytes).map_err(|error| Error::Malformed { path, cause: error.to_string() })
    }
}

fn is_named(entry: &Descriptor, name: &str) -> bool {
    entry.annotations.get(Descriptor::REF_NAME).is_some_and(|found| found == name)
}

/// Whether of two entries of a name the new one stands in the place of the old. One that states no platform
/// stands for all.
fn replaces(new: &Descriptor, old: &Descriptor) -> bool {
    let stated = |entry: &Descriptor| entry.platform.clone().filter(Platform::is_stated);
    match (stated(new), stated(old)) {
        (Some(new), Some(old)) => new.is_same(&old),
        _ => true,
    }
}

impl Tag {
    pub(crate) fn read(descriptor: Descriptor) -> Option<Tag> {
        let name = descriptor.annotations.get(Descriptor::REF_NAME)?;
        let reference: Reference = name.parse().ok()?;
        let index = descriptor.annotations.get(INDEX_ANNOTATION).and_then(|index| index.parse().ok());
        (reference.to_string() == *name).then_some(Tag { reference, descriptor, index })
    }
}
