//! Bringing a rootfs to the registry that has its image.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::num::NonZero;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::thread;

use hash::{Algorithm, Digest, Hasher};
use oci::{Descriptor, Image, MediaType, Reference};
use registry::Client;

use super::parts::{PART, pack};
use super::{ARTIFACT_TYPE, Artifact, DIGEST, EMPTY, EMPTY_TYPE, Error, SIZE, Terms, is_shareable};
use crate::copy::send_file;
use crate::event::Report;
use crate::options::Options;
use crate::pull;

/// A rootfs that is in a registry now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The artifact, by its digest.
    pub reference: Reference,
    /// The digest of the rootfs itself.
    pub rootfs: Digest,
    /// Its size in bytes, holes included.
    pub size: u64,
    /// Bytes of all parts as transferred.
    pub packed: u64,
    /// Whether the registry keeps the list of what refers to the image; else a tag of the repository has it.
    pub listed: bool,
}

/// Pushes the rootfs in `path`, which [`build`](crate::build()) made from `image` with `options`, to the repository of
/// `reference`, which must have the image. What is packed waits in `scratch`, a part at a time.
pub fn push(
    path: &Path,
    image: &Image,
    options: &Options,
    reference: &Reference,
    pull: &pull::Options,
    scratch: &Path,
    report: Report<'_>,
) -> Result<Pushed, Error> {
    if !is_shareable(&options.format) {
        return Err(Error::Directory);
    }
    pull::with_retries(pull, report, |pull| {
        let client = Client::new(pull.registry.clone())?;
        send(path, image, options, reference, &client, scratch, report)
    })
}

fn send(
    path: &Path,
    image: &Image,
    options: &Options,
    reference: &Reference,
    client: &Client,
    scratch: &Path,
    report: Report<'_>,
) -> Result<Pushed, Error> {
    let terms = Terms::new(image, options);
    let of_image = reference.at_digest(terms.image.digest);
    if !client.has_manifest(&of_image)? {
        return Err(Error::NoImage { reference: of_image });
    }
    let unpackable = |cause| Error::Pack { path: path.into(), cause };
    let file = File::open(path).map_err(unpackable)?;
    let size = file.metadata().map_err(unpackable)?.len();
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let mut whole = Hasher::new(Algorithm::Sha256);
    let mut layers = Vec::new();
    for offset in (0..size).step_by(PART as usize) {
        let packed = tempfile::tempfile_in(scratch).map_err(unpackable)?;
        let part = pack(&file, offset, size, &mut whole, &packed, threads).map_err(unpackable)?;
        if let Some(upload) = client.upload(reference, &part, None)? {
            send_file(upload, &packed, &part, &AtomicBool::new(false), report)?;
        }
        layers.push(part);
    }
    let config = Descriptor::new(MediaType::parse(EMPTY_TYPE), Digest::sha256(EMPTY), EMPTY.len() as u64);
    if let Some(upload) = client.upload(reference, &config, None)? {
        upload.send(&mut |_| Ok(Box::new(EMPTY) as Box<dyn io::Read>))?;
    }

    let rootfs = whole.finish();
    let mut annotations: BTreeMap<String, String> =
        terms.annotations.into_iter().map(|(name, value)| (name.into(), value)).collect();
    annotations.insert(SIZE.into(), size.to_string());
    annotations.insert(DIGEST.into(), rootfs.to_string());
    let packed = layers.iter().map(|part| part.size).sum();
    let artifact = Artifact {
        schema_version: 2,
        media_type: MediaType::parse(MediaType::OCI_MANIFEST),
        artifact_type: ARTIFACT_TYPE.into(),
        config,
        layers,
        subject: terms.image,
        annotations,
    };
    let bytes = serde_json::to_vec(&artifact).expect("it has strings for keys and no way to fail");
    let mut descriptor =
        Descriptor::new(artifact.media_type.clone(), Digest::sha256(&bytes), bytes.len() as u64);
    let reference = reference.at_digest(descriptor.digest);
    let put = client.put_manifest(&reference, &artifact.media_type, &bytes)?;
    if !put.subject_noted {
        descriptor.artifact_type = Some(artifact.artifact_type);
        descriptor.annotations = artifact.annotations;
        client.add_referrer(&reference, &artifact.subject.digest, &descriptor)?;
    }
    Ok(Pushed { reference, rootfs, size, packed, listed: put.subject_noted })
}
