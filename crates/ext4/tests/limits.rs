//! What ext4 cannot hold is an error that names the file; what is merely odd works.
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
use tree::{Content, Directory, Kind, Metadata, Piece, Span, Time, Tree};
use unlade_ext4::{BlockSize, Error, Options, Size, plan};

fn one(metadata: Metadata, kind: Kind) -> Tree {
    Builder::new().put("some/file\n", metadata, kind).tree()
}

fn file(content: Content) -> Tree {
    one(meta(0o644), Kind::File(content))
}

fn refused(tree: &Tree, block_size: BlockSize) -> String {
    let refused = plan(tree, &Options { block_size, ..Options::default() });
    refused.expect_err("beyond a limit").to_string()
}

fn pieces(size: u64, pieces: &[(u64, u64, u64)]) -> Tree {
    let piece =
        |&(at, offset, length): &(u64, u64, u64)| Piece { at, span: Span { layer: 0, offset, length } };
    file(Content::Pieces { size, declared: true, pieces: pieces.iter().map(piece).collect() })
}

#[test]
fn files() {
    let four_k = BlockSize::B4096;
    let largest = u64::from(u32::MAX) * 4096;
    for (tree, block_size, says) in [
        (pieces(largest + 1, &[]), four_k, "size is 17592186040321, ext4 holds at most 17592186040320"),
        (pieces(u64::MAX, &[]), four_k, "size is 18446744073709551615"),
        (pieces(5 << 40, &[]), BlockSize::B1024, "holds at most 4398046510080"),
        (file(Content::Whole(Span { layer: 0, offset: 0, length: u64::MAX })), four_k, "size is"),
        (file(Content::Whole(Span { layer: 0, offset: u64::MAX, length: 9 })), four_k, "piece"),
        (pieces(8192, &[(0, 0, 4096), (0, 4096, 4096)]), four_k, "overlap"),
        (pieces(8192, &[(4096, 0, 4096), (0, 4096, 4096)]), four_k, "overlap"),
        (pieces(8192, &[(4096, 0, 4097)]), four_k, "behind its end"),
        (pieces(8192, &[(u64::MAX - 4095, 0, 5000)]), four_k, "behind its end"),
        (pieces(8192, &[(100, 0, 100)]), four_k, "does not start at a block"),
    ] {
        let error = refused(&tree, block_size);
        assert!(error.starts_with("/some/file\\n: ") && error.contains(says), "{error}");
    }
    build(&pieces(largest, &[]), &Options::default()).check();
    build(&pieces(1 << 43, &[((1 << 43) - 4096, 0, 4096)]), &Options::default()).check();
}

#[test]
fn links_and_devices() {
    for (block_size, longest) in
        [(BlockSize::B1024, 1023), (BlockSize::B2048, 2047), (BlockSize::B4096, 4095)]
    {
        let link = |length| one(meta(0o777), Kind::Symlink(vec![b'x'; length].into()));
        build(&link(longest), &Options { block_size, ..Options::default() }).check();
        assert!(refused(&link(longest + 1), block_size).contains("length of the symbolic link"));
    }
    for (major, minor, says) in [(4096, 0, "major"), (0, 1 << 20, "minor"), (u32::MAX, u32::MAX, "major")] {
        let tree = one(meta(0o600), Kind::CharDevice(device(major, minor)));
        assert!(refused(&tree, BlockSize::B4096).contains(says));
    }
    let mut b = Builder::new();
    b.file("first", 0);
    for n in 1..65_000 {
        b.link(format!("{n}"), "first");
    }
    build(&b.tree(), &Options::default()).check();
    b.file("first", 0);
    for n in 1..65_001 {
        b.link(format!("{n}"), "first");
    }
    let error = refused(&b.tree(), BlockSize::B4096);
    assert!(error.contains("number of hard links is 65001, ext4 holds at most 65000"), "{error}");
}

#[test]
fn attributes() {
    let with = |xattrs: &[(&str, &[u8])]| one(with_xattrs(meta(0o644), xattrs), Kind::File(Content::Empty));
    let many: Vec<(String, Vec<u8>)> = (0..200).map(|n| (format!("user.{n:0100}"), vec![1; 50])).collect();
    let many: Vec<(&str, &[u8])> =
        many.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
    let long = format!("user.{}", "n".repeat(251));
    for (tree, says) in [
        (with(&[("user.a", &[0; 65_537])]), "length of an attribute's value is 65537"),
        (with(&[(&long, b"")]), "length of an attribute's name is 256"),
        (with(&many), "length of the attributes' names"),
        (with(&[("system.posix_acl_access", b"nonsense")]), "access control list"),
    ] {
        let error = refused(&tree, BlockSize::B4096);
        assert!(error.starts_with("/some/file\\n: ") && error.contains(says), "{error}");
    }
    let tree = with(&[("user.", b"x"), ("com.apple.what", b"x"), ("system.data", b"x"), ("user.kept", b"x")]);
    let image = build(&tree, &Options::default());
    assert_eq!(image.check().layout.dropped_xattrs(), 3);
    // Values that fit only one by one, and as many names as a block holds.
    let fits: Vec<(String, Vec<u8>)> = (0..30).map(|n| (format!("user.{n:0100}"), vec![n; 3000])).collect();
    let fits: Vec<(&str, &[u8])> =
        fits.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
    build(&with(&fits), &Options::default()).check();
}

#[test]
fn many_files_share_a_block_of_attributes() {
    let mut b = Builder::new();
    for n in 0..3000 {
        let shared = with_xattrs(meta(0o644), &[("user.shared", &[7; 500])]);
        b.put(format!("{n}"), shared, Kind::File(Content::Empty));
    }
    let tree = b.tree();
    let image = build(&tree, &Options::default());
    image.check();
    let text = image.layout.dump(&tree).to_string();
    assert!(text.contains("for 1024\n") && text.contains("for 952\n"));
}

#[test]
fn times() {
    for (seconds, clamped) in
        [(i64::MIN, 1), (-(1 << 31) - 1, 1), (-(1 << 31), 0), (1 << 33, 0), (i64::MAX, 1)]
    {
        let metadata = Metadata { mtime: Time { seconds, nanoseconds: 999_999_999 }, ..meta(0o644) };
        let image = build(&one(metadata, Kind::File(Content::Empty)), &Options::default());
        assert_eq!(image.check().layout.clamped_times(), clamped, "{seconds}");
    }
}

#[test]
fn lost_and_found_of_all_kinds() {
    let mut file = Builder::new();
    file.file("lost+found", 10).file("a", 10);
    build(&file.tree(), &Options::default()).check();
    let mut link = Builder::new();
    link.symlink("lost+found", "elsewhere");
    build(&link.tree(), &Options::default()).check();
    let mut full = Builder::new();
    full.put("lost+found", meta(0o711), Kind::Directory(Directory::new()));
    for n in 0..3000 {
        full.file(format!("lost+found/{n}"), 0).dir(format!("lost+found/d{n}"));
    }
    full.dir("inner/lost+found").dir("a");
    let image = build(&full.tree(), &Options::default());
    image.check();
    #[cfg(unix)]
    assert!(image.debugfs("stat /lost+found").contains("Inode: 11 "));
    #[cfg(unix)]
    assert!(image.debugfs("stat /lost+found").contains("Mode:  0711"));
}

#[test]
fn deep_trees_need_no_stack() {
    let tree = Builder::new().dir("d/".repeat(16_000)).tree();
    let image = std::thread::Builder::new()
        .stack_size(256 << 10)
        .spawn(move || build(&tree, &Options::default()))
        .unwrap()
        .join()
        .unwrap();
    image.check();
}

/// Contents of 15 TiB in one piece: extents of 128 MiB, cut at the copies of the superblock.
#[test]
fn huge_data_is_planned() {
    let tree = file(Content::Whole(Span { layer: 0, offset: 0, length: 15 << 40 }));
    let layout = plan(&tree, &Options::default()).unwrap();
    assert!(layout.size() > 16 << 40);
    let short = plan(&tree, &Options { size: Size::Total(15 << 40), ..Options::default() });
    assert!(matches!(short, Err(Error::TooSmall { .. })));
}

#[test]
fn neighbours_are_copied_in_order() {
    let mut b = Builder::new();
    // Names in another order than contents.
    for n in (0..1000).rev() {
        b.file(format!("f{n}"), 5000);
    }
    let image = build(&b.tree(), &Options::default());
    assert_eq!(image.copies, 1000);
    assert!(image.writes < 20, "{} writes", image.writes);
}
