//! The main job: an image in the store becomes a rootfs.
//!
//! This page is the whole path. `merge` reads the layers and puts one on top of the other; [`build`] lets a
//! format plan and write what came out of that (`write`). Where an earlier read left the outlines of all layers, it
//! goes the other way round: merge and plan first, and read the layers while writing. Else contents wait in a spool, or
//! where they can be moved from in the output itself (`bed`). [`pull_and_build`] does all of it while the image is still
//! on its way into the store.

use std::sync::atomic::Ordering;
use std::thread;

use hash::Digest;
use layer::Layer;
use oci::{Image, Platform};
use store::Store;
use tree::{Notes, Tree, transform};

use crate::arrivals::Arrivals;
use crate::bed::Bed;
use crate::built::{Built, measure};
use crate::directory::Unkept;
use crate::error::Error;
use crate::event::Report;
use crate::layers::{self, Contents};
use crate::options::{Options, Target, check_target, may_place, scratch_directory, tarballs_directory};
use crate::outlines::Outlines;
use crate::pull;
use crate::source::Source;
use crate::spool::Spool;
use crate::tarballs::Tarballs;
use crate::write::{self, Held};

/// An image's merged tree.
pub struct Merged {
    /// The tree.
    pub tree: Tree,
    /// What was noticed.
    pub notes: Notes,
}

/// Reads an image's layers, puts one on top of the other, and the contents of their files into a spool. `seen`
/// is shown each layer before that.
pub(crate) fn merge(
    store: (&Store, &Arrivals),
    image: &Image,
    options: &layers::Options,
    contents: Contents<'_>,
    report: Report<'_>,
    mut seen: impl FnMut(&mut Layer),
) -> Result<(Merged, Spool), Error> {
    let (mut tree, mut notes) = (Tree::default(), Notes::default());
    let blobs: Vec<Digest> = image.layers().map(|layer| layer.descriptor.digest).collect();
    let spool = layers::read(store, image, options, contents, report, |mut layer| {
        seen(&mut layer);
        notes.extend(layer.notes);
        tree.apply(layer.number, layer.changes, &mut notes)
            .map_err(|fault| Error::Apply { blob: blobs[layer.number as usize], fault })
    })?;
    Ok((Merged { tree, notes }, spool))
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
    build_arriving((store, &Arrivals::complete()), image, options, target, report)
}

/// Brings an image into the store and builds a rootfs from it: layers are read while others are still coming.
pub fn pull_and_build(
    (source, platform): (&Source, &Platform),
    store: &Store,
    pull_options: &pull::Options,
    options: &Options,
    target: Target<'_>,
    report: Report<'_>,
) -> Result<Built, Error> {
    let arrivals = Arrivals::awaited();
    let pull = |arrivals: &Arrivals| {
        pull::pull_telling(source, platform, store, pull_options, report, (|_| false, arrivals))
    };
    thread::scope(|scope| {
        let pulling = scope.spawn(|| arrivals.during(pull));
        let built =
            arrivals.image().map(|image| build_arriving((store, &arrivals), &image, options, target, report));
        // A pull that fails because nobody wants the rest is no cause of anything.
        let is_cause = arrivals.has_failed();
        arrivals.unwanted().store(true, Ordering::Relaxed);
        let pulled = pulling.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        match (built, pulled) {
            (_, Err(error)) if is_cause => Err(error.into()),
            (built, _) => built.unwrap_or(Err(Error::NotPulled)),
        }
    })
}

fn build_arriving(
    (store, arrivals): (&Store, &Arrivals),
    image: &Image,
    options: &Options,
    mut target: Target<'_>,
    report: Report<'_>,
) -> Result<Built, Error> {
    check_target(options, image, &target)?;
    let job = write::Job { store, arrivals, image, options, report };
    if may_place(options, &target)?
        && let Some((merged, outlines)) = Outlines::find(&job)?
    {
        let done = finish(&job, merged, Held::Layers(outlines), &mut target);
        match done.as_ref().err().and_then(Error::wrong_outline) {
            Some(blob) => store.forget_outline(&blob),
            None => return done,
        }
    }
    let scratch = scratch_directory(options, &target);
    if let Some(directory) = tarballs_directory(options) {
        let tarballs = Tarballs::new(directory, &scratch)?;
        let contents = Contents::Stay(&tarballs);
        let (merged, spool) = merge((store, arrivals), image, &options.layers, contents, report, |_| {})?;
        return finish(&job, merged, Held::Tarballs(spool, tarballs), &mut target);
    }
    if let Some(bed) = Bed::make(options, image, &target)? {
        let contents = Contents::Lay(&bed);
        match merge((store, arrivals), image, &options.layers, contents, report, |_| {}) {
            Err(_) if bed.is_too_short() => {}
            merged => return finish(&job, merged?.0, Held::Bed(bed), &mut target),
        }
    }
    let contents = Contents::Keep(&scratch);
    let (merged, spool) = merge((store, arrivals), image, &options.layers, contents, report, |_| {})?;
    finish(&job, merged, Held::Spool(spool), &mut target)
}

/// Writes a merged tree.
fn finish(
    job: &write::Job<'_>,
    merged: Merged,
    contents: Held<'_>,
    target: &mut Target<'_>,
) -> Result<Built, Error> {
    let Merged { mut tree, notes } = merged;
    let (names, content_bytes) = measure(&tree);
    if names == 0 && !job.image.manifest.layers.is_empty() && !job.options.allow_empty {
        return Err(Error::Empty);
    }
    transform::clamp_mtime(&mut tree, job.options.latest_mtime);
    let mut built = Built {
        manifest: job.image.descriptor.digest,
        layers: job.image.manifest.layers.len(),
        names,
        content_bytes,
        output_bytes: 0,
        scratch_bytes: contents.scratch_bytes(),
        filesystem: None,
        unkept: Unkept::default(),
        not_remembered: None,
        notes,
    };
    job.write(&tree, contents, target, &mut built)?;
    built.notes.sort();
    Ok(built)
}
