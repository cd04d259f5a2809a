//! The readers behind `dump`: of any ext4 or EROFS filesystem that the writers make they show every name; of a damaged
//! one, whose checksums do not tell, they say what is wrong or show what there is. They never panic, the text is no
//! longer than the filesystem gives cause for, and no byte of it moves a cursor.
#![no_main]

#[path = "../../crates/ext4/tests/common/contents.rs"]
mod contents;
#[path = "../../crates/erofs/tests/common/pressing.rs"]
mod pressing;

use std::io::{self, Write};

use erofs::{
    Algorithm, BlockSize, Candidate, ClusterSize, Compression, Ending, Options, Piece, Press, Pressed,
    Repeat, Reuse, SEGMENT, Sharing, candidates, sharable,
};
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use tree::{Notes, Output, Span, Tree};
use unlade_fuzz::changes;

const CHANGES: usize = 20;

/// Filesystems are no larger.
const SIZE_MAX: u64 = 1 << 24;

/// Where in the superblock of ext4 the features stand that a reader may ignore, and the bit for checksums among them.
const RO_COMPAT: usize = 1024 + 100;
const CHECKSUMS: u32 = 0x400;
/// The same of EROFS.
const COMPAT: usize = 1024 + 8;
const CHECKSUM: u32 = 0x1;

/// The layer in which compressed ends of files wait.
const TAILS: u32 = u32::MAX;

fuzz_target!(|data: &[u8]| {
    let mut u = Unstructured::new(data);
    let _ = check(&mut u);
});

fn check(u: &mut Unstructured<'_>) -> Result<()> {
    let mut tree = Tree::default();
    for change in changes(u, CHANGES)? {
        let _ = tree.apply(0, vec![change], &mut Notes::default());
    }
    let mut expected = 0;
    let mut walk = tree.walk();
    while walk.step().is_some() {
        expected += 1;
    }
    if u.arbitrary()? {
        let added = !tree.entries(Tree::ROOT).is_some_and(|root| root.contains_key(&b"lost+found"[..]));
        match ext4(u, &tree)? {
            Some(memory) => {
                damage(u, memory, dump_ext4, expected + usize::from(added), (RO_COMPAT, CHECKSUMS))
            }
            None => Ok(()),
        }
    } else {
        match erofs(u, &tree)? {
            Some(memory) => damage(u, memory, dump_erofs, expected, (COMPAT, CHECKSUM)),
            None => Ok(()),
        }
    }
}

fn ext4(u: &mut Unstructured<'_>, tree: &Tree) -> Result<Option<Memory>> {
    use ext4::{BlockSize, Headroom, Options, Size};
    let options = Options {
        block_size: *u.choose(&[BlockSize::B1024, BlockSize::B2048, BlockSize::B4096])?,
        size: Size::Auto(Headroom::Bytes(0)),
        journal: false,
        ..Options::default()
    };
    let Ok(layout) = ext4::plan(tree, &options) else { return Ok(None) };
    if layout.size() > SIZE_MAX {
        return Ok(None);
    }
    let mut memory = Memory { bytes: vec![0; layout.size() as usize], ..Memory::default() };
    layout.write(tree, &mut memory).expect("memory takes everything");
    Ok(Some(memory))
}

fn erofs(u: &mut Unstructured<'_>, tree: &Tree) -> Result<Option<Memory>> {
    let cluster = ClusterSize::new(*u.choose(&[4096, 16_384])?).expect("it is a size");
    let compression = Compression { algorithm: *u.choose(&[Algorithm::Lz4, Algorithm::Zstd(1)])?, cluster };
    let compression = u.arbitrary::<bool>()?.then_some(compression);
    let block_size = match compression {
        None => *u.choose(&[BlockSize::B512, BlockSize::B4096])?,
        Some(_) => BlockSize::B4096,
    };
    let min_kernel = "6.18".parse().expect("it is a version");
    let sharing = *u.choose(&[Sharing::None, Sharing::Files, Sharing::Chunks])?;
    let options = Options { block_size, compression, sharing, min_kernel, ..Options::default() };
    match erofs::plan(tree, &options) {
        Ok(layout) if layout.size() <= SIZE_MAX => {}
        _ => return Ok(None),
    }
    let mut memory = Memory::default();
    let (pressed, tails) = pressing::press(tree, &options, TAILS, &mut |offset, bytes| {
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        memory.bytes.resize(memory.bytes.len().max(end), 0);
        memory.bytes[start..end].copy_from_slice(bytes);
    });
    memory.tails = tails;
    let layout = erofs::plan_pressed(tree, pressed, &options).expect("it was planned without");
    memory.bytes.resize(layout.size() as usize, 0);
    layout.write(tree, &mut memory).expect("memory takes everything");
    Ok(Some(memory))
}

/// Damages a filesystem whose names were counted, once its reader has been told not to look at checksums.
fn damage(
    u: &mut Unstructured<'_>,
    mut memory: Memory,
    dump: fn(&[u8]) -> Option<usize>,
    names: usize,
    (features, checksums): (usize, u32),
) -> Result<()> {
    assert_eq!(dump(&memory.bytes), Some(names));
    let word = &mut memory.bytes[features..features + 4];
    let without = u32::from_le_bytes([word[0], word[1], word[2], word[3]]) & !checksums;
    word.copy_from_slice(&without.to_le_bytes());
    assert_eq!(dump(&memory.bytes), Some(names));
    for _ in 0..u.int_in_range(0..=8)? {
        let (at, length) = *u.choose(&memory.metadata)?;
        let within = u.int_in_range(0..=length - 1)?;
        memory.bytes[at + within] = u.arbitrary()?;
    }
    dump(&memory.bytes);
    Ok(())
}

/// Shows a filesystem and gives the number of its names, unless something is wrong with it.
fn dump_ext4(bytes: &[u8]) -> Option<usize> {
    let mut text = Text::new(bytes);
    let dumped = ext4::Filesystem::open(&bytes).and_then(|filesystem| filesystem.dump(&mut text));
    assert!(!matches!(dumped, Err(ext4::ReadError::Output(_))));
    dumped.ok().map(|()| text.names)
}

/// The same of EROFS.
fn dump_erofs(bytes: &[u8]) -> Option<usize> {
    let mut text = Text::new(bytes);
    let dumped = erofs::Filesystem::open(&bytes).and_then(|filesystem| filesystem.dump(&mut text));
    assert!(!matches!(dumped, Err(erofs::ReadError::Output(_))));
    dumped.ok().map(|()| text.names)
}

/// Counts what is shown.
struct Text {
    bytes: usize,
    names: usize,
    /// Of the line that has begun.
    start: Vec<u8>,
    most: usize,
}

impl Text {
    fn new(bytes: &[u8]) -> Text {
        Text { bytes: 0, names: 0, start: Vec::new(), most: bytes.len().max(1 << 16) * 64 }
    }
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
#[derive(Default)]
struct Memory {
    bytes: Vec<u8>,
    /// Compressed ends of files.
    tails: Vec<u8>,
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
        if span.layer == TAILS {
            let tail = self.tails[span.offset as usize..][..span.length as usize].to_vec();
            return self.write(offset, &tail);
        }
        let bytes = contents::bytes_of(span);
        self.bytes[offset as usize..][..bytes.len()].copy_from_slice(&bytes);
        Ok(())
    }
}
