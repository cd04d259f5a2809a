//! What images there are, with names and without.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::time::SystemTime;

use hash::Digest;
use oci::{DOCUMENT_MAX, Descriptor, Document, Image, MediaType, Platform};

use crate::error::Error;
use crate::open::Store;
use crate::reach::{Documents, Root};

/// An image of the store, or another thing that has a name there.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its name: a full reference, or what another tool wrote. `None` for an image without one.
    pub name: Option<String>,
    /// Its manifest, or an index.
    pub digest: Digest,
    /// What it runs on, as far as it says.
    pub platform: Option<Platform>,
    /// Bytes of its layers as transferred; of all images for an index.
    pub bytes: u64,
    /// When its maker says to have made it, as text in RFC 3339.
    pub created: Option<String>,
    /// When it was used last, or else when it arrived.
    pub used: Option<SystemTime>,
    /// How many of its blobs are not in the store.
    pub missing: usize,
    /// Bytes on the disk of the rootfs that were built from it and are remembered.
    pub rootfs_bytes: u64,
}

impl Store {
    /// All images that have a name, in the order in which the names were given.
    pub fn images(&self) -> Result<Vec<Stored>, Error> {
        let _shared = self.share_sweep_lock();
        let mut documents = Documents::default();
        let mut found: Vec<Stored> = self
            .roots()?
            .iter()
            .map(|(root, entry)| self.describe_root(&mut documents, root, entry))
            .collect();
        self.weigh_rootfs(&mut found)?;
        Ok(found)
    }

    /// All images that have no name and belong to none that has one: of layouts and archives, or such whose name
    /// another image has by now.
    pub fn untagged(&self) -> Result<Vec<Stored>, Error> {
        let _shared = self.share_sweep_lock();
        let mut documents = Documents::default();
        let mut named = BTreeSet::new();
        for (root, _) in self.roots()? {
            documents.walk(self, &root.link, |link| _ = named.insert(link.digest), |_, _| {});
        }
        let mut found = Vec::new();
        for (digest, size) in self.blobs()? {
            if !named.contains(&digest)
                && let Some(image) = self.peek_image(&digest, size)
            {
                found.push(self.describe_image(None, &image));
            }
        }
        found.sort_by_key(|image| (image.used, image.digest));
        self.weigh_rootfs(&mut found)?;
        Ok(found)
    }

    fn weigh_rootfs(&self, images: &mut [Stored]) -> Result<(), Error> {
        let all = self.all_rootfs()?;
        for image in images {
            let of_image = all.iter().filter(|rootfs| rootfs.manifest == image.digest);
            image.rootfs_bytes = of_image.map(|rootfs| rootfs.bytes).sum();
        }
        Ok(())
    }

    /// The image whose manifest has this digest, with or without a name. `None` if it is not in the store.
    ///
    /// # Errors
    ///
    /// [`Error::Document`] if it is no image.
    pub fn image_by_digest(&self, digest: &Digest) -> Result<Option<Image>, Error> {
        match self.document_by_digest(digest).and_then(|bytes| self.read_manifest(digest, &bytes)) {
            Ok(image) => Ok(Some(image)),
            Err(Error::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes an image away that has no name. Its blobs stay until the next sweep.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`]; [`Error::Tagged`]; [`Error::Needed`] if a running process uses it; [`Error::InUse`].
    pub fn remove_untagged(&self, digest: &Digest) -> Result<(), Error> {
        let _lock = self.lock_sweep(&crate::gc::patience())?;
        self.read_manifest(digest, &self.peek(digest)?)?;
        let mut documents = Documents::default();
        for (root, _) in self.roots()? {
            if documents.needs(self, &root)?.contains(digest) {
                return Err(Error::Tagged { digest: *digest, name: root.name });
            }
        }
        if self.leases()?.held.contains(digest) {
            return Err(Error::Needed { digest: *digest });
        }
        let path = self.paths.blob(digest);
        fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        let _ = fs::remove_file(self.paths.used(digest));
        Ok(())
    }

    /// The entries of the list of tags that name anything, as roots and as they lie there.
    pub(crate) fn roots(&self) -> Result<Vec<(Root, serde_json::Value)>, Error> {
        let listing = self.read_index()?;
        let roots = listing.raw().iter().enumerate();
        Ok(roots.filter_map(|(number, entry)| Some((Root::read(number, entry)?, entry.clone()))).collect())
    }

    /// All blobs and their sizes, whether anybody needs them or not.
    pub(crate) fn blobs(&self) -> Result<Vec<(Digest, u64)>, Error> {
        let mut blobs = Vec::new();
        for algorithm in [hash::Algorithm::Sha256, hash::Algorithm::Sha512] {
            let directory = self.paths.blobs(algorithm);
            for entry in list(&directory)? {
                let hex = entry.file_name();
                let name = hex.to_str().map(|hex| format!("{}:{hex}", algorithm.name()));
                let Some(digest) = name.and_then(|name| name.parse().ok()) else { continue };
                // It may be gone since the directory was read.
                if let Ok(found) = entry.metadata()
                    && found.is_file()
                {
                    blobs.push((digest, found.len()));
                }
            }
        }
        Ok(blobs)
    }

    fn describe_root(&self, documents: &mut Documents, root: &Root, entry: &serde_json::Value) -> Stored {
        let name = Some(root.name.clone());
        if let Ok(bytes) = self.peek(&root.link.digest)
            && let Ok(image) = self.read_manifest(&root.link.digest, &bytes)
        {
            let stated = entry.get("platform").and_then(|stated| serde_json::from_value(stated.clone()).ok());
            let mut stored = self.describe_image(name, &image);
            stored.platform = stated.filter(Platform::is_stated).or(stored.platform);
            return stored;
        }
        // An index, something that is no image, or an image of which not even the documents are here.
        let (mut bytes, mut missing) = (0u64, 0);
        let seen = |link: &crate::reach::Link| match fs::symlink_metadata(self.paths.blob(&link.digest)) {
            Ok(found) => bytes = bytes.saturating_add(found.len()),
            Err(_) => missing += 1,
        };
        documents.walk(self, &root.link, seen, |_, _| {});
        let (digest, used) = (root.link.digest, self.last_use(&root.link.digest));
        Stored { name, digest, platform: None, bytes, created: None, used, missing, rootfs_bytes: 0 }
    }

    fn describe_image(&self, name: Option<String>, image: &Image) -> Stored {
        let digest = image.descriptor.digest;
        let layers: BTreeSet<(Digest, u64)> =
            image.manifest.layers.iter().map(|layer| (layer.digest, layer.size)).collect();
        let is_missing = |(digest, size): &&(Digest, u64)| {
            let found = fs::symlink_metadata(self.paths.blob(digest));
            !found.is_ok_and(|found| found.is_file() && found.len() == *size)
        };
        Stored {
            name,
            digest,
            platform: Some(image.config.platform.clone()).filter(Platform::is_stated),
            bytes: image.size(),
            created: image.config.created.clone(),
            used: self.last_use(&digest),
            missing: layers.iter().filter(is_missing).count(),
            rootfs_bytes: 0,
        }
    }

    /// The image in a blob, if it is a manifest whose config is here as well. The first byte decides for most.
    fn peek_image(&self, digest: &Digest, size: u64) -> Option<Image> {
        let mut first = [0];
        if size > DOCUMENT_MAX
            || self.open_file(digest).ok()?.read(&mut first).ok()? == 0
            || (first != *b"{" && !first[0].is_ascii_whitespace())
        {
            return None;
        }
        self.read_manifest(digest, &self.peek(digest).ok()?).ok()
    }

    fn read_manifest(&self, digest: &Digest, bytes: &[u8]) -> Result<Image, Error> {
        let nothing = MediaType::Other(String::new());
        let document = Document::parse(bytes, None)?;
        let descriptor = Descriptor::new(document.media_type(&nothing), *digest, bytes.len() as u64);
        let Document::Manifest(manifest) = document else {
            return Err(oci::Error::Unsupported("it is an index of images, not one image".into()).into());
        };
        Image::check_kind(&manifest)?;
        let config = self.peek(&manifest.config.digest)?;
        Ok(Image::new(descriptor, *manifest, &config)?)
    }
}

/// What is in a directory; nothing if there is none.
pub(crate) fn list(directory: &std::path::Path) -> Result<Vec<fs::DirEntry>, Error> {
    match fs::read_dir(directory).and_then(|entries| entries.collect::<std::io::Result<Vec<_>>>()) {
        Ok(entries) => Ok(entries),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Error::io("read", directory)(error)),
    }
}
