//! The EROFS writer: any tree with any options is planned or refused by a typed error, and nothing is put twice or
//! behind the end. A reader that is stricter than kernels finds every name with all that it has, and no others;
//! `fsck.erofs` is content.
#![no_main]

#[path = "../../crates/ext4/tests/common/contents.rs"]
mod contents;
#[path = "../../crates/erofs/tests/common/expected.rs"]
mod expected;
#[path = "../../crates/erofs/tests/common/pressing.rs"]
mod pressing;

use std::fs;
use std::io;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use erofs::{
    Addresses, Algorithm, BlockSize, Candidate, ClusterSize, Compression, Contents, Ending, Error, Kernel,
    Label, Options, Piece, Press, Pressed, Repeat, Reuse, SEGMENT, Sharing, Tails, candidates, sharable,
};
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use tree::{Action, Change, Content, Kind, Notes, Output, Span, Tree};
use unlade_fuzz::changes;

/// Another process takes much longer than all the rest, so that one input of so many is checked by `fsck.erofs`.
/// The first one is, so that every find can be looked at by its file alone.
const CHECKED: u32 = 32;

const CHANGES: usize = 40;

/// Contents begin among so many bytes of a layer.
const NEAR: u64 = 100_000;

/// The layer in which compressed ends of files wait.
const TAILS: u32 = u32::MAX;

/// Filesystems are no larger, so that memory holds them.
const SIZE_MAX: u64 = 1 << 26;

fuzz_target!(|data: &[u8]| {
    // What ends too early is filled up with zeros, so that there is no error.
    let mut u = Unstructured::new(data);
    if let (Ok(options), Ok(tree)) = (options(&mut u), tree(&mut u)) {
        check(&tree, &options);
    }
});

fn check(tree: &Tree, options: &Options) {
    // What is too large uncompressed is not compressed either: it would take too long.
    match erofs::plan(tree, options) {
        Ok(layout) if layout.size() > SIZE_MAX => return,
        _ => {}
    }
    let mut memory = Memory { bytes: Vec::new(), tails: Vec::new(), runs: Vec::new() };
    let pressed = match options.check() {
        Ok(()) => {
            let (pressed, tails) = pressing::press(tree, options, TAILS, &mut |offset, bytes| {
                memory.bytes.resize(memory.bytes.len().max(offset as usize + bytes.len()), 0);
                memory.write(offset, bytes).expect("memory takes everything");
            });
            memory.tails = tails;
            pressed
        }
        Err(_) => Pressed::new(options, TAILS),
    };
    let layout = match erofs::plan_pressed(tree, pressed, options) {
        Ok(layout) => layout,
        Err(
            error @ (Error::Limit { .. }
            | Error::TooLarge { .. }
            | Error::Kernel { .. }
            | Error::Option { .. }),
        ) => {
            assert!(!error.to_string().contains('\u{1b}'));
            return;
        }
        Err(error) => panic!("{error}"),
    };
    assert!(layout.needs_kernel() <= options.min_kernel);
    memory.bytes.resize(layout.size() as usize, 0);
    layout.write(tree, &mut memory).expect("memory takes everything");
    memory.runs.sort_unstable();
    for pair in memory.runs.windows(2) {
        assert!(pair[0].0 + pair[0].1 <= pair[1].0, "put twice: {pair:?}");
    }
    let found = testkit::erofs::list(&memory.bytes[..]).expect("sound");
    let differences = testkit::listing::diff(&expected::lines(tree), &found);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let is_read = options.compression.is_none_or(|compression| {
        // By Debian 12's, which knows of no clusters that files share, nor of packed ends and wide addresses.
        matches!(compression.algorithm, Algorithm::Lz4 | Algorithm::Lz4hc(_))
            && options.sharing == Sharing::None
            && options.tails != Tails::Packed
    });
    if is_read
        && options.addresses == Addresses::AsNeeded
        && options.block_size == BlockSize::B4096
        && COUNT.fetch_add(1, Ordering::Relaxed).is_multiple_of(CHECKED)
    {
        memory.fsck();
    }
}

fn tree(u: &mut Unstructured<'_>) -> Result<Tree> {
    let mut tree = Tree::default();
    // Each on its own, so that one that makes no sense takes nothing else away.
    for mut change in changes(u, CHANGES)? {
        make_compressible(&mut change);
        let _ = tree.apply(0, vec![change], &mut Notes::default());
    }
    for _ in 0..u.int_in_range(0..=2)? {
        let many = unlade_fuzz::many(u)?;
        tree.apply(0, many, &mut Notes::default()).expect("nothing is in the way");
    }
    Ok(tree)
}

/// Lets a file's contents be those of a layer that can be compressed in parts, and so near others' that they may have
/// some in common.
fn make_compressible(change: &mut Change) {
    match &mut change.action {
        Action::Put(_, Kind::File(Content::Whole(span))) => {
            (span.layer, span.offset) = (1, span.offset % NEAR)
        }
        Action::Put(_, Kind::File(Content::Pieces { pieces, .. })) => {
            pieces.iter_mut().for_each(|piece| piece.span.layer = 1);
        }
        _ => {}
    }
}

fn options(u: &mut Unstructured<'_>) -> Result<Options> {
    let algorithms =
        [Algorithm::Lz4, Algorithm::Lz4, Algorithm::Lz4hc(3), Algorithm::Deflate(1), Algorithm::Zstd(1)];
    let clusters = [4096, 8192, 65_536, 1 << 20].map(ClusterSize::new);
    let compression = match u.arbitrary()? {
        true => Some(Compression {
            algorithm: *u.choose(&algorithms)?,
            cluster: *u.choose(&clusters)?.as_ref().expect("they are sizes"),
        }),
        false => None,
    };
    let kernels = ["5.4", "5.15", "6.1", "6.4", "6.18"].map(|text| text.parse::<Kernel>());
    Ok(Options {
        min_kernel: *u.choose(&kernels)?.as_ref().expect("they are versions"),
        block_size: *u.choose(&[BlockSize::B4096, BlockSize::B512, BlockSize::B1024, BlockSize::B2048])?,
        tails: *u.choose(&[Tails::Inline, Tails::Packed, Tails::Blocks])?,
        sharing: *u.choose(&[Sharing::None, Sharing::Files, Sharing::Chunks])?,
        addresses: *u.choose(&[Addresses::AsNeeded, Addresses::Wide])?,
        compression,
        contents: Contents::Here,
        label: Label::parse(b"fuzz").expect("it is short"),
        uuid: u.arbitrary()?,
    })
}

/// A filesystem in memory, and where something was put.
struct Memory {
    bytes: Vec<u8>,
    /// Compressed ends of files.
    tails: Vec<u8>,
    runs: Vec<(u64, u64)>,
}

impl Memory {
    fn fsck(&self) {
        let path = std::env::temp_dir().join(format!("unlade-fuzz-{}.erofs", std::process::id()));
        fs::write(&path, &self.bytes).expect("there is room");
        let ran = Command::new("/usr/bin/fsck.erofs").arg("--extract").arg(&path).output();
        let ran = ran.expect("fsck.erofs is installed");
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()));
        fs::remove_file(&path).expect("it was made here");
    }
}

impl Output for Memory {
    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.runs.push((offset, bytes.len() as u64));
        self.bytes[offset as usize..][..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn copy(&mut self, offset: u64, span: Span) -> io::Result<()> {
        if span.layer == TAILS {
            let tail = self.tails[span.offset as usize..][..span.length as usize].to_vec();
            return self.write(offset, &tail);
        }
        self.write(offset, &contents::bytes_of(span))
    }
}
