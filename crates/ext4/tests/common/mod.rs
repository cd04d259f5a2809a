//! Filesystems in files, and the tools that judge them.
#![allow(dead_code, unused_imports, reason = "each test file uses some of it")]

pub(crate) mod builder;
pub(crate) mod contents;
pub(crate) mod inodes;
#[cfg(unix)]
pub(crate) mod kernel;
pub(crate) mod view;

use std::fs::File;
use std::io;
use std::path::{Path as HostPath, PathBuf};
use std::process::{Command, Output as Ran};

pub(crate) use builder::{Builder, device, meta, with_xattrs};
pub(crate) use contents::{bytes_in, bytes_of};
use host::FileExt;
use tree::{Input, Output, Span, Tree};
use unlade_ext4::{Filesystem, Layout, Options, ReadError};

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

/// A file to read from.
struct Bytes(File);

impl Input for Bytes {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }
}

/// What the reader says of a filesystem in a file.
pub(crate) fn dump(path: &HostPath) -> Result<String, ReadError> {
    let bytes = Bytes(File::open(path).unwrap());
    let mut text = Vec::new();
    Filesystem::open(&bytes)?.dump(&mut text)?;
    Ok(String::from_utf8(text).unwrap())
}

/// Runs a program; `None` if the machine lacks it, which is an error where `CI` is set, and on hosts that never have it.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Option<Ran> {
    if cfg!(windows) {
        return None;
    }
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

    /// What the reader says of it.
    pub(crate) fn dump(&self) -> Result<String, ReadError> {
        dump(&self.path)
    }

    pub(crate) fn debugfs(&self, command: &str) -> String {
        run("debugfs", &["-R", command, self.name()]).map_or(String::new(), |ran| text(&ran))
    }
}
