//! What EROFS cannot hold is an error that names the file; what is merely odd works.
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

use common::{Builder, build, device, meta, newest, one, with_xattrs};
use tree::{Content, Kind, Piece, Span, Tree};
use unlade_erofs::{BlockSize, Error, Kernel, Label, Options, plan};

fn file(content: Content) -> Tree {
    one(meta(0o644), Kind::File(content))
}

fn refused(tree: &Tree, block_size: BlockSize) -> String {
    plan(tree, &newest(block_size)).expect_err("beyond a limit").to_string()
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
    let before = |block_size| Options { min_kernel: "6.14".parse().unwrap(), ..newest(block_size) };
    for (tree, block_size, says) in [
        (pieces(largest + 1, &[]), four_k, "size is 17592186040321, EROFS holds at most 17592186040320"),
        (pieces(u64::MAX, &[]), four_k, "size is 18446744073709551615"),
        (pieces(3 << 40, &[]), BlockSize::B512, "holds at most 2199023255040"),
        (file(Content::Whole(Span { layer: 0, offset: 0, length: u64::MAX })), four_k, "size is"),
        (file(Content::Whole(Span { layer: 0, offset: u64::MAX, length: 9 })), four_k, "piece"),
        (pieces(8192, &[(0, 0, 4096), (0, 4096, 4096)]), four_k, "overlap"),
        (pieces(8192, &[(4096, 0, 4096), (0, 4096, 4096)]), four_k, "overlap"),
        (pieces(8192, &[(4096, 0, 4097)]), four_k, "behind its end"),
        (pieces(8192, &[(u64::MAX - 4095, 0, 5000)]), four_k, "behind its end"),
        (pieces(8192, &[(100, 0, 100)]), four_k, "does not start at a block"),
    ] {
        let error = plan(&tree, &before(block_size)).expect_err("beyond a limit").to_string();
        assert!(error.starts_with("/some/file\\n: ") && error.contains(says), "{error}");
    }
    plan(&pieces(largest, &[]), &Options::default()).unwrap();
}

#[test]
fn links_and_devices() {
    let link = |length| one(meta(0o777), Kind::Symlink(vec![b'x'; length].into()));
    assert!(refused(&link(4096), BlockSize::B4096).contains("length of the symbolic link"));
    assert!(refused(&link(0), BlockSize::B4096).contains("symbolic link is empty"));
    for (major, minor, says) in [(4096, 0, "major"), (0, 1 << 20, "minor"), (u32::MAX, u32::MAX, "major")] {
        let tree = one(meta(0o600), Kind::CharDevice(device(major, minor)));
        assert!(refused(&tree, BlockSize::B4096).contains(says));
    }
    // More than small inodes count, and more than ext4 does.
    let mut b = Builder::new();
    b.file("first", 10);
    for n in 1..70_000 {
        b.link(format!("{n}"), "first");
    }
    let tree = b.tree();
    build(&tree, &Options::default()).check(&tree);
}

#[test]
fn attributes() {
    let with = |xattrs: &[(&str, &[u8])]| one(with_xattrs(meta(0o644), xattrs), Kind::File(Content::Empty));
    let many = |count: u32| -> Vec<(String, Vec<u8>)> {
        (0..count).map(|n| (format!("user.{n:0100}"), vec![n as u8; 850])).collect()
    };
    let borrowed = |many: &[(String, Vec<u8>)]| -> Tree {
        let many: Vec<(&str, &[u8])> = many.iter().map(|(name, value)| (&**name, &**value)).collect();
        with(&many)
    };
    let long = format!("user.{}", "n".repeat(251));
    for (tree, says) in [
        (with(&[("user.a", &[0; 65_536])]), "length of an attribute's value is 65536"),
        (with(&[(&long, b"")]), "length of an attribute's name is 256"),
        (borrowed(&many(300)), "length of all attributes is 286812"),
        (with(&[("system.posix_acl_access", b"nonsense")]), "access control list"),
    ] {
        let error = refused(&tree, BlockSize::B4096);
        assert!(error.starts_with("/some/file\\n: ") && error.contains(says), "{error}");
    }
    let tree = with(&[("user.", b"x"), ("com.apple.what", b"x"), ("system.data", b"x"), ("user.kept", b"x")]);
    assert_eq!(plan(&tree, &Options::default()).unwrap().dropped_xattrs(), 3);
    // As many as system calls list, and more than can be shared.
    let tree = borrowed(&many(270));
    build(&tree, &Options::default()).check(&tree);
    let mut b = Builder::new();
    let many = many(270);
    let many: Vec<(&str, &[u8])> = many.iter().map(|(name, value)| (&**name, &value[..300])).collect();
    for n in 0..30 {
        b.put(format!("{n}"), with_xattrs(meta(0o644), &many), Kind::File(Content::Empty));
    }
    let tree = b.tree();
    let image = build(&tree, &Options::default());
    image.check(&tree);
    assert!(image.layout.size() < 400_000, "{}", image.layout.size());
}

#[test]
fn attributes_are_shared_where_that_is_less() {
    for (value, files, shared) in [(100, 1, 0), (100, 2, 1), (0, 100, 0), (4, 2, 0), (4, 9, 1)] {
        let mut b = Builder::new();
        for n in 0..files {
            let xattrs = with_xattrs(meta(0o644), &[("user.a", &vec![7; value])]);
            b.put(format!("{n}"), xattrs, Kind::File(Content::Empty));
        }
        let tree = b.tree();
        let dump = build(&tree, &Options::default()).check(&tree).layout.dump(&tree).to_string();
        assert_eq!(dump.contains(&format!("shared attributes: {shared} ")), shared > 0, "{value} {files}");
    }
}

#[test]
fn options() {
    assert!(matches!(Label::parse(b"sixteen bytes ok"), Err(Error::Label { length: 16 })));
    assert!(Label::parse(b"a\0b").is_err());
    assert!(Label::parse(b"fifteen bytes..").is_ok());
    let small = Options { block_size: BlockSize::B512, ..Options::default() };
    let error = plan(&Tree::default(), &small).unwrap_err().to_string();
    assert_eq!(
        error,
        "blocks of other than 4096 bytes need Linux 6.4, and Linux 6.1 is to read the filesystem"
    );
    assert_eq!(Kernel::DEFAULT.to_string(), "6.1");
}

#[test]
fn label_and_uuid_are_there() {
    let (label, uuid) = (Label::parse(b"a label").unwrap(), *b"0123456789abcdef");
    let image = build(&Tree::default(), &Options { label, uuid, ..Options::default() });
    let superblock = testkit::erofs::superblock(&std::fs::File::open(&image.path).unwrap()).unwrap();
    assert_eq!((superblock.uuid, &superblock.label[..]), (uuid, &b"a label"[..]));
    let mut blkid = testkit::tools::command("blkid");
    let said = testkit::tools::run(blkid.args(["-p", "-o", "export"]).arg(&image.path)).unwrap();
    let said = String::from_utf8(said).unwrap();
    for line in ["LABEL=a label", "UUID=30313233-3435-3637-3839-616263646566", "TYPE=erofs"] {
        let escaped = line.replace(' ', "\\ ");
        assert!(said.lines().any(|found| found == line || found == escaped), "{said}");
    }
}

#[test]
fn deep_trees_need_no_stack() {
    let tree = Builder::new().dir("d/".repeat(16_000)).tree();
    let planned = std::thread::Builder::new()
        .stack_size(256 << 10)
        .spawn(move || build(&tree, &Options::default()).layout.inodes())
        .unwrap()
        .join()
        .unwrap();
    assert_eq!(planned, 16_001);
}

/// Contents of 15 TiB in one piece, and what cannot be addressed.
#[test]
fn huge_data_is_planned() {
    let whole = |length| Kind::File(Content::Whole(Span { layer: 0, offset: 0, length }));
    let tree = one(meta(0o644), whole(15 << 40));
    let layout = plan(&tree, &Options::default()).unwrap();
    assert!(layout.size() > 15 << 40);
    let tree =
        Builder::new().put("a", meta(0o644), whole(9 << 40)).put("b", meta(0o644), whole(9 << 40)).tree();
    let error = plan(&tree, &Options::default()).unwrap_err();
    assert!(matches!(error, Error::TooLarge { blocks, block_size: 4096, .. } if blocks > 1 << 32), "{error}");
}
