//! What is known of an image's layers from an earlier read: enough to merge and to plan, so that contents go
//! straight to their places while the layers are read again.

use hash::Digest;
use layer::{Layer, Outline};
use oci::Image;
use store::Store;
use tree::{Change, Notes, Tree};

use crate::build::{Merged, merge_with};
use crate::error::{Error, LayerFault};
use crate::layers::{self, Contents, Options};
use crate::options::Scratch;
use crate::write::Job;

/// The outlines of all layers of an image, from the bottom.
pub(crate) struct Outlines(Vec<Outline>);

impl Outlines {
    /// Looks for them in the store; if they are not there and contents may wait nowhere, reads the layers to
    /// have them. Merges what they say.
    ///
    /// `None` if an image has a layer twice, since then contents may go to two places.
    pub(crate) fn find(job: &Job<'_>) -> Result<Option<(Merged, Outlines)>, Error> {
        if layers::is_repeated(job.image) {
            return Ok(None);
        }
        match Outlines::stored(job)? {
            None if job.options.scratch == Scratch::Nowhere => Outlines::read(job).map(Some),
            found => Ok(found),
        }
    }

    /// `None` if one is missing, damaged, or of a layer that was read in another way.
    fn stored(job: &Job<'_>) -> Result<Option<(Merged, Outlines)>, Error> {
        let Job { store, image, options, .. } = job;
        let (mut known, mut entries) = (Vec::new(), 0);
        for (number, layer) in (0..).zip(image.layers()) {
            let outline = stored_outline(store, number, &layer.descriptor.digest, &options.layers);
            entries += outline.as_ref().map_or(0, |(_, changes)| changes.len() as u64);
            if entries > options.layers.image_entries {
                // Whoever reads the layers says so.
                return Ok(None);
            }
            known.push(outline);
        }
        let Some(known) = known.into_iter().collect::<Option<Vec<_>>>() else { return Ok(None) };
        let (mut tree, mut notes, mut outlines) = (Tree::default(), Notes::default(), Vec::new());
        for ((number, layer), (outline, changes)) in (0..).zip(image.layers()).zip(known) {
            let blob = layer.descriptor.digest;
            if tree.apply(number, changes, &mut notes).is_err() {
                // The layers themselves say what is wrong, if it is not the outline.
                store.forget_outline(&blob);
                return Ok(None);
            }
            outlines.push(outline);
        }
        Ok(Some((Merged { tree, notes }, Outlines(outlines))))
    }

    fn read(job: &Job<'_>) -> Result<(Merged, Outlines), Error> {
        let Job { store, image, options, report } = *job;
        let mut outlines = Vec::new();
        let keep = |layer: &mut Layer| {
            outlines.push(Outline::of(&layer.changes, &options.layers.read));
            // It will be noticed again when the layer is read for its contents.
            layer.notes = Notes::default();
        };
        let (merged, _nothing) = merge_with(store, image, &options.layers, Contents::Drop, report, keep)?;
        Ok((merged, Outlines(outlines)))
    }

    /// Compares a layer with what its outline said of it.
    pub(crate) fn check(&self, layer: &Layer, image: &Image, options: &Options) -> Result<(), Error> {
        let number = layer.number as usize;
        if self.0.get(number) == Some(&Outline::of(&layer.changes, &options.read)) {
            return Ok(());
        }
        let blob = image.manifest.layers[number].digest;
        Err(Error::Layer { number: layer.number, blob, fault: Box::new(LayerFault::Outline) })
    }
}

/// The outline of the layer in a blob, and what it says. One that is of no use is forgotten, so that the coming
/// read leaves another.
fn stored_outline(
    store: &Store,
    number: u32,
    blob: &Digest,
    options: &Options,
) -> Option<(Outline, Vec<Change>)> {
    let packed = store.outline(blob)?;
    let found = Outline::unpack(&packed).and_then(|outline| {
        let changes = outline.changes(number, &options.read)?;
        Some((outline, changes))
    });
    if found.is_none() {
        store.forget_outline(blob);
    }
    found
}
