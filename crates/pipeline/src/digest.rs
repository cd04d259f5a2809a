//! Digests by which contents are compared that lie in different layers.
//!
//! A digest is that of the blocks that are not all zeros, each with its place in the file: so a hole and the zeros
//! that another builder spelled out are the same, and a hole of terabytes costs nothing.

use std::collections::{BTreeMap, BTreeSet};

use hash::{Algorithm, Digest, Hasher};
use tree::{BLOCK, Content, Piece, Span};

/// A run of a content, and which content it is of.
pub(crate) struct Part {
    pub(crate) piece: Piece,
    content: usize,
}

/// The digests of some contents while their bytes come by.
pub(crate) struct Digests<'a> {
    /// Each once.
    contents: Vec<&'a Content>,
    hashers: Vec<Hasher>,
    /// For each content that was asked for its place among them.
    asked: Vec<usize>,
    /// The start of a block that is not full yet.
    partial: Vec<u8>,
}

const BLOCK_USIZE: usize = BLOCK as usize;
static ZEROS: [u8; BLOCK_USIZE] = [0; BLOCK_USIZE];

impl<'a> Digests<'a> {
    pub(crate) fn new(asked: &[&'a Content]) -> Digests<'a> {
        let mut contents = Vec::new();
        let mut places: BTreeMap<Option<Span>, usize> = BTreeMap::new();
        let place = |content: &&'a Content| {
            // No two contents begin at one place; those without a piece are all zeros.
            let start = content.pieces().next().map(|piece| piece.span);
            *places.entry(start).or_insert_with(|| {
                contents.push(*content);
                contents.len() - 1
            })
        };
        let asked = asked.iter().map(place).collect();
        let hashers = contents.iter().map(|_| Hasher::new(Algorithm::Sha256)).collect();
        Digests { contents, hashers, asked, partial: Vec::with_capacity(BLOCK_USIZE) }
    }

    /// The layers in which the contents lie.
    pub(crate) fn layers(&self) -> Vec<u32> {
        let all = self.contents.iter().flat_map(|content| content.pieces());
        let layers: BTreeSet<u32> = all.map(|piece| piece.span.layer).collect();
        layers.into_iter().collect()
    }

    /// What lies in a layer, in the order of its content space.
    pub(crate) fn parts(&self, layer: u32) -> Vec<Part> {
        let of = |(content, found): (usize, &&Content)| {
            found.pieces().map(move |piece| Part { piece, content }).collect::<Vec<_>>()
        };
        let all = self.contents.iter().enumerate().flat_map(of);
        let mut parts: Vec<Part> = all.filter(|part| part.piece.span.layer == layer).collect();
        parts.sort_by_key(|part| part.piece.span.offset);
        parts
    }

    /// Takes the next bytes, `at` bytes behind the start of a part.
    pub(crate) fn update(&mut self, part: &Part, at: u64, mut bytes: &[u8]) {
        let end = part.piece.span.length;
        let mut at = at - self.partial.len() as u64;
        while !bytes.is_empty() {
            let length = (end - at).min(BLOCK) as usize;
            let (more, rest) = bytes.split_at(bytes.len().min(length - self.partial.len()));
            bytes = rest;
            if self.partial.is_empty() && more.len() == length {
                self.block(part, at, more);
            } else {
                self.partial.extend_from_slice(more);
                if self.partial.len() < length {
                    return;
                }
                let block = std::mem::take(&mut self.partial);
                self.block(part, at, &block);
                self.partial = block;
                self.partial.clear();
            }
            at += length as u64;
        }
    }

    fn block(&mut self, part: &Part, at: u64, block: &[u8]) {
        if *block != ZEROS[..block.len()] {
            let hasher = &mut self.hashers[part.content];
            hasher.update(&(part.piece.at + at).to_le_bytes());
            hasher.update(block);
        }
    }

    /// The digests, as they were asked for.
    pub(crate) fn finish(self) -> Vec<Digest> {
        let digests: Vec<Digest> = self.hashers.into_iter().map(Hasher::finish).collect();
        self.asked.into_iter().map(|place| digests[place]).collect()
    }
}
