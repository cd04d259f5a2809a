//! Changes shown as text.
#![allow(dead_code, unused_imports, unreachable_pub, reason = "each test file uses a part")]

use std::io::{self, BufRead, Read};

use tree::{Action, Content, Device, Kind, Metadata, Output, Span, Time};
use unlade_layer::{Error, Layer, ReadOptions, read};

pub use testkit::tarball::{Header, Tarball, header, record};

/// Gives at most so many bytes at once.
pub struct Dribble<'a>(pub &'a [u8], pub usize);

impl BufRead for Dribble<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(&self.0[..self.0.len().min(self.1)])
    }
    fn consume(&mut self, amount: usize) {
        self.0 = &self.0[amount..];
    }
}

impl Read for Dribble<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.len().min(into.len());
        into[..length].copy_from_slice(&self.0[..length]);
        self.consume(length);
        Ok(length)
    }
}

/// An output in memory that insists on being written from front to back.
pub struct Memory<'a> {
    pub space: &'a [u8],
    pub bytes: Vec<u8>,
}

impl Output for Memory<'_> {
    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        assert_eq!(offset, self.bytes.len() as u64);
        self.bytes.extend(bytes);
        Ok(())
    }
    fn copy(&mut self, offset: u64, span: Span) -> io::Result<()> {
        let start = span.offset as usize;
        self.write(offset, &self.space[start..start + span.length as usize])
    }
}

/// Reads a layer from memory; gives the content space with it.
pub fn read_with(tarball: &[u8], options: &ReadOptions) -> Result<(Layer, Vec<u8>), Error> {
    let mut contents = Vec::new();
    let layer = read(3, tarball, &mut contents, options)?;
    assert_eq!(layer.content_length, contents.len() as u64);
    assert_eq!(layer.tarball_length, tarball.len() as u64);
    assert_eq!(contents.len() % 4096, 0);
    Ok((layer, contents))
}

/// A layer as text: one change a line, then the notes.
pub fn shown(layer: &Layer) -> String {
    let mut lines: Vec<String> =
        layer.changes.iter().map(|change| format!("{} {}", change.path, action(&change.action))).collect();
    lines.extend(layer.notes.counts().map(|(remark, count)| format!("{remark:?} {count}")));
    lines.join("\n")
}

fn action(action: &Action) -> String {
    match action {
        Action::Put(metadata, kind) => format!("{}{}", self::kind(kind), self::metadata(metadata)),
        Action::Link { target, metadata } => format!("= {target}{}", self::metadata(metadata)),
        Action::Remove => "remove".into(),
        Action::Clear => "clear".into(),
    }
}

fn kind(kind: &Kind) -> String {
    let device = |letter: char, Device { major, minor }: &Device| format!("{letter} {major},{minor}");
    match kind {
        Kind::Directory(_) => "dir".into(),
        Kind::File(Content::Pieces { size, declared, pieces }) => {
            let runs: Vec<_> = pieces.iter().map(|p| format!("{}+{}", p.at, p.span.length)).collect();
            format!("file {size} {}[{}]", if *declared { "declared" } else { "found" }, runs.join(" "))
        }
        Kind::File(content) => format!("file {}", content.size()),
        Kind::Symlink(text) => format!("-> {}", tree::escape(text)),
        Kind::CharDevice(number) => device('c', number),
        Kind::BlockDevice(number) => device('b', number),
        Kind::Fifo => "fifo".into(),
        Kind::Socket => "socket".into(),
    }
}

fn metadata(metadata: &Metadata) -> String {
    let mut text = String::new();
    if !matches!(metadata.mode, 0o644 | 0o755) {
        text += &format!(" {:04o}", metadata.mode);
    }
    if (metadata.uid, metadata.gid) != (0, 0) {
        text += &format!(" {}:{}", metadata.uid, metadata.gid);
    }
    match metadata.mtime {
        Time { seconds: 0, nanoseconds: 0 } => {}
        Time { seconds, nanoseconds: 0 } => text += &format!(" @{seconds}"),
        Time { seconds, nanoseconds } => text += &format!(" @{seconds}+{nanoseconds}ns"),
    }
    for (name, value) in metadata.xattrs() {
        text += &format!(" {}={}", tree::escape(name), tree::escape(value));
    }
    text
}

/// Kind and text of an error.
pub fn failure(error: &Error) -> String {
    let kind = match error {
        Error::Io { .. } => "io",
        Error::Invalid { .. } => "invalid",
        Error::Unsupported { .. } => "unsupported",
        Error::Corrupt { .. } => "corrupt",
        Error::Limit { .. } => "limit",
    };
    format!("{kind}: {error}")
}

/// The table's check: the layer as text, or the error as text, is `expected`; cut into pieces of any size the
/// tarball gives the same.
#[track_caller]
pub fn check_with(line: &str, tarball: &[u8], options: &ReadOptions, expected: &str) {
    let result = read_with(tarball, options);
    let text = match &result {
        Ok((layer, _)) => shown(layer),
        Err(error) => failure(error),
    };
    assert_eq!(text, expected, "line {line}");
    for size in [1, 511, 4097] {
        let mut contents = Vec::new();
        match (&result, read(3, Dribble(tarball, size), &mut contents, options)) {
            (Ok((whole, bytes)), Ok(pieces)) => {
                assert_eq!((&whole.changes, bytes), (&pieces.changes, &contents), "line {line} by {size}");
            }
            (Err(whole), Err(pieces)) => {
                assert_eq!(failure(whole), failure(&pieces), "line {line} by {size}")
            }
            (whole, pieces) => assert_eq!(whole.is_ok(), pieces.is_ok(), "line {line} by {size}"),
        }
    }
}

#[track_caller]
pub fn check(line: &str, tarball: &[u8], expected: &str) {
    check_with(line, tarball, &ReadOptions::default(), expected);
}
