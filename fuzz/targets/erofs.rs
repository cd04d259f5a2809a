//! The EROFS writer: any tree with any options is planned or refused by a typed error, and nothing is put twice or
//! behind the end. A reader that is stricter than kernels finds every name with all that it has, and no others;
//! `fsck.erofs` is content.
#![no_main]

#[path = "../../crates/ext4/tests/common/contents.rs"]
mod contents;
#[path = "../../crates/erofs/tests/common/expected.rs"]
mod expected;

use std::fs;
use std::io;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use erofs::{BlockSize, Error, Kernel, Label, Options, Tails};
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use tree::{Notes, Output, Span, Tree};
use unlade_fuzz::changes;

/// Another process takes much longer than all the rest, so that one input of so many is checked by `fsck.erofs`.
/// The first one is, so that every find can be looked at by its file alone.
const CHECKED: u32 = 32;

const CHANGES: usize = 40;

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
    let layout = match erofs::plan(tree, options) {
        Ok(layout) => layout,
        Err(error @ (Error::Limit { .. } | Error::TooLarge { .. } | Error::Kernel { .. })) => {
            assert!(!error.to_string().contains('\u{1b}'));
            return;
        }
        Err(error) => panic!("{error}"),
    };
    assert!(layout.needs_kernel() <= options.min_kernel);
    if layout.size() > SIZE_MAX {
        return;
    }
    let mut memory = Memory { bytes: vec![0; layout.size() as usize], runs: Vec::new() };
    layout.write(tree, &mut memory).expect("memory takes everything");
    memory.runs.sort_unstable();
    for pair in memory.runs.windows(2) {
        assert!(pair[0].0 + pair[0].1 <= pair[1].0, "put twice: {pair:?}");
    }
    let found = testkit::erofs::list(&memory.bytes[..]).expect("sound");
    let differences = testkit::listing::diff(&expected::lines(tree), &found);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    static COUNT: AtomicU32 = AtomicU32::new(0);
    if options.block_size == BlockSize::B4096 && COUNT.fetch_add(1, Ordering::Relaxed).is_multiple_of(CHECKED)
    {
        memory.fsck();
    }
}

fn tree(u: &mut Unstructured<'_>) -> Result<Tree> {
    let mut tree = Tree::default();
    // Each on its own, so that one that makes no sense takes nothing else away.
    for change in changes(u, CHANGES)? {
        let _ = tree.apply(0, vec![change], &mut Notes::default());
    }
    for _ in 0..u.int_in_range(0..=2)? {
        let many = unlade_fuzz::many(u)?;
        tree.apply(0, many, &mut Notes::default()).expect("nothing is in the way");
    }
    Ok(tree)
}

fn options(u: &mut Unstructured<'_>) -> Result<Options> {
    let kernels = ["5.4", "5.15", "6.1", "6.4", "6.18"].map(|text| text.parse::<Kernel>());
    Ok(Options {
        min_kernel: *u.choose(&kernels)?.as_ref().expect("they are versions"),
        block_size: *u.choose(&[BlockSize::B4096, BlockSize::B512, BlockSize::B1024, BlockSize::B2048])?,
        tails: *u.choose(&[Tails::Inline, Tails::Blocks])?,
        label: Label::parse(b"fuzz").expect("it is short"),
        uuid: u.arbitrary()?,
    })
}

/// A filesystem in memory, and where something was put.
struct Memory {
    bytes: Vec<u8>,
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
        self.write(offset, &contents::bytes_of(span))
    }
}
