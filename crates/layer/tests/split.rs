//! Tarballs taken apart: all bytes come, each once, and the changes are those of every other read.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{self, BufReader};

use proptest::prelude::*;
use testkit::image::Tar;
use testkit::stack;
use tree::{Action, BLOCK, Content, Kind};
use unlade_layer::{Parts, ReadOptions, read, split};

/// Puts a tarball together again.
#[derive(Default)]
struct Joined {
    all: Vec<u8>,
    files: Vec<Vec<u8>>,
    left: Option<u64>,
    fails_at: Option<usize>,
}

impl Joined {
    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.all.extend_from_slice(bytes);
        match self.fails_at {
            Some(limit) if self.all.len() > limit => Err(io::Error::other("the disk is full")),
            _ => Ok(()),
        }
    }
}

impl Parts for Joined {
    fn inline(&mut self, bytes: &[u8]) -> io::Result<()> {
        assert!(self.left.is_none());
        self.take(bytes)
    }

    fn begin(&mut self, size: u64) -> io::Result<()> {
        assert_eq!(self.left.replace(size), None);
        self.files.push(Vec::new());
        Ok(())
    }

    fn content(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.left = Some(self.left.unwrap().checked_sub(bytes.len() as u64).unwrap());
        self.files.last_mut().unwrap().extend_from_slice(bytes);
        self.take(bytes)
    }

    fn end(&mut self) -> io::Result<()> {
        assert_eq!(self.left.take(), Some(0));
        Ok(())
    }
}

/// Takes a tarball apart and compares; `buffer` is how much is read at once.
fn check(tarball: &[u8], buffer: usize) {
    let mut parts = Joined::default();
    let options = ReadOptions::default();
    let input = BufReader::with_capacity(buffer, tarball);
    let found = split(0, input, &mut parts, 64, &options);
    let mut space = Vec::new();
    let Ok(expected) = read(0, tarball, &mut space, &options) else {
        assert!(found.is_err());
        return;
    };
    let found = found.unwrap();
    assert_eq!(parts.all, tarball);
    assert_eq!((found.entries, found.tarball_length), (expected.entries, expected.tarball_length));
    assert_eq!(found.notes.counts().collect::<Vec<_>>(), expected.notes.counts().collect::<Vec<_>>());
    for (found, expected) in found.changes.iter().zip(&expected.changes) {
        let (Action::Put(_, Kind::File(found)), Action::Put(_, Kind::File(expected))) =
            (&found.action, &expected.action)
        else {
            assert_eq!(found, expected);
            continue;
        };
        let bytes = match found {
            Content::Inline(bytes) => bytes.to_vec(),
            Content::Whole(span) => parts.files[(span.offset / BLOCK) as usize].clone(),
            _ => Vec::new(),
        };
        assert_eq!(bytes.len() as u64, expected.size());
        for piece in expected.pieces() {
            let (at, span) = (piece.at as usize, piece.span);
            let there = &space[span.offset as usize..][..span.length as usize];
            assert_eq!(&bytes[at..at + there.len()], there);
        }
    }
}

fn some() -> Vec<u8> {
    Tar::default()
        .directory("d", 0o755)
        .file("d/empty", 0o644, b"")
        .file("d/small", 0o644, &[1; 64])
        .file("d/large", 0o644, &[2; 65])
        .file("d/.wh.gone", 0o644, &[3; 1000])
        .file("zeros", 0o644, &[0; 200_000])
        .symlink("l", "d")
        .finish()
}

#[test]
fn every_byte_once() {
    for buffer in [1, 511, 512, 4096, 1 << 20] {
        check(&some(), buffer);
    }
    check(&some()[..some().len() - 1024], 4096);
    check(&[&some()[..], &[7; 3000]].concat(), 4096);
    check(&some()[..3000], 4096);
}

#[test]
fn a_full_disk_is_told() {
    for limit in [0, 600, 1600, 5000, some().len() - 1] {
        let mut parts = Joined { fails_at: Some(limit), ..Joined::default() };
        let error = split(0, &some()[..], &mut parts, 64, &ReadOptions::default()).unwrap_err();
        let text = format!("{error:?}");
        assert!(text.contains("the disk is full"), "{limit}: {text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn random_layers(stack in stack::stacks(), buffer in 1usize..5000) {
        for layer in &stack {
            let tarball = stack::tarball(layer);
            // Sparse files cannot be taken apart.
            if split(0, &tarball[..], &mut Joined::default(), 64, &ReadOptions::default())
                .is_err_and(|error| error.to_string().contains("sparse") || format!("{error:?}").contains("sparse"))
            {
                continue;
            }
            check(&tarball, buffer);
        }
    }
}
