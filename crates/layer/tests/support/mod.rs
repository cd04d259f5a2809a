//! Tarballs made by code, and changes shown as text.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use std::io::{self, BufRead, Read};

use tree::{Action, Content, Device, Kind, Metadata, Time};
use unlade_layer::{Error, Layer, ReadOptions, read};

/// A tarball that is being made.
#[derive(Debug, Clone, Default)]
pub struct Tarball(pub Vec<u8>);

/// A header that is being made: good until somebody spoils it.
#[derive(Debug, Clone)]
pub struct Header(pub [u8; 512]);

/// A plain ustar header: mode 0644, everything else 0.
pub fn header(name: &[u8], typeflag: u8) -> Header {
    let mut header = Header([0; 512]);
    header.0[..name.len()].copy_from_slice(name);
    header.0[156] = typeflag;
    header.0[257..265].copy_from_slice(b"ustar\x0000");
    header.mode(b"0000644\0").size(0)
}

impl Header {
    pub fn set(mut self, at: usize, bytes: &[u8]) -> Header {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }
    pub fn mode(self, bytes: &[u8]) -> Header {
        self.set(100, bytes)
    }
    pub fn uid(self, bytes: &[u8]) -> Header {
        self.set(108, bytes)
    }
    pub fn gid(self, bytes: &[u8]) -> Header {
        self.set(116, bytes)
    }
    pub fn size(self, size: u64) -> Header {
        self.set(124, format!("{size:011o}\0").as_bytes())
    }
    pub fn mtime(self, bytes: &[u8]) -> Header {
        self.set(136, bytes)
    }
    pub fn link(self, target: &[u8]) -> Header {
        self.set(157, target)
    }
    pub fn device(self, major: u32, minor: u32) -> Header {
        self.set(329, format!("{major:07o}\0{minor:07o}\0").as_bytes())
    }
    pub fn gnu(self) -> Header {
        self.set(257, b"ustar  \0")
    }
    pub fn v7(self) -> Header {
        self.set(257, &[0; 8])
    }
    fn summed(self, signed: bool) -> [u8; 512] {
        let mut block = self.set(148, b"        ").0;
        let unsigned_sum: i64 = block.iter().map(|&b| i64::from(b)).sum();
        let signed_sum: i64 = block.iter().map(|&b| i64::from(b as i8)).sum();
        let sum = if signed { signed_sum } else { unsigned_sum };
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block
    }
}

/// One pax record.
pub fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut length = 0;
    loop {
        let record = [length.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat();
        if record.len() == length {
            return record;
        }
        length = record.len();
    }
}

impl Tarball {
    pub fn new() -> Tarball {
        Tarball::default()
    }
    /// Header and content, padded; the size field is left as it is.
    pub fn raw(mut self, header: Header, content: &[u8]) -> Tarball {
        self.0.extend(header.summed(false));
        self.bytes(content)
    }
    pub fn signed(mut self, header: Header) -> Tarball {
        self.0.extend(header.summed(true));
        self
    }
    pub fn bytes(mut self, content: &[u8]) -> Tarball {
        self.0.extend(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }
    pub fn sized(self, header: Header, content: &[u8]) -> Tarball {
        self.raw(header.size(content.len() as u64), content)
    }
    pub fn file(self, name: &str, content: &[u8]) -> Tarball {
        self.sized(header(name.as_bytes(), b'0'), content)
    }
    pub fn dir(self, name: &str) -> Tarball {
        self.raw(header(name.as_bytes(), b'5').mode(b"0000755\0"), b"")
    }
    pub fn symlink(self, name: &str, text: &str) -> Tarball {
        self.raw(header(name.as_bytes(), b'2').link(text.as_bytes()), b"")
    }
    pub fn hardlink(self, name: &str, target: &str) -> Tarball {
        self.raw(header(name.as_bytes(), b'1').link(target.as_bytes()), b"")
    }
    pub fn pax(self, records: &[(&str, &[u8])]) -> Tarball {
        let records =
            records.iter().map(|(key, value)| record(key.as_bytes(), value)).collect::<Vec<_>>().concat();
        self.sized(header(b"PaxHeaders/x", b'x'), &records)
    }
    pub fn global(self, records: &[(&str, &[u8])]) -> Tarball {
        let records =
            records.iter().map(|(key, value)| record(key.as_bytes(), value)).collect::<Vec<_>>().concat();
        self.sized(header(b"pax_global_header", b'g'), &records)
    }
    pub fn long_name(self, name: &[u8]) -> Tarball {
        self.sized(header(b"././@LongLink", b'L').gnu(), &[name, b"\0"].concat())
    }
    pub fn long_link(self, name: &[u8]) -> Tarball {
        self.sized(header(b"././@LongLink", b'K').gnu(), &[name, b"\0"].concat())
    }
    /// The end marker.
    pub fn end(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }
}

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
