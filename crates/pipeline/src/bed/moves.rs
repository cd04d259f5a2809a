//! What has to be moved within a file so that contents lie where they go.

use tree::{BLOCK, Span};

/// Whole blocks that lie behind one another now and afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// Where they are.
    pub(super) from: u64,
    /// Where they go.
    pub(super) to: u64,
    pub(super) length: u64,
}

/// A change of the file, in bytes; each is made to what the ones before have left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Move {
    /// A hole is put here, and all from here on moves towards the end.
    Insert { at: u64, length: u64 },
    /// Bytes are taken out, and all behind them moves towards the start.
    TakeOut { at: u64, length: u64 },
    /// Bytes become zeros.
    Clear { at: u64, length: u64 },
}

/// Joins contents to runs. `None` unless both where they are and where they go are blocks in ascending order.
pub(super) fn runs(
    contents: impl Iterator<Item = (u64, Span)>,
    start_of: impl Fn(u32) -> Option<u64>,
) -> Option<Vec<Run>> {
    let mut runs: Vec<Run> = Vec::new();
    for (to, span) in contents {
        let (from, length) = (start_of(span.layer)? + span.offset, span.length.next_multiple_of(BLOCK));
        if !from.is_multiple_of(BLOCK) || !to.is_multiple_of(BLOCK) {
            return None;
        }
        match runs.last_mut() {
            Some(last) if (last.from + last.length, last.to + last.length) == (from, to) => {
                last.length += length;
            }
            Some(last) if last.from + last.length > from || last.to + last.length > to => return None,
            _ => runs.push(Run { from, to, length }),
        }
    }
    Some(runs)
}

/// The moves that bring runs to where they go, from the start to the end, and how long the file has to be before the
/// first: up to the last run. `None` if there are more than `most`.
pub(super) fn plan(runs: &[Run], most: usize) -> Option<(u64, Vec<Move>)> {
    let mut moves = Vec::new();
    // So much is settled, and where it ended.
    let (mut settled, mut was) = (0, 0);
    for run in runs {
        let (is, wanted) = (run.from - was, run.to - settled);
        if is > wanted {
            moves.push(Move::TakeOut { at: settled, length: is - wanted });
        }
        if is < wanted {
            moves.push(Move::Insert { at: settled, length: wanted - is });
        }
        // What was dropped stands where nothing is to be, or something else.
        let left = is.min(wanted);
        if left > 0 {
            moves.push(Move::Clear { at: run.to - left, length: left });
        }
        if moves.len() > most {
            return None;
        }
        (settled, was) = (run.to + run.length, run.from + run.length);
    }
    Some((was, moves))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Carries moves out on a file in memory, one byte for a block.
    fn carry_out(mut file: Vec<u8>, (end, moves): (u64, Vec<Move>)) -> Vec<u8> {
        let block = |bytes: u64| (bytes / BLOCK) as usize;
        file.truncate(block(end));
        for step in moves {
            match step {
                Move::Insert { at, length } => {
                    file.splice(block(at)..block(at), vec![0; block(length)]);
                }
                Move::TakeOut { at, length } => {
                    assert!(at + length < file.len() as u64 * BLOCK, "something is behind it");
                    file.drain(block(at)..block(at + length));
                }
                Move::Clear { at, length } => file[block(at)..block(at + length)].fill(0),
            }
        }
        file
    }

    #[test]
    fn everything_comes_to_its_place_and_nothing_else() {
        // Two layers; the upper one's place begins at block 100. Letters are kept, dots are dropped.
        let layers: [(u64, &[u8]); 2] = [(0, b".ab..cdef."), (100, b"gh.i...jk")];
        let targets = b"..ab.c..de....fghi.jk";
        let mut file = vec![0; 120];
        let mut contents = Vec::new();
        for (number, (start, bytes)) in (0..).zip(layers) {
            for (at, &byte) in (0..).zip(bytes) {
                file[(start + at) as usize] = byte;
                if let Some(to) = targets.iter().position(|&target| target == byte && byte != b'.') {
                    let span = Span { layer: number, offset: at * BLOCK, length: BLOCK - 1 };
                    contents.push((to as u64 * BLOCK, span));
                }
            }
        }
        let start = |layer: u32| layers.get(layer as usize).map(|(start, _)| start * BLOCK);
        let runs = runs(contents.into_iter(), start).unwrap();
        assert_eq!(runs.len(), 7, "{runs:?}");
        let found = carry_out(file, plan(&runs, 100).unwrap());
        let expected: Vec<u8> = targets.iter().map(|&byte| if byte == b'.' { 0 } else { byte }).collect();
        assert_eq!(String::from_utf8_lossy(&found), String::from_utf8_lossy(&expected));
        assert_eq!(plan(&runs, 3), None);
    }

    #[test]
    fn what_cannot_be_moved() {
        let span = |offset| Span { layer: 0, offset, length: 10 };
        let of = |contents: &[(u64, Span)]| runs(contents.iter().copied(), |_| Some(0));
        assert_eq!(of(&[(4096, span(0)), (0, span(4096))]), None, "downwards");
        assert_eq!(of(&[(0, span(4096)), (4096, span(0))]), None, "upwards");
        assert_eq!(of(&[(0, span(0)), (4096, span(0))]), None, "one in two places");
        assert_eq!(of(&[(1024, span(0))]), None, "no block of ours");
        assert_eq!(of(&[(0, span(512))]), None, "no block of a layer's");
        assert_eq!(runs([(0, span(0))].into_iter(), |_| None), None, "no layer");
        assert_eq!(plan(&[], 9), Some((0, Vec::new())));
    }
}
