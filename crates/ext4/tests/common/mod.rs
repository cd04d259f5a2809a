//! Trees to build from code, and the tools that judge what comes out.
#![allow(dead_code, reason = "each test file uses some of it")]

pub(crate) mod contents;
pub(crate) mod kernel;
pub(crate) mod view;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path as HostPath, PathBuf};
use std::process::{Command, Output as Ran};

pub(crate) use contents::{bytes_in, bytes_of};
use tree::{
    Action, Change, Content, DEPTH_MAX, Device, Directory, Kind, Metadata, Notes, Output, Path, Piece, Span,
    Time, Tree,
};
use unlade_ext4::{Layout, Options};

/// Puts nodes into a tree, and gives files places in one layer's content space.
pub(crate) struct Builder {
    changes: Vec<Change>,
    next: u64,
}

pub(crate) fn meta(mode: u16) -> Metadata {
    let mtime = Time { seconds: 1_700_000_000, nanoseconds: 123_456_789 };
    Metadata { mode, uid: 0, gid: 0, mtime, xattrs: None }
}

pub(crate) fn with_xattrs(mut metadata: Metadata, xattrs: &[(&str, &[u8])]) -> Metadata {
    let map: BTreeMap<Box<[u8]>, Box<[u8]>> =
        xattrs.iter().map(|(name, value)| (name.as_bytes().into(), (*value).into())).collect();
    metadata.xattrs = Some(Box::new(map));
    metadata
}

impl Builder {
    pub(crate) fn new() -> Builder {
        Builder { changes: Vec::new(), next: 0 }
    }

    pub(crate) fn put(&mut self, path: impl AsRef<[u8]>, metadata: Metadata, kind: Kind) -> &mut Builder {
        let path = Path::parse(path.as_ref(), DEPTH_MAX).unwrap();
        let entry = self.changes.len() as u64;
        self.changes.push(Change { entry, path, action: Action::Put(metadata, kind) });
        self
    }

    pub(crate) fn dir(&mut self, path: impl AsRef<[u8]>) -> &mut Builder {
        self.put(path, meta(0o755), Kind::Directory(Directory::new()))
    }

    pub(crate) fn span(&mut self, length: u64) -> Span {
        let span = Span { layer: 0, offset: self.next, length };
        self.next += length.next_multiple_of(4096);
        span
    }

    pub(crate) fn file(&mut self, path: impl AsRef<[u8]>, size: u64) -> &mut Builder {
        let content = if size == 0 { Content::Empty } else { Content::Whole(self.span(size)) };
        self.put(path, meta(0o644), Kind::File(content))
    }

    /// A file of `size` bytes with data at each of `(at, length)`.
    pub(crate) fn sparse(
        &mut self,
        path: impl AsRef<[u8]>,
        size: u64,
        pieces: &[(u64, u64)],
    ) -> &mut Builder {
        let pieces = pieces.iter().map(|&(at, length)| Piece { at, span: self.span(length) }).collect();
        self.put(path, meta(0o644), Kind::File(Content::Pieces { size, declared: true, pieces }))
    }

    pub(crate) fn inline(&mut self, path: impl AsRef<[u8]>, bytes: &[u8]) -> &mut Builder {
        self.put(path, meta(0o600), Kind::File(Content::Inline(bytes.into())))
    }

    pub(crate) fn symlink(&mut self, path: impl AsRef<[u8]>, text: impl AsRef<[u8]>) -> &mut Builder {
        self.put(path, meta(0o777), Kind::Symlink(text.as_ref().into()))
    }

    pub(crate) fn link(&mut self, path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> &mut Builder {
        let path = Path::parse(path.as_ref(), DEPTH_MAX).unwrap();
        let target = Path::parse(target.as_ref(), DEPTH_MAX).unwrap();
        let entry = self.changes.len() as u64;
        self.changes.push(Change { entry, path, action: Action::Link { target, metadata: meta(0o644) } });
        self
    }

    pub(crate) fn tree(&mut self) -> Tree {
        let mut tree = Tree::default();
        tree.apply(0, std::mem::take(&mut self.changes), &mut Notes::default()).unwrap();
        tree
    }
}

/// A sparse file, which notes what was put and checks that nothing is put twice.
pub(crate) struct Disk {
    pub(crate) file: File,
    pub(crate) runs: Vec<(u64, u64)>,
    pub(crate) writes: usize,
    pub(crate) copies: usize,
}

impl Output for Disk {
    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.writes += 1;
        self.runs.push((offset, bytes.len() as u64));
        self.file.write_all_at(bytes, offset)
    }

    fn copy(&mut self, offset: u64, span: Span) -> io::Result<()> {
        self.copies += 1;
        self.runs.push((offset, span.length));
        self.file.write_all_at(&bytes_of(span), offset)
    }
}

/// A filesystem in a temporary file.
pub(crate) struct Image {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) path: PathBuf,
    pub(crate) layout: Layout,
    pub(crate) writes: usize,
    pub(crate) copies: usize,
}

pub(crate) fn build(tree: &Tree, options: &Options) -> Image {
    let layout = unlade_ext4::plan(tree, options).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rootfs.ext4");
    let file = File::options().create_new(true).read(true).write(true).open(&path).unwrap();
    file.set_len(layout.size()).unwrap();
    let mut disk = Disk { file, runs: Vec::new(), writes: 0, copies: 0 };
    layout.write(tree, &mut disk).unwrap();
    disk.runs.sort_unstable();
    for pair in disk.runs.windows(2) {
        assert!(pair[0].0 + pair[0].1 <= pair[1].0, "put twice: {pair:?}");
    }
    assert!(disk.runs.last().is_none_or(|run| run.0 + run.1 <= layout.size()), "put behind the end");
    Image { directory, path, layout, writes: disk.writes, copies: disk.copies }
}

/// Runs a program; `None` if the machine lacks it, which is an error where `CI` is set.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Option<Ran> {
    let found = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(|dir| HostPath::new(dir).join(program));
    let Some(program) = found.iter().find(|path| path.exists()) else {
        assert!(std::env::var_os("CI").is_none(), "{program} is missing");
        eprintln!("SKIPPED: {program} is missing");
        return None;
    };
    Some(Command::new(program).args(arguments).env("LC_ALL", "C").output().unwrap())
}

pub(crate) fn text(ran: &Ran) -> String {
    format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr))
}

impl Image {
    pub(crate) fn name(&self) -> &str {
        self.path.to_str().unwrap()
    }

    /// `e2fsck` must find nothing to say.
    pub(crate) fn check(&self) -> &Image {
        if let Some(ran) = run("e2fsck", &["-fn", self.name()]) {
            let text = text(&ran);
            // The version, five passes, and a summary of one line.
            let clean = ran.status.code() == Some(0)
                && text.lines().all(|line| {
                    line.starts_with("e2fsck ") || line.starts_with("Pass ") || line.contains(" files (")
                });
            if !clean && std::env::var_os("KEEP").is_some() {
                std::fs::copy(&self.path, "/tmp/kept.ext4").unwrap();
            }
            assert!(clean, "{:?}\n{text}", ran.status);
        }
        self
    }

    /// The same once a kernel has written: with a journal to replay or not, nothing is wrong.
    pub(crate) fn check_after_use(&self) -> &Image {
        if let Some(ran) = run("e2fsck", &["-fn", self.name()]) {
            assert_eq!(ran.status.code(), Some(0), "{}", text(&ran));
        }
        self
    }

    pub(crate) fn debugfs(&self, command: &str) -> String {
        run("debugfs", &["-R", command, self.name()]).map_or(String::new(), |ran| text(&ran))
    }
}

pub(crate) fn device(major: u32, minor: u32) -> Device {
    Device { major, minor }
}
