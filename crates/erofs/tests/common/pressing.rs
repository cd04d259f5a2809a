//! Compressing as the pipeline does it, from contents that are made up: files that have the same span are equal, and so
//! are parts of files where their spans overlap. Nobody looks whether anything pays.

use std::collections::BTreeMap;

use tree::{Content, Kind, NodeId, Span, Tree};

use super::contents::bytes_in;
use super::{
    Candidate, Ending, Options, Piece, Press, Pressed, Repeat, Reuse, SEGMENT, Sharing, candidates, sharable,
};

/// Compresses what can be, hands clusters to `put`, and gives the ends of files as well, which are a layer's contents.
pub(crate) fn press(
    tree: &Tree,
    options: &Options,
    tails_layer: u32,
    put: &mut dyn FnMut(u64, &[u8]),
) -> (Pressed, Vec<u8>) {
    let (mut pressed, mut tails) = (Pressed::new(options, tails_layer), Vec::new());
    if options.sharing != Sharing::None {
        share(tree, options, &mut pressed);
    }
    let Some(compression) = options.compression else {
        if options.sharing == Sharing::Chunks {
            repeat(tree, options, &mut pressed);
        }
        return (pressed, tails);
    };
    let mut press = Press::new(&compression, options);
    let mut all = candidates(tree, options, |_| false).expect("the options were checked");
    all.retain(|candidate| !pressed.is_shared(candidate.node));
    let pieced: Vec<_> = all.iter().filter(|candidate| !pressed.packs(candidate)).copied().collect();
    if options.sharing == Sharing::Chunks {
        reuse(tree, &pieced, &mut pressed);
    }
    for candidate in &pieced {
        let bytes = bytes(tree, candidate.node);
        let mut add = |pressed: &mut Pressed, piece: &Piece| {
            assert!(piece.length <= SEGMENT);
            let bytes = &bytes[piece.start as usize..piece.end() as usize];
            let segment = press.press(bytes, piece.ending);
            let Some(places) = pressed.add(candidate, piece, &segment) else { return };
            assert_eq!(places.tail.offset, tails.len() as u64);
            tails.extend(segment.tail());
            put(places.clusters, segment.bytes());
        };
        for piece in pressed.pieces(candidate) {
            add(&mut pressed, &piece);
            let Some(reuse) = piece.reuse else { continue };
            let mut at = pressed.lend(candidate, &reuse);
            while at < reuse.end() {
                let rest = Piece::rest(candidate, &reuse, at);
                add(&mut pressed, &rest);
                at = rest.end();
            }
        }
    }
    let packed = pressed.pack(&all).expect("there is less than 4 GiB");
    for number in 0..packed.segments() {
        let parts = packed.segment(number);
        let bytes: Vec<u8> = parts
            .flat_map(|part| {
                bytes(tree, part.node).split_off(part.start as usize).into_iter().take(part.length as usize)
            })
            .collect();
        assert!(bytes.len() as u64 <= SEGMENT);
        let segment = press.press(&bytes, Ending::Blocks);
        put(pressed.add_packed(&segment), segment.bytes());
    }
    (pressed, tails)
}

fn bytes(tree: &Tree, node: NodeId) -> Vec<u8> {
    match &tree.node(node).kind {
        Kind::File(content) => bytes_in(content),
        _ => unreachable!("it is a file"),
    }
}

/// Says which files are equal.
fn share(tree: &Tree, options: &Options, pressed: &mut Pressed) {
    let mut first = BTreeMap::new();
    for file in sharable(tree, options) {
        match *first.entry(file.source).or_insert(file.node) {
            node if node == file.node => {}
            node => pressed.share(&file, node),
        }
    }
}

/// Says which blocks of files are equal to such as come before them.
fn repeat(tree: &Tree, options: &Options, pressed: &mut Pressed) {
    let mut known: BTreeMap<Vec<u8>, (NodeId, u64)> = BTreeMap::new();
    for file in sharable(tree, options) {
        if pressed.is_shared(file.node) {
            continue;
        }
        let mut found: Vec<Repeat> = Vec::new();
        let bytes = bytes(tree, file.node);
        for (first, bytes) in (0..).zip(bytes.chunks_exact(options.block_size.bytes() as usize)) {
            let of = match bytes.iter().all(|byte| *byte == 0) {
                true => None,
                false => match *known.entry(bytes.to_vec()).or_insert((file.node, first)) {
                    here if here == (file.node, first) => continue,
                    of => Some(of),
                },
            };
            let repeat = Repeat { first, blocks: 1, of };
            match found.last_mut() {
                Some(last) if last.is_before(&repeat) => last.blocks += 1,
                _ => found.push(repeat),
            }
        }
        pressed.repeat(&file, found);
    }
}

/// Says which bytes of files are in such as come before them, and have none from elsewhere.
fn reuse(tree: &Tree, files: &[Candidate], pressed: &mut Pressed) {
    let mut own: Vec<(NodeId, Span)> = Vec::new();
    for file in files {
        let Kind::File(Content::Whole(Span { layer, offset, length })) = tree.node(file.node).kind else {
            continue;
        };
        let mut found: Vec<Reuse> = Vec::new();
        for &(of, other) in own.iter().filter(|(_, other)| other.layer == layer) {
            let free = offset + found.last().map_or(0, Reuse::end);
            // From a block of the other file on, to one of this.
            let from = free.max(other.offset).saturating_sub(other.offset).next_multiple_of(4096);
            let start = other.offset + from;
            let end = (offset + length).min(other.offset + other.length).saturating_sub(offset);
            let end = if end == length { end } else { end / 4096 * 4096 };
            // What is before it may be too short to be compressed, and may not.
            let more = if start == free || length % 3 == 0 { 0 } else { 16_384 };
            let (from, start) = (from + more, start + more);
            if start < offset + end {
                found.push(Reuse { start: start - offset, length: offset + end - start, of, from });
            }
        }
        match found.is_empty() {
            true => own.push((file.node, Span { layer, offset, length })),
            false => pressed.reuse(file, found),
        }
    }
}
