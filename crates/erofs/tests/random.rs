//! Random trees: an independent reader, `fsck.erofs` and a kernel find all that was put in, and nothing else.
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

use common::{Builder, build, device, newest, sizes};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use tree::{Content, Kind, Metadata, Piece, Span, Time, Tree};
use unlade_erofs::{
    Addresses, Algorithm, BlockSize, ClusterSize, Compression, Contents, Kernel, Label, Options, Sharing,
    Tails,
};

#[derive(Debug, Clone)]
enum What {
    File(u64),
    /// The same bytes as the file before.
    Twin,
    /// Those from one of its blocks on.
    Part(u64),
    /// Those from some byte on.
    Shifted(u64),
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
        1 => Just(What::Twin),
        1 => (1..6u64).prop_map(What::Part),
        1 => (1..30_000u64).prop_map(What::Shifted),
        2 => (vec((1..20u8, 1..9000u16), 0..12), any::<u16>()).prop_map(|(p, t)| What::Pieces(p, t)),
        1 => vec(any::<u8>(), 0..5000).prop_map(What::Inline),
        2 => vec(1..=255u8, 1..4096).prop_map(What::Symlink),
        1 => (0..4096u32, 0..(1u32 << 20)).prop_map(|(major, minor)| What::Char(major, minor)),
        1 => Just(What::Fifo),
        1 => Just(What::Socket),
        1 => Just(What::Directory),
        1 => Just(What::Link),
    ]
}

fn metadata() -> impl Strategy<Value = Metadata> {
    // Those that the kernel shows for every type of file, whatever they say.
    let name = prop_oneof![
        Just("trusted.a".to_owned()),
        "trusted\\.[a-z.]{1,247}",
        Just("security.selinux".to_owned()),
        Just("unknown.name".to_owned()),
    ];
    let value = prop_oneof![Just(vec![7; 60]), vec(any::<u8>(), 0..60), vec(any::<u8>(), 0..3000)];
    let xattrs = prop_oneof![5 => Just(Default::default()), 1 => btree_map(name, value, 0..6)];
    let seconds = prop_oneof![4 => Just(1_700_000_000i64), 1 => any::<i64>(), 1 => 0..1i64 << 31];
    let nanoseconds = prop_oneof![Just(0), 0..1_000_000_000u32];
    let id = || prop_oneof![2 => Just(0), 1 => any::<u32>(), 1 => 0..70_000u32];
    (0..0o10000u16, id(), id(), seconds, nanoseconds, xattrs).prop_map(
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

/// `layer` decides whether contents can be compressed.
fn tree_of(items: &[Item], layer: u32) -> Tree {
    let mut b = Builder::of_layer(layer);
    let mut last_file: Option<Vec<u8>> = None;
    let mut last_span: Option<Span> = None;
    for (nth, (directory, name, what, metadata)) in items.iter().enumerate() {
        let mut path = Vec::new();
        for part in directory {
            path.extend_from_slice(&[b'd', b'0' + part, b'/']);
        }
        // Before and behind the dots.
        path.extend_from_slice(format!("{}{nth}", ["f", "-", "!", ".", ".."][nth % 5]).as_bytes());
        path.extend_from_slice(&name[..name.len().min(240)]);
        let kind = match what {
            What::File(0) => Kind::File(Content::Empty),
            What::File(size) => {
                let span = *last_span.insert(b.span(*size));
                Kind::File(Content::Whole(span))
            }
            What::Twin => last_span.map_or(Kind::Fifo, |span| Kind::File(Content::Whole(span))),
            What::Part(first) => match last_span {
                Some(Span { layer, offset, length }) if length > first * 4096 => {
                    let (offset, length) = (offset + first * 4096, length - first * 4096);
                    Kind::File(Content::Whole(Span { layer, offset, length }))
                }
                _ => Kind::Socket,
            },
            What::Shifted(first) => match last_span {
                Some(Span { layer, offset, length }) if length > *first => {
                    let (offset, length) = (offset + first, length - first);
                    Kind::File(Content::Whole(Span { layer, offset, length }))
                }
                _ => Kind::Socket,
            },
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
                let size = at + u64::from(tail);
                Kind::File(Content::Pieces { size, declared: true, pieces: placed.into() })
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
    let block_size =
        prop_oneof![2 => Just(BlockSize::B4096), 1 => proptest::sample::select(sizes().to_vec())];
    let tails = prop_oneof![3 => Just(Tails::Inline), 1 => Just(Tails::Blocks)];
    let sharing = prop_oneof![Just(Sharing::None), Just(Sharing::Files), Just(Sharing::Chunks)];
    let all = (block_size, any::<bool>(), tails, sharing, any::<bool>(), any::<[u8; 16]>());
    all.prop_map(|(block_size, old, tails, sharing, wide, uuid)| {
        let min_kernel = match old && block_size == BlockSize::B4096 {
            true => Kernel::FIRST,
            false => newest(block_size).min_kernel,
        };
        let label = Label::parse(b"random").unwrap();
        let contents = Contents::Here;
        let sharing = if min_kernel == Kernel::FIRST { sharing.min(Sharing::Files) } else { sharing };
        let wide = wide && min_kernel > Kernel::FIRST;
        let addresses = if wide { Addresses::Wide } else { Addresses::AsNeeded };
        Options {
            min_kernel,
            block_size,
            tails,
            contents,
            sharing,
            addresses,
            compression: None,
            label,
            uuid,
        }
    })
}

/// A few cases each time; `PROPTEST_CASES` asks for more.
fn config() -> ProptestConfig {
    let mut config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 24;
    }
    config
}

/// A compression for an old kernel or a new one.
fn compression() -> impl Strategy<Value = (Option<Compression>, Kernel)> {
    let algorithm = proptest::sample::select(vec!["lz4", "lz4", "lz4hc,3", "deflate,1", "zstd,1"]);
    let cluster = proptest::sample::select(vec![4096, 8192, 65_536, 1 << 20]);
    (algorithm, cluster, any::<bool>()).prop_map(|(algorithm, cluster, old)| {
        let algorithm: Algorithm = algorithm.parse().unwrap();
        let old = old && algorithm.since() == Kernel::FIRST;
        let (cluster, kernel) = if old { (4096, "5.4") } else { (cluster, "6.18") };
        let compression = Compression { algorithm, cluster: ClusterSize::new(cluster).unwrap() };
        (Some(compression), kernel.parse().unwrap())
    })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn compressed(
        items in items(),
        options in options(),
        (compression, min_kernel) in compression(),
        packed: bool,
    ) {
        let tree = tree_of(&items, 1);
        let sharing = options.sharing;
        let sharing = if min_kernel == Kernel::FIRST { Sharing::None } else { sharing };
        let tails = if min_kernel > Kernel::FIRST && packed { Tails::Packed } else { options.tails };
        let block_size = BlockSize::B4096;
        let addresses = if min_kernel > Kernel::FIRST { options.addresses } else { Addresses::AsNeeded };
        let options = Options { compression, min_kernel, sharing, tails, block_size, addresses, ..options };
        let image = build(&tree, &options);
        match compression.map(|compression| compression.algorithm) {
            Some(Algorithm::Lz4 | Algorithm::Lz4hc(_))
                if sharing == Sharing::None
                    && tails != Tails::Packed
                    && addresses == Addresses::AsNeeded =>
            {
                image.check(&tree)
            }
            // Debian 12's `fsck.erofs` expands no others, and knows of no clusters that files share, nor of packed ends and
            // wide addresses.
            _ => image.read(&tree),
        };
    }

    #[test]
    fn complete(items in items(), options in options()) {
        let tree = tree_of(&items, 0);
        let image = build(&tree, &options);
        if options.addresses == Addresses::Wide { image.read(&tree) } else { image.check(&tree) };
    }
}
