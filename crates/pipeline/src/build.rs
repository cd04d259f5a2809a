//! The main job: an image in the store becomes a rootfs.
//!
//! This page is the whole path. [`merge`] reads the layers and puts one on top of the other; [`build`] lets a
//! format plan and write what came out.

use std::path::Path;

use hash::Digest;
use oci::Image;
use store::Store;
use tree::{Notes, Remark, Tree, transform};

use crate::built::{Built, Filesystem, measure};
use crate::directory::{self, Unkept};
use crate::error::Error;
use crate::event::Report;
use crate::identity::Identity;
use crate::layers::{self, Contents};
use crate::options::{Ext4, Format, Options, Target, check_target, scratch_directory};
use crate::output::{FileOutput, StreamOutput};
use crate::publish::Unpublished;
use crate::spool::Spool;

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
    let scratch = scratch_directory(options, &target);
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

/// A tarball goes to a stream: what fails then is mostly the stream.
fn stream_error(error: layer::Error) -> Error {
    match error {
        layer::Error::Io { source, .. } => Error::Stream(source),
        other => Error::Tar(other),
    }
}
