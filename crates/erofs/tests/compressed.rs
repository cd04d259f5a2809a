//! Compressed filesystems, as an independent reader, `fsck.erofs` and a kernel see them.
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

use common::zoo::{compressible, compressible_zoo, zoo};
use common::{build, compressed};
use tree::Tree;
use unlade_erofs::{BlockSize, Options, Sharing, Tails};

/// Builds, lets all judges look, and says how large it is.
fn check(tree: &Tree, options: &Options, needs: &str) -> u64 {
    let image = build(tree, options);
    let size = image.layout.size();
    eprintln!("{:?} for {}: {size} bytes", options.compression, options.min_kernel);
    assert_eq!(image.layout.needs_kernel().to_string(), needs);
    image.check(tree);
    size
}

#[test]
fn everything() {
    let tree = compressible_zoo();
    check(&tree, &compressed("lz4", 65_536, "6.1"), "5.17");
    check(&tree, &compressed("lz4", 4096, "5.4"), "5.4");
}

#[test]
fn lz4() {
    let tree = compressible();
    let plain = check(&tree, &Options::default(), "5.15");
    for (cluster, kernel, needs) in [
        (4096, "5.4", "5.4"),
        (4096, "5.15", "5.15"),
        (65_536, "5.13", "5.13"),
        (65_536, "5.17", "5.17"),
        (4096, "5.17", "5.17"),
        (8192, "6.1", "5.17"),
        (1 << 20, "6.1", "5.17"),
    ] {
        let size = check(&tree, &compressed("lz4", cluster, kernel), needs);
        assert!(size < plain * 4 / 5, "{size} of {plain}");
    }
    let options = Options { tails: Tails::Blocks, ..compressed("lz4", 65_536, "6.1") };
    check(&tree, &options, "5.15");
}

#[test]
fn what_cannot_be_compressed() {
    let tree = zoo();
    let plain = build(&tree, &Options::default()).layout.size();
    let size = check(&tree, &compressed("lz4", 65_536, "6.1"), "5.15");
    // Beside the superblock lies nothing.
    assert!(size <= plain + 4096, "{size} of {plain}");
}

#[test]
fn other_algorithms() {
    let tree = compressible();
    let plain = build(&tree, &Options::default()).layout.size();
    for (algorithm, cluster, kernel, needs) in [
        ("lz4hc,1", 4096, "5.4", "5.4"),
        ("lz4hc,12", 65_536, "6.1", "5.17"),
        ("deflate,1", 4096, "6.6", "6.6"),
        ("deflate,9", 65_536, "6.6", "6.6"),
        ("zstd,1", 4096, "6.10", "6.10"),
        ("zstd", 65_536, "6.10", "6.10"),
        ("zstd,9", 1 << 20, "6.18", "6.10"),
    ] {
        let options = compressed(algorithm, cluster, kernel);
        let image = build(&tree, &options);
        let size = image.layout.size();
        eprintln!("{algorithm} {cluster} for {kernel}: {size} bytes");
        assert_eq!(image.layout.needs_kernel().to_string(), needs);
        assert!(size < plain * 3 / 4, "{size} of {plain}");
        // Debian 12's `fsck.erofs` expands LZ4 alone.
        if algorithm.starts_with("lz4") {
            image.check(&tree)
        } else {
            image.read(&tree)
        };
    }
}

/// Ends of files, and small files, that are compressed together.
#[test]
fn packed() {
    let tree = compressible();
    for (algorithm, cluster, kernel, needs) in
        [("lz4", 65_536, "6.1", "6.1"), ("lz4", 4096, "6.1", "6.1"), ("zstd", 1 << 20, "6.18", "6.10")]
    {
        let inline = compressed(algorithm, cluster, kernel);
        let before = build(&tree, &inline).layout.size();
        let options = Options { tails: Tails::Packed, ..inline };
        let image = build(&tree, &options);
        let size = image.layout.size();
        eprintln!("{algorithm} {cluster}: {size} bytes, {before} with inline ends");
        assert_eq!(image.layout.needs_kernel().to_string(), needs);
        // In clusters of one block there is nothing to be won.
        assert!(size < before || cluster == 4096, "{size} of {before}");
        // Debian 12's `fsck.erofs` does not know the packed inode.
        image.read(&tree);
    }
    let tree = compressible_zoo();
    let options = compressed("lz4", 65_536, "6.1");
    for sharing in [Sharing::None, Sharing::Files] {
        build(&tree, &Options { tails: Tails::Packed, sharing, ..options.clone() }).read(&tree);
    }
}

#[test]
fn kernels_that_do_not_read_it() {
    for (algorithm, cluster, kernel, text) in [
        ("lz4", 65_536, "5.10", "clusters of more than 4096 bytes need Linux 5.13"),
        ("deflate", 4096, "6.5", "files compressed by DEFLATE need Linux 6.6"),
        ("zstd", 65_536, "6.9", "files compressed by Zstandard need Linux 6.10"),
    ] {
        let options = compressed(algorithm, cluster, kernel);
        let error = unlade_erofs::candidates(&Tree::default(), &options, |_| false).unwrap_err().to_string();
        assert!(error.starts_with(text), "{error}");
        assert_eq!(unlade_erofs::plan(&Tree::default(), &options).unwrap_err().to_string(), error);
    }
    let options = Options { tails: Tails::Packed, ..compressed("lz4", 4096, "5.19") };
    let error = unlade_erofs::plan(&Tree::default(), &options).unwrap_err().to_string();
    assert!(error.starts_with("ends of files that are compressed together need Linux 6.1"), "{error}");
    let options = Options { compression: None, ..compressed("lz4", 4096, "6.18") };
    assert!(unlade_erofs::plan(&Tree::default(), &Options { tails: Tails::Packed, ..options }).is_err());
    let options = Options { block_size: BlockSize::B512, ..compressed("lz4", 4096, "6.18") };
    assert!(unlade_erofs::plan(&Tree::default(), &options).is_err());
}
