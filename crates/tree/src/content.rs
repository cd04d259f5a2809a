//! A file's content: places of bytes, not bytes.

use serde::{Deserialize, Serialize};

/// Bytes in a block of a layer's content space; every piece of a file starts at a multiple of it.
pub const BLOCK: u64 = 4096;

/// A range of a layer's *content space*: the bytes of its regular files one behind the other, in the order
/// of the tarball, each file's pieces starting at a multiple of [`BLOCK`], blocks of a hole left out.
///
/// The space is a function of the layer alone, so a span means the same wherever the bytes are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Span {
    /// Number of the layer in the image, from 0 at the bottom. Layers made here (injected files) follow. Not
    /// serialised: in another image the same layer has another number.
    #[serde(skip)]
    pub layer: u32,
    /// Where the range starts, in bytes; a multiple of [`BLOCK`].
    pub offset: u64,
    /// Its length in bytes; what follows up to the next multiple of [`BLOCK`] is zero.
    pub length: u64,
}

/// One run of data in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// Where in the file it belongs, in bytes; a multiple of [`BLOCK`].
    pub at: u64,
    /// Where its bytes are. Only the last piece may end off a multiple of [`BLOCK`], and only at the file's end.
    pub span: Span,
}

/// What a regular file holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Content {
    /// No bytes.
    #[default]
    Empty,
    /// A few bytes made here, not read from a layer.
    Inline(#[serde(with = "serde_bytes")] Box<[u8]>),
    /// Bytes of a layer, without a hole: one piece at 0 whose length is the file's size.
    Whole(Span),
    /// Data and holes. What lies between the pieces reads as zeros.
    Pieces {
        /// The file's size in bytes.
        size: u64,
        /// Whether the layer itself declared the file sparse; otherwise the holes were found as long runs
        /// of zero blocks, and outputs that spell holes out (tar) write the zeros.
        declared: bool,
        /// Ascending, not overlapping, not empty.
        pieces: Box<[Piece]>,
    },
}

impl Content {
    /// The file's size in bytes.
    pub fn size(&self) -> u64 {
        match self {
            Content::Empty => 0,
            Content::Inline(bytes) => bytes.len() as u64,
            Content::Whole(span) => span.length,
            Content::Pieces { size, .. } => *size,
        }
    }

    /// The runs of layer data, ascending; none for empty and inline content.
    pub fn pieces(&self) -> impl Iterator<Item = Piece> + '_ {
        let (whole, pieces): (Option<Piece>, &[Piece]) = match self {
            Content::Empty | Content::Inline(_) => (None, &[]),
            Content::Whole(span) => (Some(Piece { at: 0, span: *span }), &[]),
            Content::Pieces { pieces, .. } => (None, pieces),
        };
        whole.into_iter().chain(pieces.iter().copied())
    }

    /// Bytes of data, holes left out.
    pub fn data_length(&self) -> u64 {
        match self {
            Content::Inline(bytes) => bytes.len() as u64,
            _ => self.pieces().map(|piece| piece.span.length).sum(),
        }
    }
}
