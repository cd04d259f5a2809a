//! How an OCI image lies in a repository: its layers, config and manifest as streams, and the image of its tree.
//!
//! What is named last is what refers to the rest, and the tag comes at the very end, so that no name ever leads to
//! what is not there.

use std::io::{self, Write};

use erofs::composefs::{Layout, Version};
use hash::{Digest, FileDigest};

use crate::hashing::Hashing;
use crate::objects::{ObjectWriter, Present};
use crate::splitstream::{ContentType, Writer};
use crate::{Error, Repository, Splitstream, StreamName};

/// What an image of a tree is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// To be run by something that has booted: the tree as it is.
    Run,
    /// To be booted: without what the boot loader reads, with the labels of the tree's own policy.
    Boot,
}

/// What a config calls an image of its tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageRef {
    /// The image's format.
    pub version: Version,
    /// What the image is for.
    pub purpose: Purpose,
}

impl ImageRef {
    /// The name in the config's stream.
    pub fn name(self) -> &'static str {
        match (self.purpose, self.version) {
            (Purpose::Run, Version::V0 | Version::V1) => "composefs.image.v1",
            (Purpose::Run, Version::V2) => "composefs.image",
            (Purpose::Boot, Version::V0 | Version::V1) => "composefs.image.boot.v1",
            (Purpose::Boot, Version::V2) => "composefs.image.boot",
        }
    }
}

/// An image as it is stored.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The manifest's bytes.
    pub manifest: Vec<u8>,
    /// The config's bytes.
    pub config: Vec<u8>,
    /// The streams of its layers by diff IDs, in the order of those.
    pub layers: Vec<(String, FileDigest)>,
    /// The images of its tree, by what the config calls them.
    pub images: Vec<(String, FileDigest)>,
}

impl Stored {
    /// The image of the tree for a purpose: that in the format `preferred`, or whichever there is.
    pub fn image(&self, purpose: Purpose, preferred: Version) -> Option<FileDigest> {
        [preferred, Version::V1, Version::V2].into_iter().find_map(|version| {
            let wanted = ImageRef { version, purpose }.name();
            self.images.iter().find(|(name, _)| name == wanted).map(|(_, digest)| *digest)
        })
    }
}

/// A layer that is being stored: takes the parts of its tarball.
pub struct LayerWriter<'r> {
    repository: &'r Repository,
    present: Present,
    stream: Writer,
    file: Option<ObjectWriter<'r>>,
    /// The objects so far, in the order of the tarball.
    objects: Vec<FileDigest>,
}

impl Repository {
    /// Starts a layer. `present` is about the objects in it.
    pub fn layer(&self, present: Present) -> Result<LayerWriter<'_>, Error> {
        let stream = Writer::new(self.meta().algorithm, ContentType::Layer)
            .map_err(Error::io("write a stream in", self.path()))?;
        Ok(LayerWriter { repository: self, present, stream, file: None, objects: Vec::new() })
    }

    /// Gives a layer its name. Its tarball must have been hashed: `diff_id` is what came of that.
    pub fn name_layer(&self, diff_id: &Digest, stream: &FileDigest) -> Result<(), Error> {
        self.name_stream(&StreamName::Layer(*diff_id), stream)
    }

    /// Stores the image of a tree.
    pub fn put_image(&self, layout: &Layout<'_>) -> Result<FileDigest, Error> {
        let mut writer = self.object();
        layout.write(&mut writer).map_err(Error::io("write an image in", self.path()))?;
        let digest = writer.finish(Present::Checked)?;
        self.sync()?;
        self.name_image(&digest)?;
        Ok(digest)
    }

    /// Stores a config: its bytes, its layers by diff IDs from the bottom, and the images of its tree.
    pub fn put_config(
        &self,
        digest: &Digest,
        config: &[u8],
        layers: &[(Digest, FileDigest)],
        images: &[(ImageRef, FileDigest)],
    ) -> Result<FileDigest, Error> {
        let references = layers.iter().map(|(diff_id, stream)| (diff_id.to_string(), *stream));
        let images = images.iter().map(|(image, digest)| (image.name().into(), *digest));
        let mut all: Vec<(String, FileDigest)> = references.chain(images).collect();
        let name = StreamName::Config(*digest);
        // What else is known of the image stays known: that of its tree as it is booted, for one.
        if let Ok((_, known)) = self.document(&name) {
            let is_new = |reference: &(String, FileDigest)| all.iter().all(|(name, _)| *name != reference.0);
            let others: Vec<_> = known
                .references
                .into_iter()
                .filter(|reference| reference.0.starts_with("composefs.image") && is_new(reference))
                .collect();
            all.extend(others);
        }
        let stream = self.put_document(&name, ContentType::Config, config, &all)?;
        self.sync()?;
        self.name_stream(&name, &stream)?;
        Ok(stream)
    }

    /// Stores a manifest: its bytes, its config and its layers.
    pub fn put_manifest(
        &self,
        digest: &Digest,
        manifest: &[u8],
        config: (Digest, FileDigest),
        layers: &[(Digest, FileDigest)],
    ) -> Result<StreamName, Error> {
        let config = (format!("config:{}", config.0), config.1);
        let layers = layers.iter().map(|(diff_id, stream)| (diff_id.to_string(), *stream));
        let all: Vec<_> = [config].into_iter().chain(layers).collect();
        let name = StreamName::Manifest(*digest);
        let stream = self.put_document(&name, ContentType::Manifest, manifest, &all)?;
        self.sync()?;
        self.name_stream(&name, &stream)?;
        Ok(name)
    }

    /// Stores a document as one object, and a stream that has nothing else.
    fn put_document(
        &self,
        name: &StreamName,
        content_type: ContentType,
        document: &[u8],
        references: &[(String, FileDigest)],
    ) -> Result<FileDigest, Error> {
        hash::verify(document, &name.digest(), None)?;
        let object = self.put_object(document)?;
        let write = || -> io::Result<Vec<u8>> {
            let mut stream = Writer::new(self.meta().algorithm, content_type)?;
            stream.object(&object, document.len() as u64)?;
            references.iter().for_each(|(name, digest)| stream.reference(name, digest));
            stream.finish()
        };
        self.put_object(&write().map_err(Error::io("write a stream in", self.path()))?)
    }

    /// Reads the document that a stream of a config or a manifest is, and checks that it is the one.
    pub fn document(&self, name: &StreamName) -> Result<(Vec<u8>, Splitstream), Error> {
        let digest = self.stream(name)?;
        let mut document = Vec::new();
        self.cat(&digest, &mut document)?;
        let (expected, found) = (name.digest(), Digest::of(name.digest().algorithm(), &document));
        if found != expected {
            return Err(Error::Content { expected, found });
        }
        Ok((document, self.open_stream(&digest)?))
    }

    /// Reads what a manifest's stream leads to.
    pub fn image(&self, manifest: &StreamName) -> Result<Stored, Error> {
        let (document, stream) = self.document(manifest)?;
        let config =
            stream.references.iter().find_map(|(name, _)| name.strip_prefix("config:")?.parse().ok());
        let missing = || Error::Missing { what: "config of", name: manifest.to_string() };
        let (config, stream) = self.document(&StreamName::Config(config.ok_or_else(missing)?))?;
        let (images, layers) =
            stream.references.into_iter().partition(|(name, _)| name.starts_with("composefs.image"));
        Ok(Stored { manifest: document, config, layers, images })
    }

    /// Writes out the tarball of a layer, and checks that it is the one whose diff ID is given. What was written before
    /// an error is worth nothing.
    pub fn tarball(&self, stream: &FileDigest, diff_id: &Digest, out: &mut dyn Write) -> Result<(), Error> {
        let mut hashing = Hashing::new(diff_id.algorithm(), out);
        self.cat(stream, &mut hashing)?;
        let (expected, found) = (*diff_id, hashing.digest());
        if found == expected { Ok(()) } else { Err(Error::Content { expected, found }) }
    }

    /// Reads the image of a tree.
    pub fn read_image(&self, digest: &FileDigest) -> Result<erofs::composefs::Image, Error> {
        let bytes = self.read_object(digest)?;
        erofs::composefs::read(&bytes).map_err(|source| Error::Image { digest: *digest, source })
    }
}

impl LayerWriter<'_> {
    /// Bytes of the tarball that are no larger file's.
    pub fn inline(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.inline(bytes)
    }

    /// A file follows.
    pub fn begin(&mut self) {
        self.file = Some(self.repository.object());
    }

    /// The file's next bytes.
    pub fn content(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.as_mut().ok_or_else(|| io::Error::other("a file's bytes without a file"))?.write_all(bytes)
    }

    /// The file is whole.
    pub fn end(&mut self) -> io::Result<()> {
        let file = self.file.take().ok_or_else(|| io::Error::other("the end of no file"))?;
        let size = file.size();
        let digest = file.finish(self.present).map_err(io::Error::other)?;
        self.objects.push(digest);
        self.stream.object(&digest, size)
    }

    /// Stores the stream, without a name yet. Gives it with the objects in it.
    pub fn finish(self) -> Result<(FileDigest, Vec<FileDigest>), Error> {
        let bytes = self.stream.finish().map_err(Error::io("write a stream in", self.repository.path()))?;
        Ok((self.repository.put_object(&bytes)?, self.objects))
    }
}
