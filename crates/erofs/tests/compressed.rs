//! Compressed filesystems, as an independent reader, `fsck.erofs` and a kernel see them.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a test may fail, say why it did not run, and touch the machine"
)]

mod common;

use common::zoo::{compressible_zoo, zoo};
use common::{build, compressed};
use tree::Tree;
use unlade_erofs::{Options, Tails};

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
fn lz4() {
    let tree = compressible_zoo();
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
    assert!(size <= plain, "{size} of {plain}");
}
