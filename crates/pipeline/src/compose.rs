//! An image in the store becomes one in a composefs repository: its layers as streams and objects, its merged tree as
//! an image of composefs, and a tag that leads to all of it.

mod boot;
mod input;
mod layers;
mod layout;
mod selinux;

use composefs::{ImageRef, Purpose, Repository, StreamName, Tag};
use erofs::composefs::{Files, Object, Objects, Version, plan};
use hash::{Digest, FileDigest};
use oci::Image;
use store::Store;
use tree::{BLOCK, Content, Kind, NodeId, Notes, Tree, transform};

use crate::error::Error;
use crate::event::Report;
use layers::{Stored, store_layers};

pub use boot::BootError;
pub use input::{InputError, of_directory, of_tarball};
pub use layout::{Exported, to_layout};
pub use selinux::PolicyError;

/// The only attribute that is left of those that layers have: others tell of the machine that built them, or mean
/// what a policy of the machine that runs them decides. It is what `cfsctl` keeps.
const KEPT_XATTR: &[u8] = b"security.capability";

/// How an image is put into a repository.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How its layers are read.
    pub layers: crate::layers::Options,
    /// Whether there are to be images of the tree as it is booted, too.
    pub bootable: bool,
    /// Whether the bytes of everything that is there already are checked, and written anew where they are wrong.
    pub verify: bool,
}

/// What came of an image.
#[derive(Debug)]
pub struct Composed {
    /// Its manifest.
    pub manifest: StreamName,
    /// The images of its tree, that in the repository's own format first.
    pub images: Vec<(Version, FileDigest)>,
    /// The same of the tree as it is booted, if these were asked for.
    pub boot_images: Vec<(Version, FileDigest)>,
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
    let (tree, layers, notes) = merge(image, stored)?;
    let put = |tree: Tree| -> Result<_, Error> {
        let files = Files { objects: objects(&tree, &layers), tree };
        let (meta, mut images) = (repository.meta(), Vec::new());
        for version in [&[meta.version], meta.extra.as_slice()].concat() {
            let layout = plan(&files, version).map_err(Error::Image)?;
            images.push((version, repository.put_image(&layout)?));
        }
        Ok(images)
    };
    let mut boot_images = Vec::new();
    if options.bootable {
        let mut tree = tree.clone();
        boot::prepare(&mut tree, &|tree, node| contents(repository, tree, node, &layers))
            .map_err(Error::Boot)?;
        boot_images = put(tree)?;
    }
    let images = put(tree)?;
    let reference = |purpose| {
        move |(version, digest): &(Version, FileDigest)| (ImageRef { version: *version, purpose }, *digest)
    };
    let references: Vec<_> = (images.iter().map(reference(Purpose::Run)))
        .chain(boot_images.iter().map(reference(Purpose::Boot)))
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
    Ok(Composed { manifest, images, boot_images, layers_known, layers_new, notes })
}

/// The bytes of manifest and config, as they were transferred.
fn documents(store: &Store, image: &Image) -> Result<(Vec<u8>, Vec<u8>), Error> {
    Ok((store.document(&image.descriptor)?, store.document(&image.manifest.config)?))
}

/// Merges the layers. Gives the objects of each with that.
fn merge(image: &Image, stored: Vec<Stored>) -> Result<(Tree, Vec<Vec<FileDigest>>, Notes), Error> {
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
    notes.sort();
    Ok((tree, layers, notes))
}

/// The objects of a tree whose layers were taken apart.
fn objects(tree: &Tree, layers: &[Vec<FileDigest>]) -> Objects {
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

/// The bytes of a file.
fn contents(
    repository: &Repository,
    tree: &Tree,
    node: NodeId,
    layers: &[Vec<FileDigest>],
) -> Result<Vec<u8>, composefs::Error> {
    match (&tree.node(node).kind, object_of(tree, node, layers)) {
        (_, Some(digest)) => repository.read_object(&digest),
        (Kind::File(Content::Inline(bytes)), None) => Ok(bytes.to_vec()),
        _ => Ok(Vec::new()),
    }
}
