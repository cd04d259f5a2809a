//! The main job: an image in the store becomes a rootfs.
//!
//! This page is the whole path. [`merge`] reads the layers and puts one on top of the other; [`build`] lets a
//! format plan and write what came out.

use std::io::Write;
use std::path::{Path, PathBuf};

use hash::Digest;
use oci::Image;
use store::Store;
use tree::{Notes, Remark, Tree, transform};

use crate::directory::{self, Unkept};
use crate::error::Error;
use crate::event::Report;
use crate::identity::Identity;
use crate::layers::{self, Contents};
use crate::output::{FileOutput, StreamOutput};
use crate::publish::Unpublished;
use crate::spool::Spool;

/// What the caller decides about a build.
#[derive(Debug, Clone)]
pub struct Options {
    /// What is written.
    pub format: Format,
    /// How the layers are read.
    pub layers: layers::Options,
    /// No time in the rootfs is later than this, in seconds since 1970.
    pub latest_mtime: Option<i64>,
    /// Where contents wait to be written; by default beside the output, so that they can be reflinked.
    pub scratch: Option<PathBuf>,
    /// Whether an image without any file is built rather than refused.
    pub allow_empty: bool,
}

impl Options {
    /// All that decides the bytes of the output beside the image, as text.
    fn spelled(&self) -> String {
        // What only bounds or speeds up the reading does not change what is read.
        let read = &self.layers.read;
        let kept = [
            !read.drop_devices,
            read.keep_overlay_xattrs,
            read.keep_selinux,
            read.keep_rootless_xattrs,
            read.keep_lazy_pull_metadata,
        ];
        format!("{:?} kept {kept:?} latest {:?}", self.format, self.latest_mtime)
    }
}

/// What a rootfs is written as.
#[derive(Debug, Clone)]
pub enum Format {
    /// An ext4 filesystem.
    Ext4(Ext4),
    /// A tarball.
    Tar,
    /// A directory of the host.
    Directory,
}

/// What the caller decides about an ext4 filesystem.
#[derive(Debug, Clone, Default)]
pub struct Ext4 {
    /// All but the identifiers.
    pub options: ext4::Options,
    /// The UUID, if it is not to be derived.
    pub uuid: Option<[u8; 16]>,
}

/// Where a rootfs goes.
pub enum Target<'a> {
    /// A file, a block device, or for [`Format::Directory`] a directory.
    Path(&'a Path),
    /// Anything that takes bytes in order.
    Stream(&'a mut dyn Write),
}

/// What was built.
#[derive(Debug, Clone)]
pub struct Built {
    /// The image.
    pub manifest: Digest,
    /// How many layers it has.
    pub layers: usize,
    /// How many names the rootfs has.
    pub names: u64,
    /// Bytes of its files, each counted once, holes left out.
    pub content_bytes: u64,
    /// Bytes of the output, holes included; 0 for a directory.
    pub output_bytes: u64,
    /// Bytes that waited in the scratch directory.
    pub scratch_bytes: u64,
    /// What a filesystem has beside its files; `None` for the other formats.
    pub filesystem: Option<Filesystem>,
    /// What a directory of the host could not hold.
    pub unkept: Unkept,
    /// What was noticed.
    pub notes: Notes,
}

/// What a filesystem has.
#[derive(Debug, Clone)]
pub struct Filesystem {
    /// Its UUID.
    pub uuid: [u8; 16],
    /// Bytes of a block.
    pub block_size: u32,
    /// Blocks that are free.
    pub free_blocks: u64,
    /// Inodes in all.
    pub inodes: u64,
    /// Inodes that are free.
    pub free_inodes: u64,
}

/// An image's merged tree, and where the contents of its files are.
pub struct Merged {
    /// The tree.
    pub tree: Tree,
    /// The contents.
    pub spool: Spool,
    /// What was noticed.
    pub notes: Notes,
}

/// Reads an image's layers and merges them.
pub fn merge(
    store: &Store,
    image: &Image,
    options: &layers::Options,
    contents: Contents<'_>,
    report: Report<'_>,
) -> Result<Merged, Error> {
    let (mut tree, mut notes) = (Tree::default(), Notes::default());
    let blobs: Vec<Digest> = image.layers().map(|layer| layer.descriptor.digest).collect();
    let spool = layers::read(store, image, options, contents, report, |layer| {
        notes.extend(layer.notes);
        tree.apply(layer.number, layer.changes, &mut notes)
            .map_err(|fault| Error::Apply { blob: blobs[layer.number as usize], fault })
    })?;
    Ok(Merged { tree, spool, notes })
}

/// Builds a rootfs from an image that is in the store, and publishes it.
///
/// What is at the target's name stays as it is until the new rootfs is complete and on the disk.
pub fn build(
    store: &Store,
    image: &Image,
    options: &Options,
    target: Target<'_>,
    report: Report<'_>,
) -> Result<Built, Error> {
    check_target(options, &target)?;
    let scratch = scratch(options, &target);
    let merged = merge(store, image, &options.layers, Contents::Keep(&scratch), report)?;
    let Merged { mut tree, spool, notes } = merged;

    let (names, content_bytes) = measure(&tree);
    if names == 0 && !image.manifest.layers.is_empty() && !options.allow_empty {
        return Err(Error::Empty);
    }
    transform::clamp_mtime(&mut tree, options.latest_mtime);

    let manifest = image.descriptor.digest;
    let mut built = Built {
        manifest,
        layers: image.manifest.layers.len(),
        names,
        content_bytes,
        output_bytes: 0,
        scratch_bytes: spool.bytes(),
        filesystem: None,
        unkept: Unkept::default(),
        notes,
    };
    match (&options.format, target) {
        (Format::Ext4(ext4), Target::Path(path)) => {
            write_ext4(&tree, spool, ext4, &options.spelled(), path, report, &mut built)?;
        }
        (Format::Tar, Target::Path(path)) => write_tar(&tree, spool, path, report, &mut built)?,
        (Format::Tar, Target::Stream(stream)) => {
            let mut output = StreamOutput::new(stream, &spool);
            built.output_bytes = layer::write(&tree, &mut output).map_err(stream_error)?;
            output.finish().map_err(Error::Stream)?;
        }
        (Format::Directory, Target::Path(path)) => write_directory(&tree, spool, path, report, &mut built)?,
        (Format::Ext4(_) | Format::Directory, Target::Stream(_)) => {
            unreachable!("check_target refuses these")
        }
    }
    Ok(built)
}

fn write_ext4(
    tree: &Tree,
    spool: Spool,
    options: &Ext4,
    variant: &str,
    path: &Path,
    report: Report<'_>,
    built: &mut Built,
) -> Result<(), Error> {
    let identity = Identity::derive(&built.manifest, variant);
    let uuid = options.uuid.unwrap_or(identity.uuid);
    let options = ext4::Options { uuid, hash_seed: identity.hash_seed, ..options.options.clone() };
    let layout = ext4::plan(tree, &options).map_err(Error::Ext4)?;

    let fail = |cause| Error::Output { path: path.into(), cause };
    let output = Unpublished::create(path, layout.size()).map_err(fail)?;
    let mut file = FileOutput::new(&output.file, &spool, built.content_bytes, report);
    layout.write(tree, &mut file).map_err(Error::Ext4)?;
    file.finish().map_err(fail)?;
    // The spool is dropped before the output is flushed: its pages must not be written to the disk.
    drop(spool);
    output.publish().map_err(fail)?;

    built.output_bytes = layout.size();
    built.notes.count(Remark::TimeClamped, layout.clamped_times());
    built.notes.count(Remark::XattrUnsupported, layout.dropped_xattrs());
    built.filesystem = Some(Filesystem {
        uuid,
        block_size: options.block_size.bytes(),
        free_blocks: layout.free_blocks(),
        inodes: layout.inodes(),
        free_inodes: layout.free_inodes(),
    });
    Ok(())
}

fn write_tar(
    tree: &Tree,
    spool: Spool,
    path: &Path,
    report: Report<'_>,
    built: &mut Built,
) -> Result<(), Error> {
    let fail = |cause| Error::Output { path: path.into(), cause };
    // A tarball spells its zeros out, so nothing has to be zeroed before.
    let output = Unpublished::create(path, 0).map_err(fail)?;
    let mut file = FileOutput::new(&output.file, &spool, built.content_bytes, report);
    built.output_bytes = layer::write(tree, &mut file).map_err(Error::Tar)?;
    file.finish().map_err(fail)?;
    drop(spool);
    output.publish().map_err(fail)
}

fn write_directory(
    tree: &Tree,
    spool: Spool,
    path: &Path,
    report: Report<'_>,
    built: &mut Built,
) -> Result<(), Error> {
    let written = directory::Unpublished::write(tree, &spool, path, report)
        .map_err(|fault| Error::Directory { path: path.into(), fault })?;
    drop(spool);
    built.unkept = written.unkept;
    written.publish().map_err(|cause| Error::Output { path: path.into(), cause })
}

/// Refuses what cannot work before any work is done.
fn check_target(options: &Options, target: &Target<'_>) -> Result<(), Error> {
    let invalid = |text: &str| std::io::Error::new(std::io::ErrorKind::InvalidInput, text);
    match (&options.format, target) {
        (Format::Tar, Target::Stream(_)) => Ok(()),
        (Format::Ext4(_) | Format::Directory, Target::Stream(_)) => {
            Err(Error::Stream(invalid("only a tarball can be written front to back")))
        }
        (Format::Directory, Target::Path(path)) => {
            directory::check_free(path).map_err(|cause| Error::Output { path: path.to_path_buf(), cause })
        }
        (Format::Ext4(_) | Format::Tar, Target::Path(path)) => {
            let checked = Unpublished::check(path).map(|_is_device| ());
            checked.map_err(|cause| Error::Output { path: path.to_path_buf(), cause })
        }
    }
}

/// Where contents wait: where the caller says, else beside a file that is written, else where temporary
/// files go.
fn scratch(options: &Options, target: &Target<'_>) -> PathBuf {
    match (&options.scratch, target) {
        (Some(directory), _) => directory.clone(),
        (None, Target::Path(path)) if !path.starts_with("/dev") => crate::publish::directory_of(path).into(),
        (None, _) => std::env::temp_dir(),
    }
}

/// Counts the names below the root and the bytes of contents.
fn measure(tree: &Tree) -> (u64, u64) {
    let (mut names, mut bytes) = (0, 0);
    let mut seen = vec![false; tree.table_length()];
    let mut walk = tree.walk();
    walk.step();
    while let Some(visit) = walk.step() {
        names += 1;
        let known = std::mem::replace(&mut seen[visit.node.index()], true);
        if let (tree::Kind::File(content), false) = (&tree.node(visit.node).kind, known) {
            bytes += content.data_length();
        }
    }
    (names, bytes)
}

/// A tarball goes to a stream: what fails then is mostly the stream.
fn stream_error(error: layer::Error) -> Error {
    match error {
        layer::Error::Io { source, .. } => Error::Stream(source),
        other => Error::Tar(other),
    }
}
