//! Filesystems of all shapes, as an independent reader, `fsck.erofs` and a kernel see them.
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

use common::zoo::zoo;
use common::{Builder, build, meta, newest, sizes, with_xattrs};
use host::FileExt;
use tree::{Content, Directory, Kind, Tree};
use unlade_erofs::{Kernel, Options, Tails};

#[test]
fn everything_at_each_block_size() {
    let tree = zoo();
    for block_size in sizes() {
        for tails in [Tails::Inline, Tails::Blocks] {
            let image = build(&tree, &Options { tails, ..newest(block_size) });
            eprintln!("{block_size:?} {tails:?}: {} bytes", image.layout.size());
            image.check(&tree);
        }
    }
}

#[test]
fn everything_for_old_kernels() {
    let tree = zoo();
    let image = build(&tree, &Options { min_kernel: Kernel::FIRST, ..Options::default() });
    assert_eq!(image.layout.needs_kernel(), Kernel::FIRST);
    assert!(image.layout.size() > 3000 * 131_072, "holes are blocks");
    let superblock = testkit::erofs::superblock(&File::open(&image.path).unwrap()).unwrap();
    assert_eq!(superblock.incompatible, 0);
    image.check(&tree);
    let newer = build(&tree, &Options::default());
    assert_eq!(newer.layout.needs_kernel().to_string(), "5.15");
    assert!(newer.layout.size() < 60 << 20, "{}", newer.layout.size());
}

#[test]
fn little() {
    for block_size in sizes() {
        let tree = Tree::default();
        let image = build(&tree, &newest(block_size));
        assert_eq!(image.check(&tree).layout.size(), 4096);
    }
    // A root that does not fit beside the superblock.
    let mut b = Builder::new();
    b.put("./", with_xattrs(meta(0o755), &[("user.a", &[7; 5000])]), Kind::Directory(Directory::new()));
    for n in 0..100 {
        b.dir(format!("{n:0100}"));
    }
    let tree = b.tree();
    for block_size in sizes() {
        build(&tree, &newest(block_size)).check(&tree);
    }
}

#[test]
fn large_directories() {
    let mut b = Builder::new();
    for n in 0..200_000 {
        b.file(format!("d/name{n}"), 0);
    }
    for n in 0..70_000 {
        b.dir(format!("directories/{n}"));
    }
    let tree = b.tree();
    build(&tree, &Options::default()).read(&tree);
}

#[test]
fn huge_files() {
    let mut b = Builder::new();
    let pieces: &[(u64, u64)] = &[(0, 4096), (1 << 32, 4096), ((5 << 40) + 4096, 100)];
    b.sparse("sparse", (5 << 40) + 4196, pieces).sparse("hole", 15 << 40, &[]).file("a", 10);
    let tree = b.tree();
    let image = build(&tree, &Options::default());
    assert!(image.layout.size() < 20 << 20, "{}", image.layout.size());
    let Some(mount) = image.mount() else { return };
    let file = File::open(mount.root().join("sparse")).unwrap();
    assert_eq!(file.metadata().unwrap().len(), (5 << 40) + 4196);
    let entries = tree.entries(Tree::ROOT).unwrap();
    let Kind::File(content) = &tree.node(entries[&b"sparse"[..]]).kind else { unreachable!() };
    for piece in content.pieces() {
        let mut found = vec![0; piece.span.length as usize];
        file.read_exact_at(&mut found, piece.at).unwrap();
        assert!(found == common::contents::bytes_of(piece.span), "{piece:?}");
        let mut around = [1; 8];
        file.read_exact_at(&mut around, piece.at + (1 << 31)).ok();
        assert!(around == [0; 8] || around == [1; 8]);
    }
    assert_eq!(File::open(mount.root().join("hole")).unwrap().metadata().unwrap().len(), 15 << 40);
}

#[test]
fn neighbours_are_copied_in_order() {
    let mut b = Builder::new();
    // Names in another order than contents.
    for n in (0..1000).rev() {
        b.file(format!("f{n}"), 5000);
    }
    let tree = b.tree();
    let image = build(&tree, &Options { tails: Tails::Blocks, ..Options::default() });
    assert_eq!(image.copies, 1000);
    assert!(image.writes < 20, "{} writes", image.writes);
    // Every end of a file lies between two inodes.
    let image = build(&tree, &Options::default());
    assert_eq!(image.copies, 2000);
    assert!(image.writes < 1020, "{} writes", image.writes);
}

#[test]
fn most_files_have_small_inodes() {
    let mut b = Builder::new();
    for n in 0..1000 {
        b.file(format!("f{n}"), 0);
    }
    let mut other = meta(0o644);
    other.mtime.seconds += 1;
    b.put("other", other, Kind::File(Content::Empty));
    let tree = b.tree();
    let image = build(&tree, &Options::default());
    let dump = image.check(&tree).layout.dump(&tree).to_string();
    assert!(dump.contains("inodes: 1002, 2 extended"), "{dump}");
    assert!(dump.contains("time of small inodes: 1700000000.123456789\n"), "{dump}");
}
