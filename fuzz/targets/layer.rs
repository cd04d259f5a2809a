//! Layers: any bytes expand and are read as a list of changes, or give an error, within their limits. How the input
//! is cut into pieces changes nothing. Every place that a change names lies in the content space, by whole blocks,
//! with zeros behind its end; nothing but files has places. What is read is applied, or refused by a typed error.
#![no_main]

use std::io::{self, BufRead, BufReader, Read};

use layer::compression::Limits;
use layer::{Expander, Layer, ReadOptions, tar};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use tree::{Action, BLOCK, Content, Dump, Kind, Notes, Tree};

/// What one input may expand to. A content space may be larger by a block for each file.
const EXPANDED: u64 = 1 << 20;
const ENTRIES: u64 = 1 << 10;

fuzz_target!(|blob: &[u8]| {
    let whole = read(blob, blob.len());
    for step in [1, 511, 513] {
        let (again, contents) = (read(blob, step), &whole);
        match (&again, contents) {
            (Ok((layer, bytes)), Ok((other, expected))) => {
                assert_eq!(layer.changes, other.changes);
                assert_eq!((layer.entries, layer.tarball_length), (other.entries, other.tarball_length));
                assert!(bytes == expected);
            }
            (Err(error), Err(other)) => assert_eq!(error.to_string(), other.to_string()),
            _ => panic!("{step} bytes at a time: {:?}, else {:?}", again.is_ok(), contents.is_ok()),
        }
    }
    let Ok((layer, contents)) = whole else { return };
    check(&layer, &contents);
    let mut tree = Tree::default();
    let mut notes = Notes::default();
    // The second time there is something below.
    for number in 0..2 {
        if let Err(error) = tree.apply(number, layer.changes.clone(), &mut notes) {
            assert!(!error.to_string().contains('\u{1b}'), "{error}");
            return;
        }
    }
    let _ = Dump(&tree).to_string();
});

// A header whose checksum is wrong is refused before anything else is looked at, and no chance finds the right one.
// So it is put right after most mutations.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let size = fuzzer_mutate(data, size, max_size);
    if !seed.is_multiple_of(8) {
        data[..size].chunks_exact_mut(512).filter(|block| &block[257..262] == b"ustar").for_each(put_sum);
    }
    size
});

fn put_sum(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
}

fn read(blob: &[u8], step: usize) -> Result<(Layer, Vec<u8>), layer::Error> {
    // The ratio is looked at now and then only, so it may depend on the pieces; the size may not.
    let limits = Limits { expanded: EXPANDED, ratio_free: EXPANDED, window_log: 20, ..Limits::default() };
    let options = ReadOptions {
        tar: tar::Limits { entries: ENTRIES, ..tar::Limits::default() },
        depth: 64,
        metadata_bytes: EXPANDED,
        ..ReadOptions::default()
    };
    let mut contents = Vec::new();
    let mut expander = Expander::new(Pieces { rest: blob, step }, limits)?;
    let layer = layer::read(7, BufReader::new(&mut expander), &mut contents, &options)?;
    assert!(expander.expanded() <= EXPANDED && layer.tarball_length == expander.expanded());
    assert!(layer.entries <= ENTRIES && layer.changes.len() as u64 <= ENTRIES);
    Ok((layer, contents))
}

fn check(layer: &Layer, contents: &[u8]) {
    assert_eq!(layer.content_length, contents.len() as u64);
    assert_eq!(layer.content_length % BLOCK, 0);
    let mut free = 0;
    for change in &layer.changes {
        let Action::Put(metadata, kind) = &change.action else { continue };
        assert!(metadata.mode <= 0o7777 && metadata.mtime.nanoseconds < 1_000_000_000);
        match kind {
            Kind::File(content) => free = check_content(content, free, contents),
            Kind::Directory(entries) => assert!(entries.is_empty()),
            Kind::Symlink(text) => assert!((1..=4095).contains(&text.len()) && !text.contains(&0)),
            _ => {}
        }
    }
    assert_eq!(free, layer.content_length, "the content space has bytes that are nobody's");
}

/// Pieces are in order in the file and one behind the other in the content space; gives where the next one starts.
fn check_content(content: &Content, mut free: u64, contents: &[u8]) -> u64 {
    let (mut end, mut off_block) = (0, false);
    for piece in content.pieces() {
        assert!(
            piece.at >= end && piece.at % BLOCK == 0 && !off_block && piece.span.length > 0,
            "{content:?}"
        );
        assert_eq!((piece.span.layer, piece.span.offset), (7, free));
        end = piece.at + piece.span.length;
        free += piece.span.length.next_multiple_of(BLOCK);
        off_block = end % BLOCK != 0;
        let tail = &contents[(piece.span.offset + piece.span.length) as usize..free as usize];
        assert!(tail.iter().all(|&byte| byte == 0));
    }
    assert!(end <= content.size(), "{content:?}");
    assert!(!off_block || end == content.size(), "{content:?}");
    free
}

/// Gives so many bytes at a time.
struct Pieces<'a> {
    rest: &'a [u8],
    step: usize,
}

impl BufRead for Pieces<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(&self.rest[..self.rest.len().min(self.step)])
    }

    fn consume(&mut self, amount: usize) {
        self.rest = &self.rest[amount..];
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.len().min(into.len());
        into[..length].copy_from_slice(&self.rest[..length]);
        self.rest = &self.rest[length..];
        Ok(length)
    }
}
