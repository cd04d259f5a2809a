//! An image of a composefs repository becomes one in an OCI image layout.
//!
//! The repository has the bytes of manifest and config, and of each layer the tarball, but not what that was compressed
//! to: no compressor is sure to give the same bytes twice. So the layers come as tarballs, under their diff IDs, and the
//! manifest says so; with the store, which may still have the blobs, everything comes as it was pulled.

use std::io::Write;
use std::path::Path;

use composefs::{Repository, StreamName};
use hash::{Digest, FileDigest};
use oci::{Descriptor, Document, Image, MediaType};
use serde_json::{Value, json};
use store::Store;

use crate::copy::Error;
use crate::copy::layout::{ToLayout, copy_stored};
use crate::copy::platform_of;

/// Annotations that tell of a layer's compressed bytes: where what is in them, or how long they become.
const OF_COMPRESSED: [&str; 3] =
    ["io.github.containers.zstd-chunked.", "containerd.io/snapshot/stargz/", "io.containers.estargz."];

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The manifest that has the name now.
    pub root: Descriptor,
    /// The manifest that was pulled. The other one differs from it where layers are not compressed any more.
    pub pulled: Digest,
    /// The config and the layers, each once.
    pub blobs: usize,
    /// Bytes of all of them and of the manifest.
    pub bytes: u64,
    /// How many of the blobs were there before.
    pub present: usize,
}

/// Writes an image into the layout in the directory `path`, and gives it the name there. With a store every layer is the
/// blob that was pulled, which the store must have; without one it is the tarball.
pub fn to_layout(
    repository: &Repository,
    manifest: &StreamName,
    store: Option<&Store>,
    path: &Path,
    name: Option<&str>,
) -> Result<Exported, Error> {
    let stored = repository.image(manifest)?;
    let image = image(manifest, &stored)?;
    let mut plan = Vec::new();
    for layer in image.layers() {
        plan.push(Planned::of(layer, &stored, repository, store)?);
    }
    let layout = ToLayout::open(path, name, store)?;
    let config = &image.manifest.config;
    let mut done = Exported {
        root: image.descriptor.clone(),
        pulled: image.descriptor.digest,
        blobs: 0,
        bytes: 0,
        present: 0,
    };
    let mut seen = Vec::new();
    let mut put = |blob: &Descriptor, write: &dyn Fn(&std::fs::File, &Path) -> Result<(), Error>| {
        if !seen.contains(&blob.digest) {
            seen.push(blob.digest);
            let present = layout.put_with(blob, write).map_err(|error| error.about(blob))?;
            done.blobs += 1;
            done.bytes += blob.size;
            done.present += usize::from(present);
        }
        Ok::<(), Error>(())
    };
    for planned in &plan {
        put(&planned.blob, &|mut file, path| match &planned.from {
            Bytes::Store(store) => copy_stored(store.open_blob(&planned.blob)?, &planned.blob, file, path),
            Bytes::Repository { stream, diff_id } => Ok(repository.tarball(stream, diff_id, &mut file)?),
        })?;
    }
    put(config, &|mut file, path| file.write_all(&stored.config).map_err(Error::write(path)))?;
    let layers: Vec<&Descriptor> = plan.iter().map(|planned| &planned.blob).collect();
    let bytes = rewritten(&stored.manifest, &image, &layers)?;
    let digest = Digest::of(image.descriptor.digest.algorithm(), &bytes);
    done.root = Descriptor::new(image.descriptor.media_type.clone(), digest, bytes.len() as u64);
    layout.put_with(&done.root, |mut file, path| file.write_all(&bytes).map_err(Error::write(path)))?;
    layout.list(&done.root, platform_of(&image))?;
    done.bytes += done.root.size;
    Ok(done)
}

/// The manifest and the config, as one.
fn image(name: &StreamName, stored: &composefs::Stored) -> Result<Image, Error> {
    let document = Document::parse(&stored.manifest, None).map_err(Error::Image)?;
    let media_type = document.media_type(&MediaType::Other(String::new()));
    let Document::Manifest(manifest) = document else {
        return Err(Error::Image(oci::Error::Unsupported("it is an index, not an image".into())));
    };
    let descriptor = Descriptor::new(media_type, name.digest(), stored.manifest.len() as u64);
    Image::new(descriptor, *manifest, &stored.config).map_err(Error::Image)
}

/// A layer as it is to be written.
struct Planned<'a> {
    blob: Descriptor,
    from: Bytes<'a>,
}

/// Where its bytes are.
enum Bytes<'a> {
    Store(&'a Store),
    Repository { stream: FileDigest, diff_id: Digest },
}

impl<'a> Planned<'a> {
    fn of(
        layer: oci::Layer<'_>,
        stored: &composefs::Stored,
        repository: &Repository,
        store: Option<&'a Store>,
    ) -> Result<Planned<'a>, Error> {
        let oci::Layer { descriptor, diff_id } = layer;
        let was_compressed = descriptor.digest != *diff_id;
        if let Some(store) = store.filter(|_| was_compressed) {
            // Before anything is written.
            store.open_blob(descriptor).map_err(|error| Error::from(error).about(descriptor))?;
            return Ok(Planned { blob: descriptor.clone(), from: Bytes::Store(store) });
        }
        let name = diff_id.to_string();
        let known = stored.layers.iter().find(|(known, _)| *known == name);
        let (_, stream) = known.ok_or(composefs::Error::Missing { what: "stream of layer", name })?;
        let mut blob = descriptor.clone();
        if was_compressed {
            blob.media_type = descriptor.media_type.expanded();
            blob.digest = *diff_id;
            blob.size = repository.open_stream(stream)?.size;
        }
        Ok(Planned { blob, from: Bytes::Repository { stream: *stream, diff_id: *diff_id } })
    }
}

/// The manifest with these layers: its own bytes, if they are those that it has.
fn rewritten(manifest: &[u8], image: &Image, layers: &[&Descriptor]) -> Result<Vec<u8>, Error> {
    if image.manifest.layers.iter().zip(layers).all(|(own, layer)| own.digest == layer.digest) {
        return Ok(manifest.to_vec());
    }
    let malformed = |cause: String| Error::Image(oci::Error::Malformed { what: "manifest", cause });
    let mut document: Value =
        serde_json::from_slice(manifest).map_err(|error| malformed(error.to_string()))?;
    let entries = document["layers"].as_array_mut().ok_or_else(|| malformed("it has no layers".into()))?;
    for (entry, layer) in entries.iter_mut().zip(layers) {
        let Some(fields) = entry.as_object_mut() else { continue };
        if fields.get("digest") == Some(&json!(layer.digest)) {
            continue;
        }
        fields.insert("mediaType".into(), json!(layer.media_type));
        fields.insert("digest".into(), json!(layer.digest));
        fields.insert("size".into(), json!(layer.size));
        // What these say is true of the compressed bytes alone.
        fields.remove("urls");
        fields.remove("data");
        if let Some(Value::Object(annotations)) = fields.get_mut("annotations") {
            annotations.retain(|name, _| !OF_COMPRESSED.iter().any(|prefix| name.starts_with(prefix)));
        }
    }
    Ok(document.to_string().into_bytes())
}
