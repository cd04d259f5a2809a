//! One filesystem, byte by byte, and what [`unlade_ext4::Filesystem`] reads in it. `UPDATE_GOLDENS=1 cargo test -p unlade-ext4 --test golden` takes
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

use common::{Builder, build, device, meta, run, with_xattrs};
use tree::{Content, Directory, Kind, Tree};
use unlade_ext4::{BlockSize, Headroom, Label, Options, Profile, Size};

fn some() -> Tree {
    let mut b = Builder::new();
    b.put("./", meta(0o755), Kind::Directory(Directory::new()));
    b.dir("bin").dir("dev").dir("etc").dir("names");
    b.file("bin/sh", 123_457).link("bin/bash", "bin/sh").file("etc/passwd", 100).file("etc/empty", 0);
    b.inline("etc/hostname", b"unlade\n").symlink("lib", "usr/lib").symlink("long", [b'l'; 100]);
    b.put("dev/null", meta(0o666), Kind::CharDevice(device(1, 3)));
    b.sparse("holes", 1 << 30, &[(0, 4096), (8192, 4096), (1 << 20, 8192), (1 << 21, 4096), (1 << 22, 100)]);
    for n in 0..30 {
        b.file(format!("names/{n:0200}"), 0);
    }
    for name in ["one", "two"] {
        let metadata = with_xattrs(meta(0o644), &[("user.a", b"b"), ("user.long", &[7; 200])]);
        b.put(name, metadata, Kind::File(Content::Empty));
    }
    let metadata = with_xattrs(meta(0o644), &[("user.longest", &[7; 9000])]);
    b.put("three", metadata, Kind::File(Content::Empty));
    b.tree()
}

fn check(name: &str, options: &Options) {
    let tree = some();
    let image = build(&tree, options);
    image.check();
    let Some(sum) = run("sha256sum", &[image.name()]) else { return };
    let sum = String::from_utf8(sum.stdout).unwrap();
    let found = format!("sha256: {}\n{}", &sum[..64], image.dump().unwrap());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(name);
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &found).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap();
    assert!(found == expected, "{name} differs; UPDATE_GOLDENS=1 takes it as it is:\n{found}");
}

#[test]
fn read_write() {
    let label = Label::parse(b"golden").unwrap();
    let hash_seed = *b"0123456789abcdef";
    check("read-write.txt", &Options { label, hash_seed, created: 1_700_000_000, ..Options::default() });
}

#[test]
fn small_blocks_and_groups() {
    let size = Size::Total(30 << 20);
    check("small-blocks.txt", &Options { block_size: BlockSize::B1024, size, ..Options::default() });
}

#[test]
fn read_only() {
    let size = Size::Auto(Headroom::Default);
    check("read-only.txt", &Options { profile: Profile::ReadOnly, size, ..Options::default() });
}
