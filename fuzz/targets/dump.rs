//! The reader behind `dump`: of any ext4 filesystem that the writer makes it shows every name; of a damaged one,
//! whose checksums do not tell, it says what is wrong or shows what there is. It never panics, the text is no longer
//! than the filesystem gives cause for, and no byte of it moves a cursor.
#![no_main]

#[allow(dead_code, reason = "other targets need the rest")]
#[path = "../../crates/ext4/tests/common/contents.rs"]
mod contents;

use std::io::{self, Write};

use ext4::{BlockSize, Filesystem, Headroom, Options, ReadError, Size};
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use tree::{Notes, Output, Span, Tree};
use unlade_fuzz::changes;

const CHANGES: usize = 20;

/// Filesystems are no larger.
const SIZE_MAX: u64 = 1 << 24;

/// Where in the superblock the features stand that a reader may ignore, and the bit for checksums among them.
const RO_COMPAT: usize = 1024 + 100;
const CHECKSUMS: u32 = 0x400;

fuzz_target!(|data: &[u8]| {
    let mut u = Unstructured::new(data);
    let _ = check(&mut u);
});

fn check(u: &mut Unstructured<'_>) -> Result<()> {
    let mut tree = Tree::default();
    for change in changes(u, CHANGES)? {
        let _ = tree.apply(0, vec![change], &mut Notes::default());
    }
    let options = Options {
        block_size: *u.choose(&[BlockSize::B1024, BlockSize::B2048, BlockSize::B4096])?,
        size: Size::Auto(Headroom::Bytes(0)),
        journal: false,
        ..Options::default()
    };
    let Ok(layout) = ext4::plan(&tree, &options) else { return Ok(()) };
    if layout.size() > SIZE_MAX {
        return Ok(());
    }
    let mut memory = Memory { bytes: vec![0; layout.size() as usize], metadata: Vec::new() };
    layout.write(&tree, &mut memory).expect("memory takes everything");
    let names = dump(&memory.bytes).expect("it was just written");
    let mut walk = tree.walk();
    let mut expected = 0;
    while walk.step().is_some() {
        expected += 1;
    }
    let added = !tree.entries(Tree::ROOT).is_some_and(|root| root.contains_key(&b"lost+found"[..]));
    assert_eq!(names, expected + usize::from(added));

    let features = &mut memory.bytes[RO_COMPAT..RO_COMPAT + 4];
    let without = u32::from_le_bytes([features[0], features[1], features[2], features[3]]) & !CHECKSUMS;
    features.copy_from_slice(&without.to_le_bytes());
    assert_eq!(dump(&memory.bytes).ok(), Some(names));
    for _ in 0..u.int_in_range(0..=8)? {
        let (at, length) = *u.choose(&memory.metadata)?;
        let within = u.int_in_range(0..=length - 1)?;
        memory.bytes[at + within] = u.arbitrary()?;
    }
    if let Err(error) = dump(&memory.bytes) {
        assert!(!matches!(error, ReadError::Output(_)), "{error}");
    }
    Ok(())
}

/// Shows a filesystem and gives the number of its names.
fn dump(bytes: &[u8]) -> std::result::Result<usize, ReadError> {
    let mut text = Text { bytes: 0, names: 0, start: Vec::new(), most: bytes.len() * 64 };
    let dumped = Filesystem::open(&bytes).and_then(|filesystem| filesystem.dump(&mut text));
    dumped.map(|()| text.names)
}

/// Counts what is shown.
struct Text {
    bytes: usize,
    names: usize,
    /// Of the line that has begun.
    start: Vec<u8>,
    most: usize,
}

impl Write for Text {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes += bytes.len();
        assert!(self.bytes <= self.most, "the text is longer than {} bytes", self.most);
        for &byte in bytes {
            assert!(byte == b'\n' || !byte.is_ascii_control());
            if byte == b'\n' {
                let is_name = self.start.first().is_some_and(u8::is_ascii_digit);
                self.names += usize::from(is_name && self.start.windows(2).any(|two| two == b" /"));
                self.start.clear();
            } else {
                self.start.push(byte);
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A filesystem in memory, and where its metadata are.
struct Memory {
    bytes: Vec<u8>,
    metadata: Vec<(usize, usize)>,
}

impl Output for Memory {
    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if !bytes.is_empty() {
            self.metadata.push((offset as usize, bytes.len()));
        }
        self.bytes[offset as usize..][..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn copy(&mut self, offset: u64, span: Span) -> io::Result<()> {
        let bytes = contents::bytes_of(span);
        self.bytes[offset as usize..][..bytes.len()].copy_from_slice(&bytes);
        Ok(())
    }
}
