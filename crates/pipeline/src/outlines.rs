//! What is known of an image's layers from an earlier read: enough to merge and to plan, so that contents go
//! straight to their places while the layers are read again.

use hash::Digest;
use layer::{Layer, Outline};
use oci::Image;
use store::Store;
use tree::{Change, Notes, Tree};

use crate::build::{Merged, merge};
use crate::error::{Error, LayerFault};
use crate::layers::{self, Contents, Options};
use crate::options::Scratch;
use crate::write::Job;

/// The outlines of all layers of an image, from the bottom.
pub(crate) struct Outlines(Vec<Outline>);

/// What the store has of an image's layers.
pub(crate) struct Stored {
    /// What they say, merged, with what was noticed at that.
    pub(crate) merged: Merged,
    /// What was noticed when the layers themselves were read.
    pub(crate) noticed: Notes,
    pub(crate) outlines: Outlines,
}

impl Outlines {
    /// Looks for them in the store; if they are not there and contents may wait nowhere, reads the layers to
    /// have them. Merges what they say.
    ///
    /// `None` if an image has a layer twice, since then contents may go to two places.
    pub(crate) fn find(job: &Job<'_>) -> Result<Option<(Merged, Outlines)>, Error> {
        if layers::is_repeated(job.image) {
            return Ok(None);
        }
        match Outlines::stored(job.store, job.image, &job.options.layers) {
            // What was noticed will be noticed again when the layers are read for their contents.
            Some(Stored { merged, outlines, .. }) => Ok(Some((merged, outlines))),
            None if job.options.scratch == Scratch::Nowhere => Outlines::read(job).map(Some),
            None => Ok(None),
        }
    }

    /// Looks for them in the store, and merges what they say. `None` if one is missing, damaged, or of a layer that
    /// was read in another way.
    pub(crate) fn stored(store: &Store, image: &Image, options: &Options) -> Option<Stored> {
        let (mut known, mut entries) = (Vec::new(), 0);
        for (number, layer) in (0..).zip(image.layers()) {
            // Of a layer that stands twice, contents lie at its first place.
            let first = layers::first_place(image, number);
            let outline = stored_outline(store, first, &layer.descriptor.digest, options);
            entries += outline.as_ref().map_or(0, |known| known.changes.len() as u64);
            if entries > options.image_entries {
                // Whoever reads the layers says so.
                return None;
            }
            known.push(outline);
        }
        let known = known.into_iter().collect::<Option<Vec<_>>>()?;
        let mut stored = Stored {
            merged: Merged { tree: Tree::default(), notes: Notes::default() },
            noticed: Notes::default(),
            outlines: Outlines(Vec::new()),
        };
        let Merged { tree, notes } = &mut stored.merged;
        for ((number, layer), known) in (0..).zip(image.layers()).zip(known) {
            let blob = layer.descriptor.digest;
            if tree.apply(number, known.changes, notes).is_err() {
                // The layers themselves say what is wrong, if it is not the outline.
                store.forget_outline(&blob);
                return None;
            }
            stored.noticed.extend(known.notes);
            stored.outlines.0.push(known.outline);
        }
        Some(stored)
    }

    fn read(job: &Job<'_>) -> Result<(Merged, Outlines), Error> {
        let Job { store, arrivals, image, options, report } = *job;
        let mut outlines = Vec::new();
        let keep = |layer: &mut Layer| {
            outlines.push(Outline::of(layer, &options.layers.read));
            // It will be noticed again when the layer is read for its contents.
            layer.notes = Notes::default();
        };
        let (merged, _nothing) =
            merge((store, arrivals), image, &options.layers, Contents::Drop, report, keep)?;
        Ok((merged, Outlines(outlines)))
    }

    /// Compares a layer with what its outline said of it.
    pub(crate) fn check(&self, layer: &Layer, image: &Image, options: &Options) -> Result<(), Error> {
        let number = layer.number as usize;
        if self.0.get(number) == Some(&Outline::of(layer, &options.read)) {
            return Ok(());
        }
        Err(wrong(layer.number, image))
    }
}

/// Compares the first changes of a layer with what the store's outline says of them. One that is wrong is forgotten.
pub(crate) fn check_start(
    store: &Store,
    image: &Image,
    number: u32,
    changes: &[Change],
    options: &Options,
) -> Result<(), Error> {
    let blob = image.manifest.layers[number as usize].digest;
    match stored_outline(store, number, &blob, options) {
        Some(known) if !known.changes.starts_with(changes) => {
            store.forget_outline(&blob);
            Err(wrong(number, image))
        }
        _ => Ok(()),
    }
}

fn wrong(number: u32, image: &Image) -> Error {
    let blob = image.manifest.layers[number as usize].digest;
    Error::Layer { number, blob, fault: Box::new(LayerFault::Outline) }
}

/// An outline, and what it says.
struct Known {
    outline: Outline,
    changes: Vec<Change>,
    notes: Notes,
}

/// The outline of the layer in a blob. One that is of no use is forgotten, so that the coming read leaves another.
fn stored_outline(store: &Store, number: u32, blob: &Digest, options: &Options) -> Option<Known> {
    let packed = store.outline(blob)?;
    let found = Outline::unpack(&packed).and_then(|outline| {
        let (changes, notes) = outline.open(number, &options.read)?;
        Some(Known { outline, changes, notes })
    });
    if found.is_none() {
        store.forget_outline(blob);
    }
    found
}
