//! A layer's outline: its changes without the bytes of its files, to be kept beside its blob.
//!
//! With the outlines of all layers at hand an image can be merged and planned before a byte is expanded, and
//! then every content goes straight to its place. Whoever builds from one reads the layer all the same, and
//! compares; whoever only looks does not.

use std::io::{Read, Write};

use tree::{Action, Change, Content, Kind, Notes, Remark};

use crate::read::{Layer, ReadOptions};

/// Changes whenever the same layer would give another outline.
const VERSION: u32 = 3;

/// How fast an outline is packed: a tenth of its size in a few hundredths of a second.
const LEVEL: i32 = 1;

/// Most bytes of an outline: what a layer may have of names and attributes, twice, for all the rest.
const BYTES_MAX: u64 = 2 * crate::read::METADATA_BYTES_MAX;

/// What a layer changes, and what was noticed about it, read in a certain way. Two outlines are equal if, and only
/// if, these are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline(Vec<u8>);

impl Outline {
    /// The outline of a layer that was read with these options.
    pub fn of(layer: &Layer, options: &ReadOptions) -> Outline {
        let mut bytes = head(options);
        bytes.reserve(layer.changes.len() * 100);
        // How a manifest describes the blob is not the layer's matter.
        let mut notes = layer.notes.clone();
        notes.forget(Remark::MediaTypeDiffers);
        // Into memory, and there is nothing in a change that could not be written down.
        Outline(postcard::to_extend(&(&layer.changes, notes), bytes).expect("a vector takes all bytes"))
    }

    /// The changes that it says a layer makes which is the `number`th of its image, and what was noticed; `None` if
    /// it is damaged, or is of a layer that was read with other options or by another version.
    pub fn open(&self, number: u32, options: &ReadOptions) -> Option<(Vec<Change>, Notes)> {
        let bytes = self.0.strip_prefix(head(options).as_slice())?;
        let ((mut changes, mut notes), rest): ((Vec<Change>, Notes), _) =
            postcard::take_from_bytes(bytes).ok()?;
        changes.iter_mut().for_each(|change| renumber(change, number));
        notes.renumber(number);
        rest.is_empty().then_some((changes, notes))
    }

    /// Packs it for keeping.
    pub fn pack(&self) -> Vec<u8> {
        let packed = zstd::Encoder::new(Vec::new(), LEVEL).and_then(|mut encoder| {
            encoder.include_checksum(true)?;
            encoder.write_all(&self.0)?;
            encoder.finish()
        });
        packed.expect("a vector takes all bytes")
    }

    /// Unpacks what [`Outline::pack`] gave; `None` if it is damaged.
    pub fn unpack(packed: &[u8]) -> Option<Outline> {
        let mut bytes = Vec::new();
        zstd::Decoder::with_buffer(packed).ok()?.take(BYTES_MAX).read_to_end(&mut bytes).ok()?;
        Some(Outline(bytes))
    }
}

/// What an outline depends on besides the layer.
fn head(options: &ReadOptions) -> Vec<u8> {
    format!("{VERSION} {options:?}\n").into_bytes()
}

fn renumber(change: &mut Change, number: u32) {
    let Action::Put(_, Kind::File(content)) = &mut change.action else { return };
    match content {
        Content::Empty | Content::Inline(_) => {}
        Content::Whole(span) => span.layer = number,
        Content::Pieces { pieces, .. } => pieces.iter_mut().for_each(|piece| piece.span.layer = number),
    }
}
