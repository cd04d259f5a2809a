//! Files that are equal, as an independent reader, `fsck.erofs` and kernels see them.
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

use common::zoo::overlapping;
use common::{Builder, build, compressed, dump, meta, with_xattrs};
use tree::{Content, Kind, Span, Tree};
use unlade_erofs::{Addresses, Options, Sharing, Tails};

/// Files of all lengths, each of which has others that are equal, with and without attributes.
fn tree() -> Tree {
    let mut b = Builder::of_layer(1);
    let mut equal = |name: String, span: Span, metadata| {
        b.put(name, metadata, Kind::File(Content::Whole(span)));
    };
    let mut offset = 0;
    for length in [100, 4095, 4096, 4097, 8192, 10_000, 65_536, 100_001, 5 << 20] {
        let span = Span { layer: 1, offset, length };
        offset = (offset + length).next_multiple_of(4096);
        for copy in 0..3usize {
            // So that the end is behind some inodes and not behind others.
            let value = vec![7; copy * 1500];
            let metadata = with_xattrs(meta(0o644), &[("user.x", &value)]);
            equal(format!("{copy}/{length}"), span, metadata);
        }
    }
    b.link("again", "1/100001").file("other", 70_000);
    b.sparse("holes", 1 << 20, &[(65_536, 8192)]);
    b.tree()
}

fn shared(options: Options) -> Options {
    Options { sharing: Sharing::Files, ..options }
}

#[test]
fn plain() {
    let tree = tree();
    for tails in [Tails::Inline, Tails::Blocks] {
        let options = Options { tails, min_kernel: "5.4".parse().unwrap(), ..Options::default() };
        let without = build(&tree, &options).layout.size();
        let image = build(&tree, &shared(options));
        assert_eq!(image.layout.needs_kernel().to_string(), "5.4");
        let size = image.check(&tree).layout.size();
        assert!(size < without * 2 / 5, "{size} of {without}");
        let text = dump(&image.path).unwrap();
        let places: Vec<&str> =
            text.lines().filter_map(|line| line.split(", blocks 0+1280@").nth(1)).collect();
        assert!(places.len() == 3 && places.iter().all(|place| *place == places[0]), "{places:?}");
    }
}

#[test]
fn clusters() {
    let tree = tree();
    for (algorithm, cluster, kernel, needs) in
        [("lz4", 4096, "6.1", "6.1"), ("lz4", 65_536, "6.1", "6.1"), ("zstd", 65_536, "6.10", "6.10")]
    {
        let options = compressed(algorithm, cluster, kernel);
        let without = build(&tree, &options).layout.size();
        let image = build(&tree, &shared(options));
        assert_eq!(image.layout.needs_kernel().to_string(), needs);
        // Debian 12's `fsck.erofs` does not know the feature.
        let size = image.read(&tree).layout.size();
        assert!(size < without * 2 / 5, "{size} of {without}");
        let text = dump(&image.path).unwrap();
        assert!(text.contains(" dedupe_or_fragments"), "{text}");
    }
}

/// Files that have parts of others, and of themselves, with and without attributes; `layer` decides whether some are zeros.
fn parts(layer: u32) -> Tree {
    let mut b = Builder::of_layer(layer);
    let blocks =
        [(0, 100), (50, 100), (50, 100), (10, 20), (120, 60), (0, 300), (500, 3), (501, 2), (501, 2)];
    for (nth, (first, blocks)) in blocks.into_iter().enumerate() {
        for tail in [0, 100] {
            let span = Span { layer, offset: first * 4096, length: blocks * 4096 + tail };
            let metadata = with_xattrs(meta(0o644), &[("user.x", &vec![7; nth * 300])]);
            b.put(format!("{tail}/{nth}"), metadata, Kind::File(Content::Whole(span)));
        }
    }
    b.link("again", "100/2").sparse("holes", 1 << 20, &[(65_536, 8192)]);
    b.tree()
}

fn chunks(options: Options) -> Options {
    Options { sharing: Sharing::Chunks, ..options }
}

#[test]
fn parts_of_files() {
    for layer in [0, 1] {
        let tree = parts(layer);
        for tails in [Tails::Inline, Tails::Blocks] {
            let options = Options { tails, min_kernel: "5.15".parse().unwrap(), ..Options::default() };
            let files = build(&tree, &shared(options.clone())).layout.size();
            let image = build(&tree, &chunks(options));
            assert_eq!(image.layout.needs_kernel().to_string(), "5.15");
            // Debian 12's `fsck.erofs` forgets holes, which zeros become.
            let size = if layer == 0 { image.check(&tree) } else { image.read(&tree) }.layout.size();
            // All but 303 blocks and ends lie there already.
            assert!(size < 370 * 4096 && size < files / 2, "{size} of {files}");
            assert!(image.layout.lent_bytes() > 400 * 4096, "{}", image.layout.lent_bytes());
        }
    }
    for block_size in common::sizes() {
        for addresses in [Addresses::AsNeeded, Addresses::Wide] {
            let tree = parts(1);
            build(&tree, &chunks(Options { addresses, ..common::newest(block_size) })).read(&tree);
        }
    }
}

/// Parts of compressed files, wherever they begin and end, what is between them, and what cannot be compressed.
#[test]
fn parts_of_compressed_files() {
    for (algorithm, cluster, kernel) in [
        ("lz4", 4096, "6.1"),
        ("lz4", 65_536, "6.1"),
        ("lz4hc", 1 << 20, "6.1"),
        ("zstd,1", 65_536, "6.10"),
        ("deflate,1", 65_536, "6.6"),
    ] {
        // Layer 0 is noise.
        for layer in [0, 1] {
            for tails in [Tails::Inline, Tails::Blocks, Tails::Packed] {
                let tree = overlapping(layer);
                let options = Options { tails, ..compressed(algorithm, cluster, kernel) };
                let without = build(&tree, &shared(options.clone())).layout.size();
                // Debian 12's `fsck.erofs` does not know the feature.
                let size = build(&tree, &chunks(options)).read(&tree).layout.size();
                assert!(layer == 0 || size < without * 9 / 10, "{size} of {without}");
            }
        }
    }
}

/// Files that end anywhere in a cluster of another one, which has several blocks.
#[test]
fn ends_in_clusters_of_others() {
    let mut b = Builder::of_layer(1);
    let mut put = |offset, length| {
        let span = Span { layer: 1, offset, length };
        b.put(format!("{length}"), meta(0o644), Kind::File(Content::Whole(span)));
    };
    put(0, 3_000_000);
    (0..150).for_each(|nth| put(8192, 1_000_000 + nth * 1_237));
    let tree = b.tree();
    let image = build(&tree, &chunks(compressed("lz4", 65_536, "6.1")));
    let size = image.read(&tree).layout.size();
    assert!(size < 8_000_000, "{size}");
}

/// A file that shares nothing is as it would be otherwise.
#[test]
fn nothing_in_common() {
    let tree = Builder::new().file("a", 100_000).file("b", 4096).file("c", 5000).tree();
    let bytes = |options| std::fs::read(build(&tree, &options).path).unwrap();
    assert!(bytes(Options::default()) == bytes(chunks(Options::default())));
}

#[test]
fn older_kernels() {
    let old = Options { min_kernel: "5.14".parse().unwrap(), ..Options::default() };
    let error = unlade_erofs::plan(&tree(), &chunks(old)).unwrap_err().to_string();
    assert_eq!(error, "files that share parts need Linux 5.15, and Linux 5.14 is to read the filesystem");
    let error = unlade_erofs::plan(&tree(), &shared(compressed("lz4", 4096, "5.15"))).unwrap_err();
    assert_eq!(
        error.to_string(),
        "compressed files that share their clusters need Linux 6.1, and Linux 5.15 is to read the filesystem"
    );
}
