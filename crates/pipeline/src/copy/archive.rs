//! Archives, as destinations: a tarball of an OCI layout, and what `docker save` writes. Both are written anew beside
//! the file whose name they get.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use hash::{Digest, Hasher};
use layer::Expander;
use oci::{Descriptor, Image, MediaType, Reference};
use serde_json::{Value, json};
use store::Store;

use super::layout::{MARK, entry};
use super::tarball::Tarball;
use super::{Bring, Bundle, Error, Sink, mismatched, platform_of};
use crate::LayerFault;
use crate::event::Report;
use crate::publish::Unpublished;
use crate::source::docker_archive::{LIST, make_manifest};
use crate::source::listing::{CONTAINERD_NAME, INDEX_FILE, LAYOUT_FILE};
use crate::source::oci_archive::blob_name;

/// Bytes that are expanded at once.
const BUFFER: usize = 256 << 10;

/// A tarball of an OCI layout, and the name that the image gets in it.
pub(super) struct ToOciArchive<'a> {
    path: PathBuf,
    name: Option<&'a str>,
}

impl<'a> ToOciArchive<'a> {
    /// Looks whether the file can be written. Nothing is made yet.
    pub(super) fn open(path: &Path, name: Option<&'a str>) -> Result<ToOciArchive<'a>, Error> {
        Unpublished::check(path).map_err(Error::write(path))?;
        Ok(ToOciArchive { path: path.into(), name })
    }
}

impl Sink for ToOciArchive<'_> {
    fn put(&self, _: &Descriptor, bring: Bring<'_>, _: &AtomicBool, _: Report<'_>) -> Result<bool, Error> {
        // An archive is written from its start to its end, when everything is at hand.
        bring().map(|_blob| false)
    }

    fn finish(self: Box<Self>, bundle: &Bundle, store: &Store) -> Result<Descriptor, Error> {
        let fail = |error| Error::write(&self.path)(error);
        let output = Unpublished::create(&self.path, 0).map_err(fail)?;
        let mut tarball = Tarball::new(&output.file);
        tarball.add_bytes(LAYOUT_FILE, MARK).map_err(fail)?;
        let index = index(vec![entry(&bundle.root, bundle.platform(), self.name)]);
        tarball.add_bytes(INDEX_FILE, &index).map_err(fail)?;
        // By digest, so that it does not matter in which order things were found.
        let mut blobs: Vec<&Descriptor> = bundle.documents.iter().chain(&bundle.blobs).collect();
        blobs.sort_by_key(|blob| blob.digest);
        blobs.dedup_by_key(|blob| blob.digest);
        for blob in blobs {
            add_blob(&mut tarball, blob, store, &self.path)?;
        }
        tarball.finish().map_err(fail)?;
        output.publish().map_err(fail)?;
        Ok(bundle.root.clone())
    }
}

/// What `docker save` writes today: an OCI layout of one image, its layers not compressed, with the list by which
/// older versions find everything.
pub(super) struct ToDockerArchive {
    path: PathBuf,
    name: Option<Reference>,
}

impl ToDockerArchive {
    /// Looks whether the file can be written, and the name be had. Nothing is made yet.
    pub(super) fn open(path: &Path, name: Option<&str>) -> Result<ToDockerArchive, Error> {
        let name = match name {
            Some(text) => {
                let invalid = |fault| Error::Name { name: text.into(), fault };
                let name: Reference = text.parse().map_err(invalid)?;
                // A digest would be that of another manifest.
                if name.digest().is_some() {
                    return Err(invalid(oci::ReferenceError::Tag(text.into())));
                }
                Some(name)
            }
            None => None,
        };
        Unpublished::check(path).map_err(Error::write(path))?;
        Ok(ToDockerArchive { path: path.into(), name })
    }

    fn write(&self, image: &Image, store: &Store, file: &File) -> Result<Descriptor, Error> {
        let fail = |error| Error::write(&self.path)(error);
        let mut tarball = Tarball::new(file);
        tarball.add_bytes(LAYOUT_FILE, MARK).map_err(fail)?;
        let (mut layers, mut names) = (Vec::new(), Vec::new());
        let mut written: BTreeSet<Digest> = BTreeSet::new();
        for (number, layer) in image.layers().enumerate() {
            let name = blob_name(layer.diff_id);
            names.push(name.clone());
            if !written.insert(*layer.diff_id) {
                let known = layers.iter().find(|known: &&Descriptor| known.digest == *layer.diff_id).cloned();
                layers.extend(known);
                continue;
            }
            let size = self.add_expanded(&mut tarball, &name, number, layer, store)?;
            let media_type = MediaType::parse("application/vnd.oci.image.layer.v1.tar");
            layers.push(Descriptor::new(media_type, *layer.diff_id, size));
        }
        let config = store.document(&image.manifest.config)?;
        let (root, manifest) = make_manifest(&config, layers);
        let config_name = blob_name(&Digest::sha256(&config));
        tarball.add_bytes(&config_name, &config).map_err(fail)?;
        tarball.add_bytes(&blob_name(&root.digest), &manifest).map_err(fail)?;

        let name = self.name.as_ref();
        let mut entry = entry(&root, platform_of(image), name.and_then(Reference::tag));
        if let Some(name) = name {
            entry["annotations"][CONTAINERD_NAME] = name.to_string().into();
        }
        tarball.add_bytes(INDEX_FILE, &index(vec![entry])).map_err(fail)?;
        let tags = name.map_or(Value::Null, |name| json!([name.to_string()]));
        let list = json!([{"Config": config_name, "RepoTags": tags, "Layers": names}]);
        tarball.add_bytes(LIST, list.to_string().as_bytes()).map_err(fail)?;
        tarball.finish().map_err(fail)?;
        Ok(root)
    }

    /// Adds a layer, expanded and checked.
    fn add_expanded(
        &self,
        tarball: &mut Tarball<'_>,
        name: &str,
        number: usize,
        layer: oci::Layer<'_>,
        store: &Store,
    ) -> Result<u64, Error> {
        let blob = layer.descriptor.digest;
        let failed = |fault| Error::Layer { number, blob, fault: Box::new(fault) };
        let stored = BufReader::with_capacity(BUFFER, store.open_blob(layer.descriptor)?.verify());
        let limits = layer::compression::Limits::default();
        let mut expander = Expander::new(stored, limits).map_err(|fault| failed(LayerFault::Layer(fault)))?;
        let mut hashing =
            Hashing { reader: &mut expander, hasher: Hasher::new(layer.diff_id.algorithm()), failure: None };
        let added = tarball.add(name, &mut hashing);
        let Hashing { hasher, failure, .. } = hashing;
        if let Some(error) = failure {
            return Err(match mismatched(error, blob) {
                Ok(corrupt) => corrupt.into(),
                Err(error) => match error.downcast::<layer::Error>() {
                    Ok(fault) => failed(LayerFault::Layer(fault)),
                    Err(error) => failed(LayerFault::Blob(error)),
                },
            });
        }
        let size = added.map_err(Error::write(&self.path))?;
        let found = hasher.finish();
        let expected = *layer.diff_id;
        if found == expected { Ok(size) } else { Err(failed(LayerFault::DiffId { expected, found })) }
    }
}

impl Sink for ToDockerArchive {
    fn put(&self, _: &Descriptor, bring: Bring<'_>, _: &AtomicBool, _: Report<'_>) -> Result<bool, Error> {
        bring().map(|_blob| false)
    }

    fn finish(self: Box<Self>, bundle: &Bundle, store: &Store) -> Result<Descriptor, Error> {
        let [image] = &bundle.images[..] else {
            return Err(Error::OneImage { place: format!("docker-archive:{}", self.path.display()) });
        };
        let output = Unpublished::create(&self.path, 0).map_err(Error::write(&self.path))?;
        let root = self.write(image, store, &output.file)?;
        output.publish().map_err(Error::write(&self.path))?;
        Ok(root)
    }
}

/// Hashes what passes, and keeps what the reader fails with: it is not the archive's.
struct Hashing<'a> {
    reader: &'a mut dyn Read,
    hasher: Hasher,
    failure: Option<io::Error>,
}

impl Read for Hashing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.reader.read(buffer) {
            Ok(count) => {
                self.hasher.update(&buffer[..count]);
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let kind = error.kind();
                self.failure = Some(error);
                Err(kind.into())
            }
        }
    }
}

fn add_blob(tarball: &mut Tarball<'_>, blob: &Descriptor, store: &Store, path: &Path) -> Result<(), Error> {
    let mut reader = store.open_blob(blob)?.verify();
    let added = tarball.add(&blob_name(&blob.digest), &mut reader);
    added.map(drop).map_err(|error| match mismatched(error, blob.digest) {
        Ok(corrupt) => corrupt.into(),
        Err(error) => Error::write(path)(error),
    })
}

/// An `index.json`.
fn index(manifests: Vec<Value>) -> Vec<u8> {
    let index = json!({"schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": manifests});
    index.to_string().into_bytes()
}
