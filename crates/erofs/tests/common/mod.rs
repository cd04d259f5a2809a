//! Filesystems in files, and those who judge them: a reader that shares nothing with the writer, erofs-utils, a
//! kernel.
#![allow(dead_code, unused_imports, reason = "each test file uses some of it")]

#[path = "../../../ext4/tests/common/builder.rs"]
pub(crate) mod builder;
#[path = "../../../ext4/tests/common/contents.rs"]
pub(crate) mod contents;
#[cfg(unix)]
pub(crate) mod expected;
pub(crate) mod pressing;
pub(crate) mod zoo;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

pub(crate) use builder::{Builder, device, meta, with_xattrs};
use contents::bytes_of;
#[cfg(unix)]
use expected::lines;
use host::FileExt;
#[cfg(unix)]
use testkit::listing::{self, Kind as Type, Line};
use testkit::tools::{command, run};
use tree::{Content, Input, Kind, NodeId, Output, Span, Tree};
use unlade_erofs::{
    Algorithm, BlockSize, Candidate, ClusterSize, Compression, Ending, Filesystem, Layout, Options, Piece,
    Press, Pressed, ReadError, Repeat, Reuse, SEGMENT, Sharing, candidates, plan_pressed, sharable,
};

/// A sparse file, which notes what was put and checks that nothing is put twice.
struct Disk {
    file: File,
    /// Compressed ends of files.
    tails: Vec<u8>,
    runs: Vec<(u64, u64)>,
    writes: usize,
    copies: usize,
}

/// The layer in which compressed ends of files wait.
const TAILS: u32 = u32::MAX;

impl Output for Disk {
    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.writes += 1;
        self.runs.push((offset, bytes.len() as u64));
        self.file.write_all_at(bytes, offset)
    }

    fn copy(&mut self, offset: u64, span: Span) -> io::Result<()> {
        self.copies += 1;
        self.runs.push((offset, span.length));
        if span.layer == TAILS {
            return self
                .file
                .write_all_at(&self.tails[span.offset as usize..][..span.length as usize], offset);
        }
        self.file.write_all_at(&bytes_of(span), offset)
    }
}

/// A file that is read from any place.
struct Bytes(File);

impl Input for Bytes {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }
}

/// What the product's reader says of a filesystem in a file.
pub(crate) fn dump(path: &std::path::Path) -> Result<String, ReadError> {
    let bytes = Bytes(File::open(path).unwrap());
    let mut text = Vec::new();
    Filesystem::open(&bytes)?.dump(&mut text)?;
    Ok(String::from_utf8(text).unwrap())
}

/// A filesystem in a temporary file.
pub(crate) struct Image {
    directory: tempfile::TempDir,
    pub(crate) path: PathBuf,
    pub(crate) layout: Layout,
    pub(crate) writes: usize,
    pub(crate) copies: usize,
}

pub(crate) fn build(tree: &Tree, options: &Options) -> Image {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rootfs.erofs");
    let file = File::options().create_new(true).read(true).write(true).open(&path).unwrap();
    let mut disk = Disk { file, tails: Vec::new(), runs: Vec::new(), writes: 0, copies: 0 };
    let (pressed, tails) = pressing::press(tree, options, TAILS, &mut |offset, bytes| {
        if !bytes.is_empty() {
            disk.write(offset, bytes).unwrap();
        }
    });
    disk.tails = tails;
    let layout = plan_pressed(tree, pressed, options).unwrap();
    disk.file.set_len(layout.size()).unwrap();
    layout.write(tree, &mut disk).unwrap();
    disk.runs.sort_unstable();
    for pair in disk.runs.windows(2) {
        assert!(pair[0].0 + pair[0].1 <= pair[1].0, "put twice: {pair:?}");
    }
    assert!(disk.runs.last().is_none_or(|run| run.0 + run.1 <= layout.size()), "put behind the end");
    Image { directory, path, layout, writes: disk.writes, copies: disk.copies }
}

#[cfg(unix)]
fn assert_same(who: &str, expected: &[Line], found: &[Line]) {
    let differences = listing::diff(expected, found);
    assert!(differences.is_empty(), "{who}:\n{}", differences.join("\n"));
}

/// The judges run on Linux.
#[cfg(unix)]
impl Image {
    /// All judges must find the tree, and nothing else.
    pub(crate) fn check(&self, tree: &Tree) -> &Image {
        self.read(tree).fsck(tree);
        self
    }

    /// The same without `fsck.erofs`, which makes every file.
    pub(crate) fn read(&self, tree: &Tree) -> &Image {
        let expected = lines(tree);
        let file = File::open(&self.path).unwrap();
        let found = testkit::erofs::list(&file).unwrap_or_else(|error| {
            if std::env::var_os("KEEP").is_some() {
                fs::copy(&self.path, "/tmp/kept.erofs").unwrap();
            }
            panic!("{error}\n{}", self.layout.dump(tree))
        });
        assert_same("reader", &expected, &found);
        if let Some(mount) = self.mount() {
            assert_same("kernel", &expected, &listing::list(mount.root()).unwrap());
        }
        self
    }

    /// `fsck.erofs` must be content, and extract what is expected, as far as Debian 12's can: it reads blocks of 4096
    /// bytes only, forgets holes, hard links and attributes, and gives a file away after it has made it setuid.
    fn fsck(&self, tree: &Tree) {
        if self.layout.block_size() != BlockSize::B4096.bytes() {
            return;
        }
        let is_root = testkit::tools::is_root();
        let extracted = self.directory.path().join("extracted");
        let mut fsck = command("fsck.erofs");
        fsck.arg(format!("--extract={}", extracted.display()));
        fsck.arg(if is_root { "--preserve" } else { "--no-preserve" });
        run(fsck.arg(&self.path)).unwrap();
        let holes = with_holes(tree);
        let kept = |line: &Line| {
            let mut line = Line { links: 1, same_as: None, xattrs: BTreeMap::new(), ..line.clone() };
            if is_root {
                line.mode &= 0o1777;
            } else {
                (line.mode, line.uid, line.gid, line.mtime) = (0, 0, 0, (0, 0));
            }
            if matches!(line.kind, Type::Symlink { .. }) {
                // Linux gives a link no mode.
                line.mode = 0;
            }
            if holes.contains(&line.path) {
                line.kind = Type::File { size: 0, sha256: String::new() };
            }
            // Not every filesystem to extract to has these.
            if !(0..1 << 33).contains(&line.mtime.0) {
                line.mtime = (0, 0);
            }
            line
        };
        let kept_of = |lines: &[Line]| lines.iter().map(kept).collect::<Vec<_>>();
        assert_same("fsck.erofs", &kept_of(&lines(tree)), &kept_of(&listing::list(&extracted).unwrap()));
        fs::remove_dir_all(extracted).unwrap();
    }

    /// Mounts it; `None` if this process may not, which is an error where `CI` is set.
    pub(crate) fn mount(&self) -> Option<testkit::judge::Mount> {
        mounted(&self.path)
    }
}

/// Mounts a filesystem in a file; `None` if this process may not, which is an error where `CI` is set.
#[cfg(unix)]
pub(crate) fn mounted(path: &std::path::Path) -> Option<testkit::judge::Mount> {
    if !testkit::tools::is_root() {
        assert!(std::env::var_os("CI").is_none(), "only root can mount");
        eprintln!("SKIPPED: only root can mount");
        return None;
    }
    // A module of the kernel, where it is not built in; mount(8) cannot find it by a file without a device.
    let _ = run(std::process::Command::new("modprobe").arg("erofs"));
    if !fs::read_to_string("/proc/filesystems").unwrap().contains("\terofs\n") {
        eprintln!("SKIPPED: this kernel has no EROFS");
        return None;
    }
    Some(testkit::judge::Mount::new(path, "ro").unwrap())
}

pub(crate) fn one(metadata: tree::Metadata, kind: Kind) -> Tree {
    Builder::new().put("some/file\n", metadata, kind).tree()
}

pub(crate) fn sizes() -> [BlockSize; 4] {
    [BlockSize::B4096, BlockSize::B2048, BlockSize::B1024, BlockSize::B512]
}

/// Options for kernels that read all that is written.
pub(crate) fn newest(block_size: BlockSize) -> Options {
    Options { block_size, min_kernel: "6.18".parse().unwrap(), ..Options::default() }
}

/// Options by which contents are compressed, for the oldest kernel that reads that, or a newer one.
pub(crate) fn compressed(algorithm: &str, cluster: u64, min_kernel: &str) -> Options {
    let algorithm: Algorithm = algorithm.parse().unwrap();
    let compression = Some(Compression { algorithm, cluster: ClusterSize::new(cluster).unwrap() });
    Options { compression, min_kernel: min_kernel.parse().unwrap(), ..Options::default() }
}

/// The names of files with holes.
fn with_holes(tree: &Tree) -> BTreeSet<Vec<u8>> {
    let mut found = BTreeSet::new();
    let mut walk = tree.walk();
    while let Some(visit) = walk.step() {
        if matches!(tree.node(visit.node).kind, Kind::File(Content::Pieces { .. })) {
            found.insert(visit.path.to_vec());
        }
    }
    found
}
