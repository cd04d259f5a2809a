//! Filesystems of all shapes, judged by `e2fsck -fn`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a test may fail, say why it did not run, and touch the machine"
)]

mod common;

use common::{Builder, build, device, meta, with_xattrs};
use tree::{Kind, Tree};
use unlade_ext4::{BlockSize, Headroom, Inodes, Options, Profile, Size};

const BLOCK_SIZES: [BlockSize; 3] = [BlockSize::B1024, BlockSize::B2048, BlockSize::B4096];
const PROFILES: [Profile; 3] = [Profile::ReadWrite, Profile::Compatible, Profile::ReadOnly];

fn small(options: Options) -> Options {
    Options { size: Size::Auto(Headroom::Bytes(0)), ..options }
}

/// One of everything.
fn zoo() -> Tree {
    let mut b = Builder::new();
    b.dir("bin").dir("etc").dir("dev").dir("deep/er/and/deeper");
    b.file("bin/sh", 123_457).file("bin/empty", 0).file("etc/passwd", 1);
    b.inline("etc/hostname", b"unlade\n").inline("etc/long", &[b'x'; 9000]);
    b.link("bin/bash", "bin/sh").link("zzz", "etc/hostname");
    b.symlink("sbin", "bin").symlink("fast", [b'f'; 59]).symlink("slow", [b's'; 60]);
    b.symlink("slowest", [b'S'; 1023]);
    b.put("dev/null", meta(0o666), Kind::CharDevice(device(1, 3)));
    b.put("dev/big", meta(0o660), Kind::BlockDevice(device(4095, (1 << 20) - 1)));
    b.put("dev/zero", meta(0o660), Kind::CharDevice(device(0, 0)));
    b.put("dev/fifo", meta(0o600), Kind::Fifo).put("dev/log", meta(0o777), Kind::Socket);
    b.sparse("hole", 1 << 40, &[]).sparse("holes", 1 << 36, &[(4096, 4096), (1 << 30, 5000)]);
    b.put("bin/su", meta(0o4755), Kind::File(tree::Content::Empty));
    b.put(&b"\xff\xfename"[..], meta(0o644), Kind::File(tree::Content::Empty));
    let capability = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let xattrs = with_xattrs(meta(0o755), &[("security.capability", &capability)]);
    b.put("bin/ping", xattrs, Kind::File(tree::Content::Empty));
    for name in ["shared1", "shared2", "shared3"] {
        let xattrs =
            with_xattrs(meta(0o755), &[("user.a", &[1; 100]), ("trusted.b", &[2; 300]), ("user.c", b"")]);
        b.put(name, xattrs, Kind::File(tree::Content::Empty));
    }
    b.tree()
}

#[test]
fn everything_at_each_block_size_and_profile() {
    let tree = zoo();
    for block_size in BLOCK_SIZES {
        for profile in PROFILES {
            for journal in [true, false] {
                let options = Options { block_size, profile, journal, ..Options::default() };
                build(&tree, &options).check();
                build(&tree, &small(options)).check();
            }
        }
    }
}

#[test]
fn empty_trees() {
    for block_size in BLOCK_SIZES {
        for profile in PROFILES {
            let options = Options { block_size, profile, ..Options::default() };
            build(&Tree::default(), &options).check();
            build(&Tree::default(), &small(options)).check();
        }
    }
}

#[test]
fn sizes() {
    let tree = zoo();
    for size in [
        64 << 20,
        128 << 20,
        (128 << 20) + 4096,
        (128 << 20) + (8 << 20),
        1 << 30,
        (3 << 30) + 12_345,
        200 << 30,
        15 << 40,
    ] {
        let options = Options { size: Size::Total(size), ..Options::default() };
        eprintln!("{size}");
        build(&tree, &options).check();
    }
    for size in [16 << 20, (16 << 20) + 9 * 1024, 65 << 20, 1 << 30, 20 << 30] {
        let options = Options { size: Size::Total(size), block_size: BlockSize::B1024, ..Options::default() };
        eprintln!("{size}");
        build(&tree, &options).check();
    }
}

#[test]
fn large_values() {
    for block_size in BLOCK_SIZES {
        let mut b = Builder::new();
        let xattrs = with_xattrs(
            meta(0o755),
            &[
                ("user.big", &[7; 20_000]),
                ("user.small", b"x"),
                ("trusted.largest", &[9; 65_536]),
                ("user.mid", &[5; 600]),
                ("user.mid2", &[5; 700]),
            ],
        );
        b.put("file", xattrs.clone(), Kind::File(tree::Content::Empty));
        b.put("dir", xattrs, Kind::Directory(tree::Directory::new()));
        build(&b.tree(), &Options { block_size, inodes: Inodes::Free(5), ..Options::default() }).check();
    }
}

#[test]
fn large_directories() {
    for (block_size, count) in
        [(BlockSize::B4096, 200_000), (BlockSize::B1024, 30_000), (BlockSize::B4096, 400)]
    {
        for profile in [Profile::ReadWrite, Profile::ReadOnly] {
            let mut b = Builder::new();
            for n in 0..count {
                b.file(format!("d/name{n}"), 0);
            }
            build(&b.tree(), &Options { block_size, profile, ..Options::default() }).check();
        }
    }
}

#[test]
fn deep_extents() {
    for (block_size, pieces) in [
        (BlockSize::B4096, 340 * 4 + 10),
        (BlockSize::B4096, 5),
        (BlockSize::B4096, 340),
        (BlockSize::B1024, 30_000),
    ] {
        let mut b = Builder::new();
        let pieces: Vec<(u64, u64)> = (0..pieces).map(|n| (n * 8192, 4096)).collect();
        b.sparse("deep", pieces.last().unwrap().0 + 4096, &pieces);
        build(&b.tree(), &Options { block_size, ..Options::default() }).check();
    }
}
