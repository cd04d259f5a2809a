//! The ext4 writer: any tree with any options is planned or refused by a typed error, and nothing is put twice or
//! behind the end. Another program finds every name with its type, mode, owner, time and content, and no others; the
//! inodes have the link counts and attributes of the nodes; `e2fsck` has nothing to say. A size that is said to be
//! needed is enough, and a block less is not.
#![no_main]

#[path = "../../crates/ext4/tests/common/contents.rs"]
mod contents;
#[path = "../../crates/ext4/tests/common/inodes.rs"]
mod inodes;
#[path = "../../crates/ext4/tests/common/view.rs"]
mod view;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use ext4::{BlockSize, Error, Headroom, Inodes, Label, Options, Profile, Size};
use ext4_view::{Ext4, Ext4Error};
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use tree::{Notes, Output, Span, Tree};
use unlade_fuzz::changes;

/// Another process takes much longer than all the rest, so that one input of so many is checked by `e2fsck`. The
/// first one is, so that every find can be looked at by its file alone.
const CHECKED: u32 = 32;

const CHANGES: usize = 40;

/// Filesystems are no larger, so that memory holds them.
const SIZE_MAX: u64 = 1 << 28;

fuzz_target!(|data: &[u8]| {
    // What ends too early is filled up with zeros, so that there is no error.
    let mut u = Unstructured::new(data);
    if let (Ok(options), Ok(tree)) = (options(&mut u), tree(&mut u)) {
        check(&tree, &options);
    }
});

fn check(tree: &Tree, options: &Options) {
    let layout = match ext4::plan(tree, options) {
        Ok(layout) => layout,
        Err(Error::TooSmall { given, needed }) => {
            let sized = |size| ext4::plan(tree, &Options { size: Size::Total(size), ..options.clone() });
            let block = u64::from(options.block_size.bytes());
            assert!(
                given < needed && sized(needed).is_ok() && sized(needed - block).is_err(),
                "{given} {needed}"
            );
            return;
        }
        Err(error @ (Error::Limit { .. } | Error::TooLarge { .. } | Error::TooManyInodes { .. })) => {
            assert!(!error.to_string().contains('\u{1b}'));
            return;
        }
        Err(error) => panic!("{error}"),
    };
    if layout.size() > SIZE_MAX {
        return;
    }
    let mut memory = Memory { bytes: vec![0; layout.size() as usize], runs: Vec::new() };
    layout.write(tree, &mut memory).expect("memory takes everything");
    memory.runs.sort_unstable();
    for pair in memory.runs.windows(2) {
        assert!(pair[0].0 + pair[0].1 <= pair[1].0, "put twice: {pair:?}");
    }
    static COUNT: AtomicU32 = AtomicU32::new(0);
    if COUNT.fetch_add(1, Ordering::Relaxed).is_multiple_of(CHECKED) {
        memory.e2fsck();
    }
    inodes::compare(tree, &|offset, bytes| {
        bytes.copy_from_slice(&memory.bytes[offset as usize..][..bytes.len()]);
    });
    match Ext4::load(Box::new(memory.bytes)) {
        Ok(ext4) => view::compare(tree, &ext4),
        // It does not know values in inodes of their own.
        Err(Ext4Error::Incompatible(_)) => {}
        Err(error) => panic!("{error}"),
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
    let mut nodes = Vec::new();
    let mut walk = tree.walk();
    while let Some(visit) = walk.step() {
        nodes.push(visit.node);
    }
    for node in nodes {
        // The reader refuses times whose lower word is negative: 1901 to 1969, 2038 to 2106, and so on.
        let seconds = &mut tree.node_mut(node).metadata.mtime.seconds;
        if *seconds < 0 || *seconds < 1 << 34 && *seconds & 1 << 31 != 0 {
            *seconds &= 0x7fff_ffff;
        }
    }
    Ok(tree)
}

fn options(u: &mut Unstructured<'_>) -> Result<Options> {
    let mut uuid: [u8; 16] = u.arbitrary()?;
    uuid[0] |= 1;
    Ok(Options {
        profile: *u.choose(&[Profile::ReadWrite, Profile::Compatible, Profile::ReadOnly])?,
        block_size: *u.choose(&[BlockSize::B4096, BlockSize::B1024, BlockSize::B2048])?,
        size: match u.int_in_range(0..=4)? {
            0 => Size::Auto(Headroom::Default),
            1 => Size::Auto(Headroom::Bytes(u.int_in_range(0..=1 << 24)?)),
            2 => Size::Auto(Headroom::Percent(u.int_in_range(0..=300)?)),
            3 => Size::Free(u.int_in_range(0..=1 << 25)?),
            _ => Size::Total(u.int_in_range(0..=1 << 25)?),
        },
        journal: u.arbitrary()?,
        journal_max: if u.arbitrary()? { Some(u.int_in_range(0..=1 << 25)?) } else { None },
        inodes: match u.int_in_range(0..=2)? {
            0 => Inodes::Auto,
            1 => Inodes::Free(u.int_in_range(0..=20_000)?),
            _ => Inodes::Total(u.int_in_range(0..=20_000)?),
        },
        reserved_percent: u.int_in_range(0..=50)?,
        label: Label::parse(b"fuzz").expect("it is short"),
        uuid,
        hash_seed: u.arbitrary()?,
        // Before 2026, or e2fsck finds a time in the future.
        created: u.int_in_range(0..=1_760_000_000)?,
    })
}

/// A filesystem in memory, and where something was put.
struct Memory {
    bytes: Vec<u8>,
    runs: Vec<(u64, u64)>,
}

impl Memory {
    fn e2fsck(&self) {
        let path = std::env::temp_dir().join(format!("unlade-fuzz-{}.ext4", std::process::id()));
        let file = File::create(&path).expect("there is room");
        file.set_len(self.bytes.len() as u64).expect("there is room");
        for &(at, length) in &self.runs {
            file.write_all_at(&self.bytes[at as usize..(at + length) as usize], at).expect("there is room");
        }
        let ran = Command::new("/sbin/e2fsck")
            .arg("-fn")
            .arg(&path)
            .env("LC_ALL", "C")
            .output()
            .expect("e2fsck is installed");
        let said = String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned();
        // The version, five passes, and a summary of one line.
        let usual = |line: &str| {
            ["e2fsck ", "Pass "].iter().any(|start| line.starts_with(start)) || line.contains(" files (")
        };
        assert!(ran.status.success() && said.lines().all(usual), "{}\n{said}", ran.status);
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
