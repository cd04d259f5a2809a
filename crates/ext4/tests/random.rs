//! Random trees: `e2fsck` has nothing to say, and an independent reader finds all that was put in.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a test may fail, say why it did not run, and touch the machine"
)]

mod common;

use std::fs::File;

use common::view::compare;
use common::{Builder, build, device};
use ext4_view::Ext4;
use host::FileExt;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use tree::{Content, Kind, Metadata, Piece, Time, Tree};
use unlade_ext4::{BlockSize, Headroom, Inodes, Label, Options, Profile, Size};

#[derive(Debug, Clone)]
enum What {
    File(u64),
    Pieces(Vec<(u8, u16)>, u16),
    Inline(Vec<u8>),
    Symlink(Vec<u8>),
    Char(u32, u32),
    Fifo,
    Socket,
    Directory,
    Link,
}

fn what() -> impl Strategy<Value = What> {
    prop_oneof![
        4 => prop_oneof![0..100u64, 0..20_000u64, Just(4096u64), 1_000_000..3_000_000u64].prop_map(What::File),
        2 => (vec((1..20u8, 1..9000u16), 0..12), any::<u16>()).prop_map(|(p, t)| What::Pieces(p, t)),
        1 => vec(any::<u8>(), 0..5000).prop_map(What::Inline),
        2 => vec(1..=255u8, 1..1000).prop_map(What::Symlink),
        1 => (0..4096u32, 0..(1u32 << 20)).prop_map(|(major, minor)| What::Char(major, minor)),
        1 => Just(What::Fifo),
        1 => Just(What::Socket),
        1 => Just(What::Directory),
        1 => Just(What::Link),
    ]
}

fn metadata() -> impl Strategy<Value = Metadata> {
    let name = prop_oneof![
        "user\\.[a-z]{1,60}",
        "trusted\\.[a-z.]{1,247}",
        Just("security.capability".to_owned()),
        Just("security.selinux".to_owned()),
        Just("unknown.name".to_owned()),
    ];
    let xattrs = btree_map(name, prop_oneof![vec(any::<u8>(), 0..60), vec(any::<u8>(), 0..3000)], 0..6);
    let xattrs = prop_oneof![5 => Just(Default::default()), 1 => xattrs];
    // The reader refuses times whose lower word is negative: 1901 to 1969, 2038 to 2106, and so on.
    let seconds = prop_oneof![
        Just(0i64),
        (0..3i64, 0..1i64 << 31).prop_map(|(epoch, seconds)| (epoch << 32) + seconds),
        (3i64 << 32)..,
    ];
    (0..0o10000u16, any::<u32>(), any::<u32>(), seconds, 0..1_000_000_000u32, xattrs).prop_map(
        |(mode, uid, gid, seconds, nanoseconds, xattrs)| {
            let xattrs: tree::Xattrs =
                xattrs.into_iter().map(|(name, value)| (name.into_bytes().into(), value.into())).collect();
            let xattrs = (!xattrs.is_empty()).then(|| Box::new(xattrs));
            Metadata { mode, uid, gid, mtime: Time { seconds, nanoseconds }, xattrs }
        },
    )
}

type Item = (Vec<u8>, Vec<u8>, What, Metadata);

fn items() -> impl Strategy<Value = Vec<Item>> {
    let name = prop_oneof![
        vec(any::<u8>().prop_filter("legal", |&b| b != 0 && b != b'/'), 0..20),
        vec(b'a'..=b'z', 0..254),
    ];
    // Some directories become large.
    let directory = prop_oneof![vec(0..3u8, 0..4), Just(vec![0])];
    vec((directory, name, what(), metadata()), 0..300)
}

fn tree_of(items: &[Item]) -> Tree {
    let mut b = Builder::new();
    let mut last_file: Option<Vec<u8>> = None;
    for (nth, (directory, name, what, metadata)) in items.iter().enumerate() {
        let mut path = Vec::new();
        for part in directory {
            path.extend_from_slice(&[b'd', b'0' + part, b'/']);
        }
        path.extend_from_slice(format!("f{nth}").as_bytes());
        path.extend_from_slice(&name[..name.len().min(240)]);
        let kind = match what {
            What::File(0) => Kind::File(Content::Empty),
            What::File(size) => Kind::File(Content::Whole(b.span(*size))),
            What::Pieces(pieces, tail) => {
                let mut at = 0;
                let mut placed = Vec::new();
                for (nth, &(hole, length)) in pieces.iter().enumerate() {
                    at += u64::from(hole) * 4096;
                    let last = nth + 1 == pieces.len();
                    let length =
                        if last { u64::from(length) } else { u64::from(length).next_multiple_of(4096) };
                    placed.push(Piece { at, span: b.span(length) });
                    at += length;
                }
                let tail = if pieces.last().is_some_and(|piece| piece.1 % 4096 != 0) { 0 } else { *tail };
                Kind::File(Content::Pieces {
                    size: at + u64::from(tail),
                    declared: true,
                    pieces: placed.into(),
                })
            }
            What::Inline(bytes) => Kind::File(Content::Inline(bytes.as_slice().into())),
            What::Symlink(text) => Kind::Symlink(text.as_slice().into()),
            What::Char(major, minor) => Kind::CharDevice(device(*major, *minor)),
            What::Fifo => Kind::Fifo,
            What::Socket => Kind::Socket,
            What::Directory => Kind::Directory(Default::default()),
            What::Link => {
                if let Some(target) = &last_file {
                    b.link(&path, target);
                }
                continue;
            }
        };
        if !matches!(kind, Kind::Directory(_)) {
            last_file = Some(path.clone());
        }
        b.put(&path, metadata.clone(), kind);
    }
    b.tree()
}

fn options() -> impl Strategy<Value = Options> {
    (
        prop_oneof![Just(BlockSize::B1024), Just(BlockSize::B2048), Just(BlockSize::B4096)],
        prop_oneof![Just(Profile::ReadWrite), Just(Profile::Compatible), Just(Profile::ReadOnly)],
        prop_oneof![
            Just(Size::Auto(Headroom::Default)),
            Just(Size::Auto(Headroom::Bytes(0))),
            (0..1u64 << 34).prop_map(Size::Free),
            ((1u64 << 29)..(1 << 36)).prop_map(Size::Total),
        ],
        any::<bool>(),
        prop_oneof![Just(Inodes::Auto), (0..50_000u64).prop_map(Inodes::Free)],
        0..=50u8,
        any::<[u8; 16]>(),
        any::<[u8; 16]>(),
        // Before 2026, or e2fsck finds a time in the future.
        0..1_760_000_000i64,
    )
        .prop_map(
            |(block_size, profile, size, journal, inodes, reserved_percent, mut uuid, hash_seed, created)| {
                uuid[0] |= 1;
                let label = Label::parse(b"random").unwrap();
                Options {
                    profile,
                    block_size,
                    size,
                    journal,
                    journal_max: None,
                    inodes,
                    reserved_percent,
                    label,
                    uuid,
                    hash_seed,
                    created,
                }
            },
        )
}

/// A few cases each time; `PROPTEST_CASES` asks for more.
fn config() -> ProptestConfig {
    let mut config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 24;
    }
    config
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn clean_and_complete(items in items(), options in options()) {
        let tree = tree_of(&items);
        let image = build(&tree, &options);
        image.check();
        let file = File::open(&image.path).unwrap();
        common::inodes::compare(&tree, &|offset, bytes| file.read_exact_at(bytes, offset).unwrap());
        match Ext4::load_from_path(&image.path) {
            Ok(ext4) => compare(&tree, &ext4),
            // It does not know values in inodes of their own.
            Err(ext4_view::Ext4Error::Incompatible(_)) => {}
            Err(error) => panic!("{error}"),
        }
        if let Some(mounted) = common::kernel::mount(&image, "ro") {
            common::kernel::compare(&tree, &mounted.at);
        }
    }
}
