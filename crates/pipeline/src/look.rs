//! Looking into an image: its merged tree, and the bytes of some of its files.
//!
//! What an earlier read left in the store is believed here: no blob is opened to merge an image of which all
//! layers are known. Bytes come from blobs that are verified to their ends before the first byte is given out,
//! and as far as a layer is expanded for them, it is compared with its outline.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use hash::Digest;
use oci::Image;
use store::Store;
use tree::{Content, Span};

use crate::arrivals::Arrivals;
use crate::build::{Merged, merge};
use crate::digest::{Digests, Part};
use crate::error::{Error, LayerFault};
use crate::event::Report;
use crate::layers::{self, Contents, Options};
use crate::outlines::{self, Outlines, Stored};
use crate::sieve::Sieve;
use crate::spool::Spool;

/// What is believed of an image's layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// What the store remembers of a read that verified them. Whoever may write to the store may have it say
    /// anything.
    Store,
    /// Only what they say when they are read now.
    Layers,
}

/// An image that is looked at.
pub struct View<'a> {
    /// The store, with the layers that bytes are wanted of.
    pub store: &'a Store,
    /// The image.
    pub image: &'a Image,
    /// How its layers are read.
    pub options: &'a Options,
    /// What was believed when it was merged.
    pub trust: Trust,
    /// The image's tree.
    pub merged: &'a Merged,
    /// Is told how far the reading is.
    pub report: Report<'a>,
}

/// Merges an image, if the store remembers enough of its layers; they themselves need not be there.
pub fn known(store: &Store, image: &Image, options: &Options) -> Option<Merged> {
    // A config that lies about a layer is refused when the layer is read.
    let verified = |layer: oci::Layer<'_>| store.diff_id(&layer.descriptor.digest) == Some(*layer.diff_id);
    // Outlines do not tell how a layer is compressed.
    if options.strict_media_type || !image.layers().all(verified) {
        return None;
    }
    let Stored { mut merged, noticed, .. } = Outlines::stored(store, image, options)?;
    merged.notes.extend(noticed);
    merged.notes.sort();
    Some(merged)
}

/// Merges an image from its layers, which must be in the store.
pub fn read(store: &Store, image: &Image, options: &Options, report: Report<'_>) -> Result<Merged, Error> {
    let (mut merged, _nothing) =
        merge((store, &Arrivals::complete()), image, options, Contents::Drop, report, |_| {})?;
    merged.notes.sort();
    Ok(merged)
}

/// Lets `work` look at an image that is in the store. If it turns out that the store remembered something wrong,
/// that is forgotten, and `work` looks again: only the last call counts.
pub fn look<T>(
    store: &Store,
    image: &Image,
    options: &Options,
    trust: Trust,
    report: Report<'_>,
    mut work: impl FnMut(&View<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    if trust == Trust::Store
        && let Some(merged) = known(store, image, options)
    {
        let done = work(&View { store, image, options, trust, merged: &merged, report });
        if done.as_ref().err().and_then(Error::wrong_outline).is_none() {
            return done;
        }
    }
    let merged = read(store, image, options, report)?;
    work(&View { store, image, options, trust: Trust::Layers, merged: &merged, report })
}

impl View<'_> {
    /// Brings contents of the tree's files into a spool in `scratch`, and nothing else of their layers.
    pub fn spool(&self, contents: &[&Content], scratch: &Path) -> Result<Spool, Error> {
        let mut spans: BTreeMap<u32, Vec<Span>> = BTreeMap::new();
        for span in contents.iter().flat_map(|content| content.pieces()).map(|piece| piece.span) {
            spans.entry(span.layer).or_default().push(span);
        }
        // The same file may be asked for under several names.
        let spool = Spool::new(self.image.manifest.layers.len(), true);
        for (layer, mut spans) in spans {
            spans.sort_unstable();
            spans.dedup();
            let file = spool.create(layer, scratch).map_err(|cause| {
                let blob = self.image.manifest.layers[layer as usize].digest;
                Error::Layer { number: layer, blob, fault: Box::new(LayerFault::Spool(cause)) }
            })?;
            self.read(layer, &spans, |span| *span, |span, at, bytes| file.write_at(bytes, span.offset + at))?;
        }
        Ok(spool)
    }

    /// For each of some contents of the tree's files a digest, by which those of one size can be told apart:
    /// also those of another image.
    pub fn digests(&self, contents: &[&Content]) -> Result<Vec<Digest>, Error> {
        let mut digests = Digests::new(contents);
        for layer in digests.layers() {
            let parts = digests.parts(layer);
            let update = |part: &Part, at, bytes: &[u8]| {
                digests.update(part, at, bytes);
                Ok(())
            };
            self.read(layer, &parts, |part| part.piece.span, update)?;
        }
        Ok(digests.finish())
    }

    /// Reads a layer as far as the last of `parts`, which are in the order of its content space, reaches.
    fn read<T>(
        &self,
        layer: u32,
        parts: &[T],
        span: fn(&T) -> Span,
        pass: impl FnMut(&T, u64, &[u8]) -> io::Result<()>,
    ) -> Result<(), Error> {
        let View { store, image, options, report, .. } = *self;
        let end = parts.iter().map(|part| span(part).offset + span(part).length).max().unwrap_or(0);
        let changes =
            layers::read_to(store, image, layer, end, Sieve::new(parts, span, pass), options, report)?;
        match self.trust {
            Trust::Store => outlines::check_start(store, image, layer, &changes, options),
            Trust::Layers => Ok(()),
        }
    }
}

/// Whether two contents lie at the same place of the same blob, and so are the same without being looked at.
pub fn same_place(image: &Image, content: &Content, other_image: &Image, other: &Content) -> bool {
    let places = |image: &Image, content: &Content| -> Vec<(Digest, u64, u64, u64)> {
        let place = |piece: tree::Piece| {
            let blob = image.manifest.layers[piece.span.layer as usize].digest;
            (blob, piece.at, piece.span.offset, piece.span.length)
        };
        content.pieces().map(place).collect()
    };
    places(image, content) == places(other_image, other)
}
