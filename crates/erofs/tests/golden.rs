//! One filesystem, byte by byte, and what [`unlade_erofs::Filesystem`] reads in it. `UPDATE_GOLDENS=1 cargo test -p unlade-erofs --test golden` takes
//! what comes out now as right; look at the difference before you commit it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a test may fail, say why it did not run, and touch the machine"
)]

mod common;

use std::fs;
use std::path::Path;

use common::{Builder, build, device, meta, newest, with_xattrs};
use hash::Digest;
use tree::{Content, Directory, Kind, Tree};
use unlade_erofs::{BlockSize, Kernel, Label, Options, Tails};

fn some(mut b: Builder) -> Tree {
    b.put("./", meta(0o755), Kind::Directory(Directory::new()));
    b.dir("bin").dir("dev").dir("etc").dir("names");
    b.file("bin/sh", 123_457).link("bin/bash", "bin/sh").file("etc/passwd", 100).file("etc/empty", 0);
    b.inline("etc/hostname", b"unlade\n").symlink("lib", "usr/lib").symlink("long", [b'l'; 4090]);
    b.put("dev/null", meta(0o666), Kind::CharDevice(device(1, 3)));
    b.sparse("holes", 1 << 30, &[(0, 4096), (8192, 4096), (1 << 20, 8192), (1 << 21, 4096), (1 << 22, 100)]);
    for n in 0..30 {
        b.file(format!("names/{n:0200}"), n * 300);
    }
    for name in ["one", "two"] {
        let metadata = with_xattrs(meta(0o644), &[("user.a", b"b"), ("user.long", &[7; 200])]);
        b.put(name, metadata, Kind::File(Content::Empty));
    }
    let mut metadata = with_xattrs(meta(0o644), &[("user.longest", &[7; 9000])]);
    metadata.mtime.seconds -= 1;
    b.put("three", metadata, Kind::File(Content::Empty));
    b.tree()
}

fn check(name: &str, options: &Options) {
    check_tree(name, &some(Builder::new()), options);
}

fn check_tree(name: &str, tree: &Tree, options: &Options) {
    let image = build(tree, options);
    let sha256 = Digest::sha256(&fs::read(&image.path).unwrap()).hex();
    let found = format!("sha256: {sha256}\n{}", common::dump(&image.path).unwrap());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(name);
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &found).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap();
    assert!(found == expected, "{name} differs; UPDATE_GOLDENS=1 takes it as it is:\n{found}");
}

#[test]
fn default() {
    check("default.txt", &Options { label: Label::parse(b"golden").unwrap(), ..Options::default() });
}

#[test]
fn compressed() {
    let tree = some(Builder::of_layer(1));
    check_tree("lz4.txt", &tree, &common::compressed("lz4", 16_384, "6.1"));
    check_tree("lz4hc-oldest-kernel.txt", &tree, &common::compressed("lz4hc", 4096, "5.4"));
}

#[test]
fn small_blocks() {
    check("small-blocks.txt", &newest(BlockSize::B512));
}

#[test]
fn oldest_kernel_and_whole_blocks() {
    let options = Options { min_kernel: Kernel::FIRST, tails: Tails::Blocks, ..Options::default() };
    check("oldest-kernel.txt", &options);
}
