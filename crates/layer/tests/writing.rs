//! Writing trees as tarballs: what is written reads back as the same tree.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use support::{Memory, Tarball, failure, header, read_with};
use tree::{
    Action, Change, Content, Device, Directory, Dump, Kind, Metadata, Notes, Path, Time, Tree, Xattrs,
};
use unlade_layer::{ReadOptions, write};

fn written(tree: &Tree, space: &[u8]) -> Vec<u8> {
    let mut memory = Memory { space, bytes: Vec::new() };
    let length = write(tree, &mut memory).unwrap();
    assert_eq!(length, memory.bytes.len() as u64);
    assert!(length.is_multiple_of(512));
    memory.bytes
}

/// Everything that reading keeps: the default strips what belongs to hosts.
fn keep_all() -> ReadOptions {
    ReadOptions {
        keep_overlay_xattrs: true,
        keep_selinux: true,
        keep_rootless_xattrs: true,
        keep_lazy_pull_metadata: true,
        ..ReadOptions::default()
    }
}

fn tree_of(tarball: &[u8]) -> (Tree, Vec<u8>) {
    let (layer, space) = read_with(tarball, &keep_all()).unwrap();
    assert!(layer.notes.is_empty(), "{:?}", layer.notes);
    let mut tree = Tree::default();
    tree.apply(3, layer.changes, &mut Notes::default()).unwrap();
    (tree, space)
}

/// The tree as text, with every file's bytes and the holes that were declared.
fn shown(tree: &Tree, space: &[u8]) -> String {
    let mut text = String::new();
    let mut first: Vec<Option<String>> = vec![None; tree.table_length()];
    let mut walk = tree.walk();
    while let Some(visit) = walk.step() {
        let path = tree::escape(visit.path).to_string();
        let node = tree.node(visit.node);
        text += &format!("{path} {:?} {} ", node.metadata, node.names);
        if let Some(first) = &first[visit.node.index()] {
            text += &format!("= {first}\n");
            continue;
        }
        first[visit.node.index()] = Some(path);
        match &node.kind {
            Kind::Directory(_) => text += "dir\n",
            Kind::File(content) => {
                let mut bytes = vec![0; content.size() as usize];
                if let Content::Inline(inline) = content {
                    bytes.copy_from_slice(inline);
                }
                for piece in content.pieces() {
                    let start = piece.span.offset as usize;
                    let data = &space[start..start + piece.span.length as usize];
                    bytes[piece.at as usize..][..data.len()].copy_from_slice(data);
                }
                let holes = match content {
                    Content::Pieces { declared: true, pieces, .. } => {
                        pieces.iter().map(|piece| (piece.at, piece.span.length)).collect()
                    }
                    _ => vec![],
                };
                let sum = bytes.iter().fold(0u64, |sum, &b| sum.wrapping_mul(31).wrapping_add(u64::from(b)));
                text += &format!("file {} {sum:x} {holes:?}\n", bytes.len());
            }
            kind => text += &format!("{kind:?}\n"),
        }
    }
    text
}

/// Written and read back it is the same, and written once more as well.
fn check(tree: &Tree, space: &[u8]) {
    let tarball = written(tree, space);
    let (again, again_space) = tree_of(&tarball);
    assert_eq!(shown(tree, space), shown(&again, &again_space));
    assert!(written(&again, &again_space) == tarball);
}

#[test]
fn an_empty_tree() {
    let tarball = written(&Tree::default(), &[]);
    assert_eq!(tarball.len(), 1536);
    let (layer, _) = read_with(&tarball, &ReadOptions::default()).unwrap();
    assert_eq!(support::shown(&layer), "/ dir");
    assert!(tarball.starts_with(b"./\0"));
}

#[test]
fn everything_comes_back() {
    let long = "n".repeat(200);
    let prefixed = format!("{}/{}", "p".repeat(150), "n".repeat(90));
    let deep = vec!["d".repeat(99); 40].join("/");
    let sparse =
        header(b"sparse", b'S').gnu().set(483, b"00004000000\0").set(386, b"00000010000\x0000000010000\0");
    let tarball = Tarball::new()
        .pax(&[("mtime", b"-1.25"), ("SCHILY.xattr.user.r", b"root")])
        .raw(header(b"./", b'5').mode(b"0000711\0").uid(b"0000005\0"), b"")
        .file("a", b"a file")
        .hardlink("b", "a")
        .symlink("c", "../x/\u{fc}")
        .hardlink("d", "c")
        .pax(&[("path", long.as_bytes()), ("linkpath", &[b't'; 300])])
        .symlink("x", "y")
        .pax(&[("path", prefixed.as_bytes())])
        .file("x", &[1; 5000])
        .pax(&[("path", deep.as_bytes())])
        .file("x", b"deep")
        .pax(&[("path", b"\xff\xfe"), ("uid", b"4294967295"), ("gid", b"2097152")])
        .file("x", b"")
        .pax(&[("path", &[b"\xff".repeat(120), b"/\xfe".repeat(60)].concat())])
        .dir("x")
        .pax(&[("linkpath", &b"\xff".repeat(101))])
        .symlink("raw", "x")
        .pax(&[("mtime", b"8589934592.000000001")])
        .dir("future")
        .pax(&[("mtime", b"8589934591")])
        .dir("near future")
        .raw(header(b"char", b'3').device(4095, 1 << 20), b"")
        .raw(header(b"block", b'4').set(329, b"\x80\0\0\0\xff\xff\xff\xff\x80\0\0\0\xff\xff\xff\xfe"), b"")
        .raw(header(b"fifo", b'6').mode(b"0007777\0"), b"")
        .hardlink("zz", "fifo")
        .pax(&[
            ("SCHILY.xattr.user.v", b"\0\n=\xff"),
            ("LIBARCHIVE.xattr.user.%3D%25%FF", b"AP8"),
            ("SCHILY.xattr.user.e", b""),
        ])
        .file("attributes", b"x")
        .sized(sparse, &[7; 4096])
        .pax(&[
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.name", format!("dir/{long}").as_bytes()),
            ("GNU.sparse.realsize", b"100000"),
        ])
        .file("x", &[&b"0\n"[..], &[0; 510]].concat())
        .file("found", &[vec![1; 4096], vec![0; 200_000], vec![2; 5]].concat())
        .end();
    let (tree, space) = tree_of(&tarball);
    assert!(Dump(&tree).to_string().lines().count() > 20);
    check(&tree, &space);
}

#[test]
fn inline_content_and_sockets() {
    let put = |name: &str, kind| {
        let path = Path::parse(name.as_bytes(), 9).unwrap();
        Change { entry: 0, path, action: Action::Put(Metadata::implicit(), kind) }
    };
    let mut tree = Tree::default();
    let inline = Kind::File(Content::Inline(vec![b'i'; 1000].into()));
    tree.apply(0, vec![put("etc/inline", inline)], &mut Notes::default()).unwrap();
    let (again, space) = tree_of(&written(&tree, &[]));
    assert_eq!(shown(&tree, &[]), shown(&again, &space));
    tree.apply(1, vec![put("run/s", Kind::Socket)], &mut Notes::default()).unwrap();
    let error = write(&tree, &mut Memory { space: &[], bytes: Vec::new() }).unwrap_err();
    assert_eq!(failure(&error), "unsupported: run/s: socket, which a tarball cannot hold");
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Directory(Directory::new())),
        vec(any::<u8>(), 0..700).prop_map(|bytes| match bytes.is_empty() {
            true => Kind::File(Content::Empty),
            false => Kind::File(Content::Inline(bytes.into())),
        }),
        vec(1..=255u8, 1..200).prop_map(|text| Kind::Symlink(text.into())),
        (any::<u32>(), any::<u32>()).prop_map(|(major, minor)| Kind::CharDevice(Device { major, minor })),
        Just(Kind::Fifo),
    ]
}

fn metadata() -> impl Strategy<Value = Metadata> {
    let id = || prop_oneof![0..3u32, any::<u32>()];
    let seconds = prop_oneof![Just(0i64), -9i64..9, any::<i64>(), Just(8_589_934_591), Just(8_589_934_592)];
    let nanoseconds = prop_oneof![Just(0u32), 0..1_000_000_000u32];
    let xattrs = btree_map(vec(1..=255u8, 1..30), vec(any::<u8>(), 0..300), 0..3);
    (0..0o10000u16, id(), id(), seconds, nanoseconds, xattrs).prop_map(
        |(mode, uid, gid, seconds, nanoseconds, xattrs)| {
            let seconds = seconds.max(i64::MIN + 2);
            let xattrs: Xattrs = xattrs.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
            let xattrs = (!xattrs.is_empty()).then(|| Box::new(xattrs));
            Metadata { mode, uid, gid, mtime: Time { seconds, nanoseconds }, xattrs }
        },
    )
}

/// A path of names that mean nothing special, of bytes that need not be text.
fn paths() -> impl Strategy<Value = Path> {
    let name = prop_oneof![
        "[a-c]{1,2}".prop_map(String::into_bytes),
        vec(prop_oneof![Just(0xffu8), Just(b'='), Just(b'\n'), b'a'..=b'z'], 80..130),
    ];
    vec(name, 1..5).prop_map(|names| Path::parse(&names.join(&b'/'), 99).unwrap())
}

proptest! {
    #[test]
    fn trees_come_back(nodes in vec((paths(), metadata(), kinds()), 0..12), links in vec((paths(), any::<proptest::sample::Index>()), 0..3)) {
        let mut tree = Tree::default();
        let mut names = Vec::new();
        for (path, metadata, kind) in nodes {
            let change = Change { entry: 0, path: path.clone(), action: Action::Put(metadata, kind) };
            // What does not fit the tree so far is left out.
            let mut grown = tree.clone();
            if grown.apply(3, vec![change], &mut Notes::default()).is_ok() {
                tree = grown;
                names.push(path);
            }
        }
        for (path, index) in links.into_iter().filter(|_| !names.is_empty()) {
            let target = names[index.index(names.len())].clone();
            let action = Action::Link { target, metadata: Metadata::implicit() };
            let mut grown = tree.clone();
            if grown.apply(3, vec![Change { entry: 0, path, action }], &mut Notes::default()).is_ok() {
                tree = grown;
            }
        }
        check(&tree, &[]);
    }
}
