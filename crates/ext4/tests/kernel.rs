//! The kernel as judge: mounts, reads everything back, fills, changes; `e2fsck` looks at what it left.
//!
//! Needs root and loop devices. Without them these tests say so and pass, unless `CI` is set.

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

use std::fs;
use std::io::Write;
use std::path::Path;

use common::kernel::{compare, mount};
use common::{Builder, build, bytes_in, device, meta, run, text, with_xattrs};
use tree::{Content, Directory, Kind, Time, Tree};
use unlade_ext4::{BlockSize, Headroom, Options, Profile, Size};

fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut bytes = 2u32.to_le_bytes().to_vec();
    for (tag, perm, id) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(perm.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

const NONE: u32 = u32::MAX;

fn zoo(block_size: BlockSize) -> Tree {
    let mut b = Builder::new();
    b.put("./", meta(0o751), Kind::Directory(Directory::new()));
    b.dir("bin").dir("etc").dir("dev").dir("lost+found/found").dir("many");
    b.file("bin/sh", 123_457).file("bin/empty", 0).file("etc/passwd", 1).file("big", 20 << 20);
    b.inline("etc/hostname", b"unlade\n").inline("etc/long", &[b'x'; 9000]);
    b.link("bin/bash", "bin/sh").link("zzz", "etc/hostname");
    b.symlink("sbin", "bin").symlink("fast", [b'f'; 59]).symlink("slow", [b's'; 60]);
    b.symlink("slowest", vec![b'S'; block_size.bytes() as usize - 1]);
    b.put("dev/null", meta(0o666), Kind::CharDevice(device(1, 3)));
    b.put("dev/disk", meta(0o660), Kind::BlockDevice(device(4095, (1 << 20) - 1)));
    b.put("dev/zero", meta(0o660), Kind::CharDevice(device(0, 0)));
    b.put("dev/256", meta(0o660), Kind::CharDevice(device(255, 256)));
    b.put("dev/fifo", meta(0o600), Kind::Fifo).put("dev/log", meta(0o777), Kind::Socket);
    b.link("dev/fifo2", "dev/fifo").link("slow2", "slow");
    b.sparse("hole", 1 << 41, &[]).sparse("holes", 1 << 36, &[(4096, 4096), (1 << 30, 5000)]);
    b.sparse("tail", 3 << 20, &[(8192, 4096), (16_384, 8192)]);
    let pieces: Vec<(u64, u64)> = (0..3000).map(|n| (n * 8192, 4096)).collect();
    b.sparse("deep", 3000 * 8192 + 5, &pieces);
    b.put(&b"\xff\xfename"[..], meta(0o644), Kind::File(Content::Empty));
    b.put(b"n".repeat(255), meta(0o4755), Kind::File(Content::Empty));
    for n in 0..3000 {
        b.file(format!("many/name number {n}"), n % 3);
    }
    for (name, seconds) in
        [("old", -(1i64 << 31)), ("future", (3 << 32) - (1 << 31) - 1), ("2038", 1 << 31), ("1969", -1)]
    {
        let mut metadata = meta(0o644);
        metadata.mtime = Time { seconds, nanoseconds: 999_999_999 };
        (metadata.uid, metadata.gid) = (100_000, u32::MAX - 1);
        b.put(name, metadata, Kind::File(Content::Empty));
    }
    let capability = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    b.put(
        "bin/ping",
        with_xattrs(meta(0o755), &[("security.capability", &capability)]),
        Kind::File(Content::Empty),
    );
    let access =
        acl(&[(1, 6, NONE), (2, 4, 1000), (4, 4, NONE), (8, 7, 70_000), (16, 7, NONE), (32, 0, NONE)]);
    let default = acl(&[(1, 7, NONE), (4, 5, NONE), (32, 5, NONE)]);
    let lists: &[(&str, &[u8])] = &[("system.posix_acl_access", &access), ("user.x", b"y")];
    b.put("listed", with_xattrs(meta(0o670), lists), Kind::File(Content::Empty));
    let lists: &[(&str, &[u8])] =
        &[("system.posix_acl_access", &access), ("system.posix_acl_default", &default)];
    b.put("etc/listed", with_xattrs(meta(0o670), lists), Kind::Directory(Directory::new()));
    for n in 0..5 {
        let xattrs: &[(&str, &[u8])] = &[("user.a", &[1; 100]), ("trusted.b", &[2; 300]), ("user.c", b"")];
        b.put(format!("shared{n}"), with_xattrs(meta(0o755), xattrs), Kind::File(Content::Empty));
    }
    b.put(
        "slow3",
        with_xattrs(meta(0o777), &[("trusted.t", &[3; 200])]),
        Kind::Symlink([b'l'; 59][..].into()),
    );
    b.tree()
}

#[test]
fn reads_back_and_changes() {
    for block_size in [BlockSize::B4096, BlockSize::B2048, BlockSize::B1024] {
        let tree = zoo(block_size);
        for profile in [Profile::ReadWrite, Profile::Compatible, Profile::ReadOnly] {
            let options = Options { block_size, profile, ..Options::default() };
            let image = build(&tree, &options);
            image.check();
            let Some(mounted) = mount(&image, "ro") else { return };
            assert!(compare(&tree, &mounted.at) > 3000);
            drop(mounted);
            // A hashed directory takes names and loses them.
            let mounted = mount(&image, "rw").unwrap();
            for n in 0..3000 {
                if n % 3 == 0 {
                    fs::remove_file(mounted.at.join(format!("many/name number {n}"))).unwrap();
                }
                if fs::write(mounted.at.join(format!("many/another {n}")), b"").is_err() {
                    // No headroom in a read-only filesystem.
                    assert_eq!(profile, Profile::ReadOnly);
                    break;
                }
            }
            fs::remove_dir_all(mounted.at.join("many")).unwrap();
            fs::remove_file(mounted.at.join("shared1")).unwrap();
            fs::remove_file(mounted.at.join("deep")).unwrap();
            rustix::fs::setxattr(
                mounted.at.join("shared2"),
                "user.new",
                &[5; 200],
                rustix::fs::XattrFlags::empty(),
            )
            .ok();
            mounted.unmount_and_check();
        }
    }
}

#[test]
fn fills_to_the_last_block() {
    let tree = zoo(BlockSize::B1024);
    for block_size in [BlockSize::B4096, BlockSize::B1024] {
        for journal in [true, false] {
            let size = Size::Free(24 << 20);
            let image = build(&tree, &Options { block_size, journal, size, ..Options::default() });
            image.check();
            let Some(mounted) = mount(&image, "rw") else { return };
            let room = rustix::fs::statvfs(&mounted.at).unwrap();
            assert!(room.f_bavail * room.f_frsize >= 24 << 20, "{} free", room.f_bavail * room.f_frsize);
            assert_eq!(room.f_bfree, image.layout.free_blocks());
            assert_eq!(room.f_ffree, image.layout.free_inodes());
            let mut file = fs::File::create(mounted.at.join("filler")).unwrap();
            let mut written = 0u64;
            for length in [65_536, 1024] {
                while file.write_all(&vec![0xaa; length]).is_ok() {
                    written += length as u64;
                }
            }
            file.sync_all().ok();
            assert!(written >= 24 << 20, "{written}");
            drop(file);
            compare_some(&tree, &mounted.at);
            mounted.unmount_and_check();
            // And every inode.
            let mounted = mount(&image, "rw").unwrap();
            fs::remove_file(mounted.at.join("filler")).unwrap();
            fs::create_dir(mounted.at.join("names")).unwrap();
            let mut made = 1;
            while fs::File::create(mounted.at.join(format!("names/{made}"))).is_ok() {
                made += 1;
            }
            assert!(made >= image.layout.free_inodes(), "{made}");
            mounted.unmount_and_check();
        }
    }
}

fn compare_some(tree: &Tree, root: &Path) {
    let node = tree.entries(Tree::ROOT).unwrap()[&b"deep"[..]];
    let Kind::File(content) = &tree.node(node).kind else { unreachable!() };
    assert!(fs::read(root.join("deep")).unwrap() == bytes_in(content));
}

#[test]
fn values_larger_than_a_block() {
    for block_size in [BlockSize::B4096, BlockSize::B1024] {
        let large: &[(&str, &[u8])] = &[
            ("trusted.largest", &[9; 65_536]),
            ("user.big", &[7; 20_000]),
            ("user.mid", &[5; 600]),
            ("user.mid2", &[5; 700]),
            ("user.small", b"x"),
        ];
        let mut b = Builder::new();
        b.put("file", with_xattrs(meta(0o755), large), Kind::File(Content::Empty));
        b.put("dir", with_xattrs(meta(0o755), large), Kind::Directory(Directory::new()));
        b.put("target", meta(0o755), Kind::File(Content::Empty));
        let tree = b.tree();
        let image = build(&tree, &Options { block_size, ..Options::default() });
        image.check();
        let Some(mounted) = mount(&image, "rw") else { return };
        compare(&tree, &mounted.at);
        // What the kernel makes of the same attributes looks the same.
        for (name, value) in large {
            rustix::fs::setxattr(mounted.at.join("target"), *name, value, rustix::fs::XattrFlags::empty())
                .unwrap();
        }
        rustix::fs::removexattr(mounted.at.join("dir"), "user.big").unwrap();
        mounted.unmount_and_check();
    }
}

#[test]
fn more_than_65000_directories() {
    let mut b = Builder::new();
    for n in 0..65_100 {
        b.dir(format!("d/{n}"));
    }
    let tree = b.tree();
    let image = build(&tree, &Options { size: Size::Auto(Headroom::Bytes(100 << 20)), ..Options::default() });
    image.check();
    let Some(mounted) = mount(&image, "rw") else { return };
    compare(&tree, &mounted.at);
    fs::create_dir(mounted.at.join("d/one more")).unwrap();
    fs::remove_dir(mounted.at.join("d/77")).unwrap();
    mounted.unmount_and_check();
}

#[test]
fn lists_as_getfacl_shows_them() {
    let tree = zoo(BlockSize::B4096);
    let image = build(&tree, &Options::default());
    let Some(mounted) = mount(&image, "ro") else { return };
    let Some(ran) = run("getfacl", &["-cn", "--absolute-names", mounted.at.join("listed").to_str().unwrap()])
    else {
        return;
    };
    let shown = text(&ran);
    assert_eq!(shown.trim(), "user::rw-\nuser:1000:r--\ngroup::r--\ngroup:70000:rwx\nmask::rwx\nother::---");
}

/// Small blocks and long names: an index of three levels.
#[test]
fn directories_that_need_largedir() {
    let mut b = Builder::new();
    for n in 0..100_000 {
        b.file(format!("large/{n:0100}"), 0);
    }
    let tree = b.tree();
    for profile in [Profile::ReadWrite, Profile::ReadOnly] {
        let image = build(&tree, &Options { block_size: BlockSize::B1024, profile, ..Options::default() });
        image.check();
        let index = image.debugfs("features");
        assert!(index.contains("large_dir") == (profile == Profile::ReadWrite), "{index}");
        let Some(mounted) = mount(&image, "rw") else { return };
        compare(&tree, &mounted.at);
        for n in 0..1000 {
            fs::remove_file(mounted.at.join(format!("large/{:0100}", n * 97))).unwrap();
            if profile == Profile::ReadWrite {
                fs::write(mounted.at.join(format!("large/{:0100}", n + 1_000_000)), b"").unwrap();
            }
        }
        mounted.unmount_and_check();
    }
}
