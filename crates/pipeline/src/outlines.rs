//! What is known of an image's layers from an earlier read: enough to merge and to plan, so that contents go
//! straight to their places while the layers are read again.

use hash::Digest;
use layer::{Layer, Outline};
use oci::Image;
use store::Store;
use tree::{Change, Notes, Tree};

use crate::build::Merged;
use crate::error::{Error, LayerFault};
use crate::layers::{self, Options};

/// The outlines of all layers of an image, from the bottom.
pub(crate) struct Outlines(Vec<Outline>);

impl Outlines {
    /// Looks for them, and merges what they say. `None` if one is missing, damaged, or of a layer that was
    /// read in another way; or if a layer stands in the image twice, since then contents may, too.
    pub(crate) fn merge(
        store: &Store,
        image: &Image,
        options: &Options,
    ) -> Result<Option<(Merged, Outlines)>, Error> {
        if layers::is_repeated(image) {
            return Ok(None);
        }
        let mut known = Vec::new();
        for (number, layer) in (0..).zip(image.layers()) {
            known.push(find(store, number, &layer.descriptor.digest, options));
        }
        let Some(known) = known.into_iter().collect::<Option<Vec<_>>>() else { return Ok(None) };
        let (mut tree, mut notes, mut outlines) = (Tree::default(), Notes::default(), Vec::new());
        for ((number, layer), (outline, changes)) in (0..).zip(image.layers()).zip(known) {
            let blob = layer.descriptor.digest;
            tree.apply(number, changes, &mut notes).map_err(|fault| Error::Apply { blob, fault })?;
            outlines.push(outline);
        }
        Ok(Some((Merged { tree, notes }, Outlines(outlines))))
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
fn find(store: &Store, number: u32, blob: &Digest, options: &Options) -> Option<(Outline, Vec<Change>)> {
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
