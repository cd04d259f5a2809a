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

use common::{Builder, build, compressed, dump, meta, with_xattrs};
use tree::{Content, Kind, Span, Tree};
use unlade_erofs::{Options, Sharing, Tails};

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

#[test]
fn older_kernels() {
    let error = unlade_erofs::plan(&tree(), &shared(compressed("lz4", 4096, "5.15"))).unwrap_err();
    assert_eq!(
        error.to_string(),
        "compressed files that share their clusters need Linux 6.1, and Linux 5.15 is to read the filesystem"
    );
}
