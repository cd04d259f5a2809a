//! Where files' bytes go, and properties of any input.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use proptest::collection::vec;
use proptest::prelude::*;
use support::{Dribble, Tarball, header, read_with, shown};
use tree::{Action, Content, Kind};
use unlade_layer::{Layer, ReadOptions, read};

/// A file's bytes, put together again.
fn restored(content: &Content, space: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; content.size() as usize];
    let mut end = 0;
    for piece in content.pieces() {
        assert!(piece.at % 4096 == 0 && piece.span.offset % 4096 == 0 && piece.span.length > 0);
        assert!(piece.at >= end && piece.span.layer == 3);
        end = piece.at + piece.span.length;
        assert!(end.is_multiple_of(4096) || end == content.size());
        let (start, length) = (piece.span.offset as usize, piece.span.length as usize);
        bytes[piece.at as usize..end as usize].copy_from_slice(&space[start..start + length]);
        assert!(space[start + length..(start + length).next_multiple_of(4096)].iter().all(|&b| b == 0));
    }
    bytes
}

fn contents(layer: &Layer) -> Vec<&Content> {
    layer
        .changes
        .iter()
        .map(|change| match &change.action {
            Action::Put(_, Kind::File(content)) => content,
            action => unreachable!("not a file: {action:?}"),
        })
        .collect()
}

#[track_caller]
fn check(file: &[u8], expected: &str) {
    let tarball = Tarball::new().file("before", b"x").file("f", file).file("after", b"y").end();
    let (layer, space) = read_with(&tarball, &ReadOptions::default()).unwrap();
    assert_eq!(shown(&layer), format!("before file 1\nf file {}{expected}\nafter file 1", file.len()));
    for (content, bytes) in contents(&layer).iter().zip([b"x", file, b"y"]) {
        assert!(restored(content, &space) == bytes);
    }
}

#[test]
fn holes() {
    let zeros = |length: usize| vec![0u8; length];
    let data = |length: usize| vec![b'd'; length];
    const K64: usize = 65536;
    check(b"", "");
    check(&data(1), "");
    check(&data(4096), "");
    check(&zeros(K64 - 1), "");
    check(&zeros(K64), " found[]");
    check(&zeros(K64 + 1), " found[]");
    check(&zeros(1 << 20), " found[]");
    check(&[data(4096), zeros(K64)].concat(), " found[0+4096]");
    check(&[zeros(K64), data(1)].concat(), " found[65536+1]");
    check(&[data(1), zeros(K64 + 4095), data(1)].concat(), " found[0+4096 69632+1]");
    // Runs that do not cover sixteen whole blocks stay.
    check(&[data(1), zeros(K64 + 4094), data(1)].concat(), "");
    check(&[data(4096), zeros(K64 - 4096), data(4096)].concat(), "");
    check(
        &[data(4096), zeros(K64), data(4096), zeros(4096), data(1), zeros(3 * K64), data(5000)].concat(),
        " found[0+4096 69632+12288 274432+5001]",
    );
    // The last block of zeros goes with the run before it, however short it is.
    check(&[data(4096), zeros(K64 + 7)].concat(), " found[0+4096]");
    check(&[data(4096), zeros(K64 - 4096 + 7)].concat(), "");
}

#[test]
fn the_space_has_only_files_that_are_kept() {
    let tarball = Tarball::new()
        .sized(header(b".wh.w", b'0'), &[1; 5000])
        .sized(header(b"l", b'1').link(b"f"), &[2; 5000])
        .sized(header(b"u", b'?'), &[3; 5000])
        .file("stargz.index.json", &[4; 5000])
        .file("f", &[5; 5000])
        .file("g", &[6; 10])
        .end();
    let (_, space) = read_with(&tarball, &ReadOptions::default()).unwrap();
    let expected = [vec![5; 5000], vec![0; 3192], vec![6; 10], vec![0; 4086]].concat();
    assert!(space == expected);
}

#[test]
fn contents_that_cannot_be_stored_are_an_io_error() {
    let tarball = Tarball::new().file("f", &[5; 5000]).end();
    let mut room = [0; 4096];
    let error = read(0, &tarball[..], &mut room[..], &ReadOptions::default()).unwrap_err();
    assert_eq!(support::failure(&error), "io: entry 0 (f): storing a file's bytes failed");
}

/// Runs of data and zeros, about the sizes that matter.
fn runs() -> impl Strategy<Value = Vec<(bool, usize)>> {
    let length = prop_oneof![1..5000usize, Just(4096), Just(65536), 60_000..140_000usize];
    vec((any::<bool>(), length), 0..6)
}

/// A good header with a byte or two changed, its checksum mended.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let flags = proptest::sample::select(b"01234567LKxgXSDVM\0?".to_vec());
    let entry = (flags, vec((0..500usize, any::<u8>()), 0..3), vec(any::<u8>(), 0..1200), 0..2000u64);
    vec(entry, 1..5).prop_map(|entries| {
        entries
            .into_iter()
            .fold(Tarball::new(), |tarball, (flag, changes, content, size)| {
                let header =
                    header(b"some/name", flag).link(b"target").gnu().size(size.min(content.len() as u64));
                let spoiled = changes.into_iter().fold(header, |header, (at, byte)| header.set(at, &[byte]));
                tarball.raw(spoiled, &content)
            })
            .end()
    })
}

fn same_in_pieces(bytes: &[u8], piece: usize) -> Result<(), TestCaseError> {
    let mut spaces = (Vec::new(), Vec::new());
    let whole = read(3, bytes, &mut spaces.0, &ReadOptions::default());
    let pieces = read(3, Dribble(bytes, piece), &mut spaces.1, &ReadOptions::default());
    match (whole, pieces) {
        (Ok(whole), Ok(pieces)) => {
            prop_assert_eq!(whole.changes, pieces.changes);
            prop_assert_eq!(whole.content_length, spaces.0.len() as u64);
            prop_assert!(spaces.0 == spaces.1);
        }
        (Err(whole), Err(pieces)) => prop_assert_eq!(support::failure(&whole), support::failure(&pieces)),
        (whole, pieces) => prop_assert!(false, "{:?} but {:?}", whole, pieces),
    }
    Ok(())
}

proptest! {
    #[test]
    fn files_come_back(files in vec(runs(), 1..4), piece in prop_oneof![Just(1usize), 1..10_000usize]) {
        let files: Vec<Vec<u8>> = files.iter().map(|runs| {
            runs.iter().flat_map(|&(data, length)| vec![u8::from(data); length]).collect()
        }).collect();
        let tarball = files.iter().fold(Tarball::new(), |tarball, file| tarball.file("f", file)).end();
        let (layer, space) = read_with(&tarball, &ReadOptions::default()).unwrap();
        for (content, file) in contents(&layer).iter().zip(&files) {
            prop_assert!(restored(content, &space) == *file);
        }
        same_in_pieces(&tarball, piece)?;
    }

    #[test]
    fn any_bytes_are_survived(bytes in vec(any::<u8>(), 0..3000), piece in 1..600usize) {
        same_in_pieces(&bytes, piece)?;
    }

    #[test]
    fn spoiled_headers_are_survived(bytes in mutated(), piece in 1..600usize) {
        same_in_pieces(&bytes, piece)?;
    }

    #[test]
    fn spoiled_records_are_survived(records in "([0-9]{1,3} ?(path|size|uid|mtime|GNU.sparse.(map|offset|size|major)|SCHILY.acl.access|LIBARCHIVE.xattr.a)?=?[0-9,.:a-z-]{0,8}\n?){1,5}") {
        let tarball = Tarball::new().sized(header(b"x", b'x'), records.as_bytes()).file("a", b"abc").end();
        same_in_pieces(&tarball, 511)?;
    }
}
