//! A tree that has everything.

use tree::{Content, Directory, Kind, Span, Time, Tree};

use super::{Builder, device, meta, with_xattrs};

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

/// One of everything.
pub(crate) fn zoo() -> Tree {
    zoo_of(Builder::new())
}

/// The same, of which something can be compressed.
pub(crate) fn compressible_zoo() -> Tree {
    zoo_of(Builder::of_layer(1))
}

/// Files of which something can be compressed, of all sizes.
pub(crate) fn compressible() -> Tree {
    let mut b = Builder::of_layer(1);
    for n in 0..200 {
        b.file(format!("of all sizes/{n}"), n * n * 5 + n);
    }
    b.file("some segments", 9 * (1 << 20) + 1234)
        .file("whole segments", 8 << 20)
        .link("again", "whole segments");
    // Files that are equal.
    for length in [4097, 50_000, 3 << 20] {
        let span = b.span(length);
        for copy in 0..2 {
            b.put(format!("equal/{length}/{copy}"), meta(0o644), Kind::File(Content::Whole(span)));
        }
    }
    // Indexes that begin anywhere.
    for length in 0..40 {
        let content = Content::Whole(b.span(1000 * length + 3000));
        let metadata = with_xattrs(meta(0o644), &[("user.x", &vec![length as u8; length as usize * 90])]);
        b.put(format!("attributes/{length}"), metadata, Kind::File(content));
    }
    b.sparse("holes", 1 << 20, &[(65_536, 200_000), (1 << 19, 1 << 18)]).sparse(
        "hole",
        4 << 20,
        &[(0, 4096)],
    );
    b.tree()
}

fn zoo_of(mut b: Builder) -> Tree {
    b.put("./", meta(0o751), Kind::Directory(Directory::new()));
    b.dir("bin").dir("etc").dir("dev").dir("deep/er/and/deeper").dir("many").dir("-");
    b.file("bin/sh", 123_457).file("bin/empty", 0).file("etc/passwd", 1).file("big", 20 << 20);
    for size in
        [31, 32, 511, 512, 513, 2000, 4031, 4032, 4033, 4063, 4064, 4065, 4095, 4096, 4097, 8191, 8192]
    {
        b.file(format!("sizes/{size}"), size);
    }
    b.inline("etc/hostname", b"unlade\n").inline("etc/long", &[b'x'; 9000]).inline("etc/full", &[b'x'; 4096]);
    b.link("bin/bash", "bin/sh").link("zzz", "etc/hostname");
    for length in [1, 59, 400, 512, 4000, 4032, 4064, 4065, 4095] {
        b.symlink(format!("links/{length}"), vec![b'l'; length]);
    }
    b.put("dev/null", meta(0o666), Kind::CharDevice(device(1, 3)));
    b.put("dev/disk", meta(0o660), Kind::BlockDevice(device(4095, (1 << 20) - 1)));
    b.put("dev/zero", meta(0o660), Kind::CharDevice(device(0, 0)));
    b.put("dev/256", meta(0o660), Kind::CharDevice(device(255, 256)));
    b.put("dev/fifo", meta(0o600), Kind::Fifo).put("dev/log", meta(0o777), Kind::Socket);
    b.link("dev/fifo2", "dev/fifo").link("link2", "links/59");
    b.sparse("hole", 1 << 24, &[]).sparse(
        "holes",
        3 << 24,
        &[(4096, 4096), (1 << 22, 5000), ((3 << 24) - 4096, 4096)],
    );
    b.sparse("tail", 3 << 20, &[(8192, 4096), (16_384, 8192)]).sparse("short", 5000, &[(0, 4096)]);
    b.sparse("empty hole", 100, &[]);
    let pieces: Vec<(u64, u64)> = (0..3000).map(|n| (n * 131_072, 4096)).collect();
    b.sparse("deep/holes", 3000 * 131_072 + 5, &pieces);
    b.put(&b"\xff\xfename"[..], meta(0o644), Kind::File(Content::Empty));
    b.put(b"n".repeat(255), meta(0o4755), Kind::File(Content::Empty));
    for n in 0..3000 {
        b.file(format!("many/name number {n}"), n % 3);
    }
    for (name, seconds) in [("old", i64::MIN), ("1901", -(1 << 31)), ("future", i64::MAX), ("1969", -1)] {
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
        let content = Content::Whole(b.span(1000 * n + 17));
        b.put(format!("shared{n}"), with_xattrs(meta(0o755), xattrs), Kind::File(content));
    }
    let large: &[(&str, &[u8])] =
        &[("user.largest", &[9; 65_535]), ("trusted.mid", &[5; 3000]), ("user.s", b"x")];
    let content = Content::Whole(b.span(5000));
    b.put("large", with_xattrs(meta(0o755), large), Kind::File(content));
    b.put("large2", with_xattrs(meta(0o755), &large[..2]), Kind::Directory(Directory::new()));
    let link = with_xattrs(meta(0o777), &[("trusted.t", &[3; 200])]);
    b.put("link3", link, Kind::Symlink([b'l'; 59][..].into()));
    b.tree()
}

/// Files that have parts of each other, wherever these begin and end, of a layer that can be compressed in parts; or of
/// layer 0, which is noise.
pub(crate) fn overlapping(layer: u32) -> Tree {
    let mut b = Builder::of_layer(layer);
    let spans = [
        (0, 3_000_000),
        (0, 2_000_001),
        (100_001, 1_000_000),
        (7, 9_000_000),
        (2_950_000, 100_000),
        (12_345_678, 400_000),
        (12_345_000, 200_000),
        (12_300_000, 600_000),
        (12_700_000, 45_678),
        (12_500_000, 4097),
        (20_000_000, 6_000_000),
        (21_000_003, 5_000_000),
    ];
    for (nth, (offset, length)) in spans.into_iter().enumerate() {
        let metadata = with_xattrs(meta(0o644), &[("user.x", &vec![7; nth * 200])]);
        b.put(format!("{nth}"), metadata, Kind::File(Content::Whole(Span { layer, offset, length })));
    }
    b.link("again", "2").file("other", 70_000).sparse("deep/holes", 10 << 20, &[(65_536, 8192)]).tree()
}
