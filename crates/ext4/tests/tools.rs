//! e2fsprogs work on the filesystem as on one of their own.

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

use common::{Builder, Image, build, meta, run, text, with_xattrs};
use tree::{Content, Kind, Tree};
use unlade_ext4::{BlockSize, Headroom, Label, Options, Profile, Size};

fn some() -> Tree {
    let mut b = Builder::new();
    b.dir("etc").file("etc/passwd", 1000).symlink("long", [b'l'; 500]).link("hard", "etc/passwd");
    for n in 0..2000 {
        b.file(format!("many/file{n}"), n);
    }
    let pieces: Vec<(u64, u64)> = (0..2000).map(|n| (n * 8192, 4096)).collect();
    b.sparse("deep", 2000 * 8192, &pieces);
    b.put("attributed", with_xattrs(meta(0o644), &[("user.name", b"value")]), Kind::File(Content::Empty));
    b.tree()
}

fn tool(image: &Image, program: &str, arguments: &[&str]) -> bool {
    let with_name: Vec<&str> =
        arguments.iter().map(|&a| if a == "IMAGE" { image.name() } else { a }).collect();
    let Some(ran) = run(program, &with_name) else { return false };
    assert!(ran.status.success(), "{program} {arguments:?}: {}", text(&ran));
    image.check_after_use();
    true
}

#[test]
fn resize2fs_grows_and_shrinks() {
    for (block_size, profile) in [
        (BlockSize::B4096, Profile::ReadWrite),
        (BlockSize::B4096, Profile::Compatible),
        (BlockSize::B4096, Profile::ReadOnly),
        (BlockSize::B1024, Profile::ReadWrite),
    ] {
        let image = build(&some(), &Options { block_size, profile, ..Options::default() });
        tool(&image, "resize2fs", &["-M", "IMAGE"]);
        let length = || File::open(&image.path).unwrap().metadata().unwrap().len();
        eprintln!("{block_size:?} {profile:?}: {} to {}", image.layout.size(), length());
        assert!(length() <= image.layout.size());
        for size in ["300M", "3G", "20G"] {
            if !tool(&image, "resize2fs", &["IMAGE", size]) {
                return;
            }
        }
        tool(&image, "resize2fs", &["-M", "IMAGE"]);
        eprintln!("  and from 20 GiB to {}", length());
        assert!(length() < 1 << 30);
    }
}

#[test]
fn tune2fs_changes_identity_and_journal() {
    let image = build(&some(), &Options::default());
    // With metadata_csum_seed a new UUID rewrites no checksum.
    tool(&image, "tune2fs", &["-U", "11111111-2222-4333-8444-555555555555", "IMAGE"]);
    tool(&image, "tune2fs", &["-L", "renamed", "IMAGE"]);
    tool(&image, "tune2fs", &["-O", "^has_journal", "IMAGE"]);
    tool(&image, "tune2fs", &["-j", "IMAGE"]);
    tool(&image, "tune2fs", &["-m", "5", "IMAGE"]);
}

#[test]
fn e2fsck_optimises_nothing_away() {
    let image = build(&some(), &Options::default());
    // Exit code 0: nothing to rebuild. 1 would mean that something changed.
    tool(&image, "e2fsck", &["-fy", "IMAGE"]);
}

#[test]
fn debugfs_sees_the_structures() {
    let label = Label::parse(b"root").unwrap();
    let image = build(&some(), &Options { label, ..Options::default() });
    if run("debugfs", &["-V"]).is_none() {
        return;
    }
    assert!(image.debugfs("show_super_stats -h").contains("Filesystem volume name:   root\n"));
    let tree = image.debugfs("htree /many");
    assert!(tree.contains("Hash Version: 1") && tree.contains("Indirect levels: 0"), "{tree}");
    let extents = image.debugfs("ex /deep");
    assert!(extents.contains(" 2/ 2") || extents.contains("1/ 1"), "{extents}");
    assert!(image.debugfs("ea_list /attributed").contains("user.name (5) = \"value\""));
    assert!(image.debugfs("stat /hard").contains("Links: 2"));
    assert!(image.debugfs("stat <8>").contains("Size: 4194304"));
}

/// What a fresh `mkfs.ext4` has, this has: the superblock differs in names and counts alone.
#[test]
fn same_as_mke2fs() {
    let size = 2u64 << 30;
    let image = build(&Tree::default(), &Options { size: Size::Total(size), ..Options::default() });
    let theirs = image.directory.path().join("mke2fs.ext4");
    let theirs = theirs.to_str().unwrap();
    let features = "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,\
        metadata_csum_seed,sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum";
    let arguments =
        ["-q", "-t", "ext4", "-O", features, "-b", "4096", "-i", "16384", "-m", "0", theirs, "2G"];
    let Some(ran) = run("mke2fs", &arguments) else { return };
    assert!(ran.status.success(), "{}", text(&ran));
    let shown = |name: &str| {
        let ran = run("dumpe2fs", &[name]).unwrap();
        let varies = [
            "UUID",
            "Filesystem created",
            "Last write time",
            "Last checked",
            "Lifetime writes",
            "Directory Hash Seed",
            "Checksum",
            "Journal checksum",
        ];
        let lines = String::from_utf8(ran.stdout).unwrap();
        let lines = lines.lines().filter(|line| !varies.iter().any(|name| line.contains(name)));
        // Group checksums differ with the UUID, and mke2fs leaves tables for the kernel to zero.
        let lines = lines
            .map(|line| line.split(", csum ").next().unwrap().split(" csum ").next().unwrap().to_owned());
        lines
            .filter(|line| !line.contains("free blocks") && !line.contains("Free blocks:"))
            .collect::<Vec<_>>()
    };
    assert_eq!(shown(image.name()), shown(theirs));
}

#[test]
fn filled_to_the_brim_stays_clean() {
    let size = Size::Auto(Headroom::Bytes(0));
    let image = build(&some(), &Options { size, ..Options::default() });
    tool(&image, "e2fsck", &["-fy", "IMAGE"]);
    assert!(image.layout.free_blocks() < 256);
}
