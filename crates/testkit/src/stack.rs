//! Random stacks of layers, over few names so that the entries of one meet those of another.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::image::{Header, Tar};

mod features;

pub use features::{FEATURES, features};

/// Layers from the bottom up, each with its entries in order.
pub type Stack = Vec<Vec<Entry>>;

/// An entry of a layer's tarball.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is about, components joined by `/`; for [`What::Clear`] the directory, empty for the root.
    pub name: Vec<u8>,
    /// How the name is spelled.
    pub spelling: Spelling,
    /// What it says.
    pub what: What,
    /// All but the type and what belongs to it.
    pub metadata: Metadata,
}

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum What {
    Directory,
    File(Vec<u8>),
    /// A file of blocks of 4 KiB, of which some are holes.
    Sparse(Vec<bool>),
    Symlink(Vec<u8>),
    /// A hard link.
    Link(Vec<u8>),
    Fifo,
    Device {
        typeflag: u8,
        number: (u32, u32),
    },
    /// A whiteout, written with this type flag.
    Remove(u8),
    /// An opaque marker.
    Clear,
}

/// Names that mean the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Spelling {
    Plain,
    Dotted,
    Absolute,
    Doubled,
}

/// Mode, owner, time, attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Metadata {
    pub mode: u32,
    pub owner: (u32, u32),
    pub mtime: (i64, u32),
    pub xattrs: Vec<(&'static str, Vec<u8>)>,
}

/// What an entry has of which nothing is said.
pub const PLAIN: Metadata =
    Metadata { mode: 0o644, owner: (0, 0), mtime: (1_000_000, 0), xattrs: Vec::new() };

impl Entry {
    /// Whether it takes something away from the layers below.
    pub fn removes(&self) -> bool {
        matches!(self.what, What::Remove(_) | What::Clear)
    }
}

/// One to four layers of up to fifteen entries, a quarter of them upon a merged `/usr`.
pub fn stacks() -> impl Strategy<Value = Stack> {
    // Layers that link are told from those that do not, since the two have other rules for metadata.
    let stack = prop_oneof![vec(vec(entry(false), 0..15), 1..=4), vec(vec(entry(true), 0..15), 1..=4)];
    let merged =
        prop_oneof![3 => Just(None), 1 => select(vec!["usr/bin", "/usr/bin", "./usr/bin"]).prop_map(Some)];
    (merged, stack).prop_map(|(merged, mut stack): (_, Stack)| {
        if let Some(text) = merged {
            let entry = |name: &str, what| Entry {
                name: name.into(),
                spelling: Spelling::Plain,
                what,
                metadata: PLAIN,
            };
            let usr = [
                entry("usr", What::Directory),
                entry("usr/bin", What::Directory),
                entry("bin", What::Symlink(text.into())),
            ];
            stack[0].splice(0..0, usr);
        }
        stack
    })
}

/// The tarball of a layer.
pub fn tarball(layer: &[Entry]) -> Vec<u8> {
    layer.iter().fold(Tar::default(), write).finish()
}

fn write(tar: Tar, entry: &Entry) -> Tar {
    let Metadata { mode, owner, mtime, xattrs } = &entry.metadata;
    let name = spelled(entry);
    let mut records = Vec::new();
    let mut sparse = Vec::new();
    if let What::Sparse(blocks) = &entry.what {
        sparse = mapped(blocks);
        let size = (blocks.len() * BLOCK).to_string();
        record(&mut records, b"GNU.sparse.major", b"1");
        record(&mut records, b"GNU.sparse.minor", b"0");
        record(&mut records, b"GNU.sparse.name", &name);
        record(&mut records, b"GNU.sparse.realsize", size.as_bytes());
    }
    let (typeflag, link, content, device): (u8, &[u8], &[u8], _) = match &entry.what {
        What::Directory => (b'5', b"", b"", (0, 0)),
        What::File(content) => (b'0', b"", content, (0, 0)),
        What::Sparse(_) => (b'0', b"", &sparse, (0, 0)),
        What::Symlink(text) => (b'2', text, b"", (0, 0)),
        What::Link(target) => (b'1', target, b"", (0, 0)),
        What::Fifo => (b'6', b"", b"", (0, 0)),
        What::Device { typeflag, number } => (*typeflag, b"", b"", *number),
        What::Remove(typeflag) => (*typeflag, b"x", b"", (0, 0)),
        What::Clear => (b'0', b"", b"", (0, 0)),
    };
    if name.len() > 100 {
        record(&mut records, b"path", &name);
    }
    if link.len() > 100 {
        record(&mut records, b"linkpath", link);
    }
    if mtime.0 < 0 || mtime.1 != 0 {
        record(&mut records, b"mtime", decimal(*mtime).as_bytes());
    }
    for (key, value) in xattrs {
        record(&mut records, format!("SCHILY.xattr.{key}").as_bytes(), value);
    }
    let tar = match records.is_empty() {
        true => tar,
        false => tar.entry(&Header { name: b"PaxHeaders/x", typeflag: b'x', ..Header::default() }, &records),
    };
    let header = Header {
        name: &name[..name.len().min(100)],
        typeflag,
        mode: *mode,
        owner: *owner,
        mtime: u64::try_from(mtime.0).unwrap_or_default(),
        link: &link[..link.len().min(100)],
        device,
    };
    tar.entry(&header, content)
}

/// Bytes of a block of a sparse file.
const BLOCK: usize = 4096;

/// A sparse file as GNU tar's format 1.0 stores it: the map in decimal, filled up to whole blocks of the archive, then
/// the data.
fn mapped(blocks: &[bool]) -> Vec<u8> {
    let mut pairs = Vec::new();
    let mut at = 0;
    for run in blocks.chunk_by(|one, next| one == next) {
        if run[0] {
            pairs.push((at, run.len() * BLOCK));
        }
        at += run.len() * BLOCK;
    }
    // A hole at the end is said by an empty run.
    pairs.push((at, 0));
    let numbers = pairs.iter().map(|(offset, length)| format!("{offset}\n{length}\n"));
    let mut stored = format!("{}\n{}", pairs.len(), numbers.collect::<String>()).into_bytes();
    stored.resize(stored.len().next_multiple_of(512), 0);
    let data = blocks.iter().enumerate().filter(|(_, is_data)| **is_data);
    data.for_each(|(number, _)| stored.resize(stored.len() + BLOCK, b'a' + number as u8));
    stored
}

fn spelled(entry: &Entry) -> Vec<u8> {
    let (parent, last) = match entry.name.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => entry.name.split_at(slash + 1),
        None => (&b""[..], &entry.name[..]),
    };
    let plain = match &entry.what {
        What::Remove(_) => [parent, b".wh.", last].concat(),
        What::Clear if entry.name.is_empty() => b".wh..wh..opq".to_vec(),
        What::Clear => [&entry.name[..], b"/.wh..wh..opq"].concat(),
        What::Directory => [&entry.name[..], b"/"].concat(),
        _ => entry.name.clone(),
    };
    match entry.spelling {
        _ if plain == b"/" => b"./".to_vec(),
        Spelling::Plain => plain,
        Spelling::Dotted => [b"./", &plain[..]].concat(),
        Spelling::Absolute => [b"/", &plain[..]].concat(),
        Spelling::Doubled => plain.split_inclusive(|&byte| byte == b'/').collect::<Vec<_>>().join(&b"./"[..]),
    }
}

/// Appends a pax record, whose length counts itself.
fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest;
    while length.to_string().len() + rest != length {
        length = length.to_string().len() + rest;
    }
    for part in [length.to_string().as_bytes(), b" ", key, b"=", value, b"\n"] {
        records.extend_from_slice(part);
    }
}

/// Seconds as pax writes them, where the fraction counts away from zero.
fn decimal((seconds, nanoseconds): (i64, u32)) -> String {
    if seconds < 0 && nanoseconds > 0 {
        return format!("-{}.{:09}", -(seconds + 1), 1_000_000_000 - nanoseconds);
    }
    format!("{seconds}.{nanoseconds:09}")
}

fn entry(links: bool) -> impl Strategy<Value = Entry> {
    let spelling = select(vec![
        Spelling::Plain,
        Spelling::Plain,
        Spelling::Dotted,
        Spelling::Absolute,
        Spelling::Doubled,
    ]);
    let what = (what(links), name());
    (what, spelling, metadata()).prop_map(move |((what, name), spelling, metadata)| {
        // The root can only be a directory, and only be emptied.
        let what = match what {
            What::Clear | What::Directory => what,
            _ if name.is_empty() => What::Directory,
            other => other,
        };
        let metadata = settle(&what, metadata, links);
        Entry { name, spelling, what, metadata }
    })
}

/// Makes of any metadata what the entry can have.
fn settle(what: &What, mut metadata: Metadata, links: bool) -> Metadata {
    match what {
        // Below a directory with setgid the kernel makes others of a group and mode that no layer speaks of.
        What::Directory => metadata.mode &= !0o2000,
        // Linux gives user attributes to files and directories alone, and nothing to nodes.
        _ if links => return PLAIN,
        What::File(_) | What::Sparse(_) => {}
        _ => metadata.xattrs.retain(|(name, _)| name.starts_with("trusted.")),
    }
    metadata.xattrs.sort_unstable();
    metadata.xattrs.dedup_by_key(|(name, _)| *name);
    metadata
}

fn what(links: bool) -> impl Strategy<Value = What> {
    let target = (select(vec!["", "", "./", "/"]), vec(component(), 1..=3))
        .prop_map(|(start, names)| What::Link([start.as_bytes(), &names.join(&b'/')].concat()));
    let link = if links { target.boxed() } else { Just(What::Directory).boxed() };
    prop_oneof![
        6 => Just(What::Directory),
        6 => vec(any::<u8>(), 0..40).prop_map(What::File),
        1 => vec(any::<bool>(), 1..12).prop_map(What::Sparse),
        4 => text().prop_map(What::Symlink),
        4 => link,
        2 => Just(What::Fifo),
        2 => (select(vec![b'3', b'4']), 0..300u32, 0..70_000u32)
            .prop_map(|(typeflag, major, minor)| What::Device { typeflag, number: (major, minor) }),
        4 => select(vec![b'0', b'0', b'0', b'1', b'2', b'5', b'6']).prop_map(What::Remove),
        2 => Just(What::Clear),
    ]
}

fn component() -> impl Strategy<Value = Vec<u8>> {
    let odd: Vec<Vec<u8>> = vec![
        b"\xff\xfe".to_vec(),
        b"n\nl \\t\x1b[31m".to_vec(),
        b"-rf".to_vec(),
        b"...".to_vec(),
        b"A".to_vec(),
        "\u{fc}".into(),
        "u\u{308}".into(),
        vec![b'x'; 251],
        b"x.wh.a".to_vec(),
    ];
    let usual: Vec<Vec<u8>> = ["a", "a", "b", "b", "c", "d", "usr", "bin"].map(Into::into).to_vec();
    prop_oneof![20 => select(usual), 1 => select(odd)]
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        1 => Just(Vec::new()),
        40 => vec(component(), 1..=3).prop_map(|components| components.join(&b'/')),
        1 => vec(component(), 10..40).prop_map(|components| components.join(&b'/')),
    ]
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    let step = prop_oneof![
        8 => component(),
        2 => Just(b"..".to_vec()),
        1 => Just(b".".to_vec()),
        1 => Just(b"nowhere".to_vec()),
    ];
    let start = select(vec!["", "", "", "/", "../", "//", "./"]);
    (start, vec(step, 1..=3)).prop_map(|(start, steps)| [start.as_bytes(), &steps.join(&b'/')].concat())
}

fn metadata() -> impl Strategy<Value = Metadata> {
    let names = vec!["user.one", "user.two", "trusted.three", "user.odd = name"];
    // Go takes an empty value for none.
    let xattrs = vec((select(names), vec(any::<u8>(), 1..12)), 0..3);
    let mode =
        prop_oneof![select(vec![0o755, 0o644, 0o700, 0o1777, 0o4711, 0o2755, 0, 0o555]), 0..0o10000u32];
    let owner = prop_oneof![Just((0, 0)), (0..70_000u32, 0..70_000u32), Just((2_000_000, 2_000_000))];
    // Not after 2020, so that what is younger was made while the test ran.
    let seconds = prop_oneof![Just(0), Just(1), 0..1_577_836_800i64, -2_000_000_000..0i64];
    let nanoseconds = prop_oneof![3 => Just(0), 1 => 0..1_000_000_000u32];
    (mode, owner, (seconds, nanoseconds), prop_oneof![3 => Just(Vec::new()), 1 => xattrs])
        .prop_map(|(mode, owner, mtime, xattrs)| Metadata { mode, owner, mtime, xattrs })
}
