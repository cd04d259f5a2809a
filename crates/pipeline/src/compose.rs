//! An image in the store becomes one in a composefs repository: its layers as streams and objects, its merged tree as
//! an image of composefs, and a tag that leads to all of it.

mod layers;
mod layout;

use std::io;

use composefs::{ImageRef, Purpose, Repository, StreamName, Tag};
use erofs::composefs::{Files, Object, Objects, Version, plan};
use hash::{Algorithm, Digest, FileDigest, Verity};
use oci::Image;
use store::Store;
use tree::{BLOCK, Content, Kind, NodeId, Notes, Tree, transform};

use crate::error::{Error, LayerFault};
use crate::event::Report;
use crate::layers::Options;
use layers::{Stored, store_layers};

pub use layout::{Exported, to_layout};

/// The only attribute that is left of those that layers have: others tell of the machine that built them, or mean
/// what a policy of the machine that runs them decides. It is what `cfsctl` keeps.
const KEPT_XATTR: &[u8] = b"security.capability";

/// What came of an image.
#[derive(Debug)]
pub struct Composed {
    /// Its manifest.
    pub manifest: StreamName,
    /// The images of its tree, that in the repository's own format first.
    pub images: Vec<(Version, FileDigest)>,
    /// Layers that were there already, and those that were not.
    pub layers_known: usize,
    /// Layers that were read.
    pub layers_new: usize,
    /// What was noticed.
    pub notes: Notes,
}

/// Puts an image into a repository. The tag comes last, so that it never leads to what is not whole.
pub fn compose(
    store: &Store,
    image: &Image,
    repository: &Repository,
    tag: Option<&Tag>,
    options: &Options,
    report: Report<'_>,
) -> Result<Composed, Error> {
    let stored = store_layers(store, image, repository, options, report)?;
    repository.sync()?;
    let names: Vec<(Digest, FileDigest)> =
        image.layers().zip(&stored).map(|(layer, stored)| (*layer.diff_id, stored.stream)).collect();
    for (diff_id, stream) in &names {
        repository.name_layer(diff_id, stream)?;
    }
    let layers_new = stored.iter().filter(|stored| stored.is_new).count();
    let layers_known = stored.len() - layers_new;
    let (files, notes) = merge(image, stored)?;
    let meta = repository.meta();
    let mut images = Vec::new();
    for version in [&[meta.version], meta.extra.as_slice()].concat() {
        let layout = plan(&files, version).map_err(Error::Image)?;
        images.push((version, repository.put_image(&layout)?));
    }
    let references: Vec<_> = images
        .iter()
        .map(|(version, digest)| (ImageRef { version: *version, purpose: Purpose::Run }, *digest))
        .collect();
    let (manifest, config) = documents(store, image)?;
    let config_digest = image.manifest.config.digest;
    let config = repository.put_config(&config_digest, &config, &names, &references)?;
    let manifest_digest = image.descriptor.digest;
    let manifest = repository.put_manifest(&manifest_digest, &manifest, (config_digest, config), &names)?;
    repository.sync()?;
    if let Some(tag) = tag {
        repository.tag(tag, &manifest)?;
        repository.sync()?;
    }
    Ok(Composed { manifest, images, layers_known, layers_new, notes })
}

/// The bytes of manifest and config, as they were transferred.
fn documents(store: &Store, image: &Image) -> Result<(Vec<u8>, Vec<u8>), Error> {
    Ok((store.document(&image.descriptor)?, store.document(&image.manifest.config)?))
}

/// Merges the layers, and finds the objects of the files that came of that.
fn merge(image: &Image, stored: Vec<Stored>) -> Result<(Files, Notes), Error> {
    let (mut tree, mut notes) = (Tree::default(), Notes::default());
    let mut layers = Vec::new();
    for ((number, layer), stored) in (0..).zip(image.layers()).zip(stored) {
        notes.extend(stored.layer.notes);
        tree.apply(number, stored.layer.changes, &mut notes)
            .map_err(|fault| Error::Apply { blob: layer.descriptor.digest, fault })?;
        layers.push(stored.objects);
    }
    transform::root_from_usr(&mut tree);
    transform::empty_run(&mut tree);
    transform::keep_xattrs(&mut tree, |name| name == KEPT_XATTR);
    let objects = objects(&tree, &layers);
    notes.sort();
    Ok((Files { tree, objects }, notes))
}

/// The objects of a tree whose layers were taken apart.
pub(crate) fn objects(tree: &Tree, layers: &[Vec<FileDigest>]) -> Objects {
    let mut objects = Objects::of(tree);
    let mut walk = tree.walk();
    while let Some(visit) = walk.step() {
        if let Some(digest) = object_of(tree, visit.node, layers) {
            objects.set(visit.node, Object { digest, enforced: true });
        }
    }
    objects
}

fn object_of(tree: &Tree, node: NodeId, layers: &[Vec<FileDigest>]) -> Option<FileDigest> {
    match &tree.node(node).kind {
        Kind::File(Content::Whole(span)) => {
            layers.get(span.layer as usize)?.get((span.offset / BLOCK) as usize).copied()
        }
        _ => None,
    }
}

/// The tree of a tarball, with the digests of the objects that its larger files would be.
pub fn of_tarball(tarball: &[u8], algorithm: Algorithm, inline_max: u64) -> Result<Files, Error> {
    let mut parts = Measuring { algorithm, file: None, objects: Vec::new() };
    let fault = |fault| {
        let blob = Digest::sha256(tarball);
        Error::Layer { number: 0, blob, fault: Box::new(LayerFault::Layer(fault)) }
    };
    let layer =
        layer::split(0, tarball, &mut parts, inline_max, &layer::ReadOptions::default()).map_err(fault)?;
    let mut tree = Tree::default();
    tree.apply(0, layer.changes, &mut Notes::default())
        .map_err(|fault| Error::Apply { blob: Digest::sha256(tarball), fault })?;
    let objects = objects(&tree, &[parts.objects]);
    Ok(Files { tree, objects })
}

/// Computes the digests of files, and keeps nothing else.
struct Measuring {
    algorithm: Algorithm,
    file: Option<Verity>,
    objects: Vec<FileDigest>,
}

impl layer::Parts for Measuring {
    fn inline(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn begin(&mut self, _: u64) -> io::Result<()> {
        self.file = Some(Verity::new(self.algorithm));
        Ok(())
    }

    fn content(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            file.update(bytes);
        }
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        self.objects.extend(self.file.take().map(Verity::finish));
        Ok(())
    }
}
