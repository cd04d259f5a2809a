//! What entries mean for a layer: paths, whiteouts, types, hard links, attributes. Each case carries the line
//! of the catalogue of hostile inputs that it stands for.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use support::{Tarball, check, check_with, header};
use unlade_layer::ReadOptions;

fn file(name: &str) -> Vec<u8> {
    Tarball::new().file(name, b"").end()
}

/// A file with a name of any bytes.
fn pax_file(name: &[u8]) -> Vec<u8> {
    Tarball::new().pax(&[("path", name)]).file("x", b"").end()
}

#[test]
fn paths() {
    check(
        "1",
        &file("../../etc/.wh..wh..opq"),
        "invalid: entry 0 (../../etc/.wh..wh..opq): path escapes the root",
    );
    check("2", &file("../x"), "invalid: entry 0 (../x): path escapes the root");
    check("3", &file("a/../b"), "invalid: entry 0 (a/../b): path is not canonical: it has `..` in it");
    check("3", &file("a/.."), "invalid: entry 0 (a/..): path is not canonical: it has `..` in it");
    check("4", &file("/abs"), "abs file 0");
    for name in ["./a", "a", "/./a", ".//a"] {
        check("5", &file(name), "a file 0");
    }
    for name in ["./", ".", "/"] {
        check("5", &Tarball::new().dir(name).end(), "/ dir");
    }
    let root = header(b"./", b'5').mode(b"0000700\0").uid(b"0000005\0");
    let root = Tarball::new().pax(&[("SCHILY.xattr.user.a", b"b")]).raw(root, b"").end();
    check("6", &root, "/ dir 0700 5:0 user.a=b");
    check("8", &Tarball::new().dir("a").dir("b/").file("c/", b"").end(), "a dir\nb dir\nc file 0");
    let v7 = Tarball::new().raw(header(b"d/", b'0').v7(), b"").raw(header(b"e/", 0), b"").end();
    check("8", &v7, "d dir\ne dir");
    check("9", &file(""), "invalid: entry 0: empty name");
    check("9", &pax_file(b"a\0b"), "invalid: entry 0 (a\\x00b): name has a NUL byte in it");
    check("10", &pax_file(&[b'x'; 255]), &format!("{} file 0", "x".repeat(255)));
    check("10", &pax_file(&[&b".wh."[..], &[b'x'; 251]].concat()), &format!("{} remove", "x".repeat(251)));
    let long = "x".repeat(256);
    let refused = format!("invalid: entry 0 ({long}): name of 256 bytes is longer than 255");
    check("10", &pax_file(long.as_bytes()), &refused);
    let deep = vec!["d"; 5000].join("/");
    check("11", &pax_file(deep.as_bytes()), &format!("{deep} file 0"));
    let wide = vec!["y".repeat(255); 256].join("/");
    assert!(wide.len() >= 65535);
    check("11", &pax_file(wide.as_bytes()), &format!("{wide} file 0"));
    let shallow = ReadOptions { depth: 2, ..ReadOptions::default() };
    check_with("11", &file("a/b"), &shallow, "a/b file 0");
    check_with(
        "11",
        &file("a/b/c"),
        &shallow,
        "invalid: entry 0 (a/b/c): path is 3 deep, more than the limit of 2",
    );
    check("12", &pax_file(b"\xff\xfe"), "\\xff\\xfe file 0");
    check("13", &pax_file(b" -\n\t\"\\*%\x1b[0m"), " -\\n\\t\"\\\\*%\\x1b[0m file 0");
    let both = Tarball::new().file("A", b"").file("a", b"").file("\u{e9}", b"").file("e\u{301}", b"").end();
    check("14", &both, "A file 0\na file 0\n\u{e9} file 0\ne\u{301} file 0");
}

#[test]
fn whiteouts() {
    check("16", &file("a/.wh.f"), "a/f remove");
    check("16", &Tarball::new().file("a/.wh.f/", b"").end(), "a/f remove");
    for name in [".wh.", ".wh..", ".wh...", "a/.wh...", "./.wh.../"] {
        check("17", &file(name), &format!("invalid: entry 0 ({name}): invalid whiteout: it names no file"));
    }
    check("18", &file("a/.wh..wh..opq"), "a clear");
    check("22", &file(".wh..wh..opq"), "/ clear");
    let tarball =
        Tarball::new().hardlink(".wh.a", "x").symlink(".wh.b", "x").dir(".wh.c").file(".wh.d", b"data");
    let tarball = tarball.hardlink("e/.wh..wh..opq", "x").raw(header(b".wh.f", b'?'), b"");
    let tarball =
        tarball.raw(header(b".wh.g", b'3').device(9, 9), b"").symlink(".wh.h", "").hardlink(".wh.i", "../..");
    let expected = "a remove\nb remove\nc remove\nd remove\ne clear\nf remove\ng remove\nh remove\ni remove";
    check("23", &tarball.end(), expected);
    let aufs = Tarball::new().dir(".wh..wh.plnk").file(".wh..wh.plnk/1.2", b"x").file(".wh..wh.aufs", b"");
    check("24", &aufs.dir(".wh..wh.orph").end(), "AufsMetadata 4");
    check("25", &file(".wh..wh."), ".wh. remove");
    check("26", &file(".wh.a/b"), ".wh.a/b file 0");
    let null = || Tarball::new().raw(header(b"a", b'3').device(0, 0), b"");
    check("31", &null().end(), "a c 0,0");
    let overlay: &[(&str, &[u8])] = &[
        ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
        ("SCHILY.xattr.trusted.overlay.redirect", b"/x"),
        ("SCHILY.xattr.user.overlay.opaque", b"y"),
        ("SCHILY.xattr.user.overlayed", b"y"),
    ];
    let overlay = Tarball::new().pax(overlay).dir("d").end();
    check("32", &overlay, "d dir user.overlayed=y\nXattrDropped 3");
    let keep = ReadOptions { keep_overlay_xattrs: true, ..ReadOptions::default() };
    let kept =
        "d dir trusted.overlay.opaque=y trusted.overlay.redirect=/x user.overlay.opaque=y user.overlayed=y";
    check_with("32", &overlay, &keep, kept);
}

#[test]
fn types_and_links() {
    let twice = Tarball::new().file("a", b"1").file("a", b"22").end();
    check("43", &twice, "a file 1\na file 2");
    let symlink =
        |length: usize| Tarball::new().pax(&[("linkpath", &vec![b't'; length])]).symlink("l", "x").end();
    for length in [1, 59, 60, 61, 4095] {
        check("44", &symlink(length), &format!("l -> {}", "t".repeat(length)));
    }
    check("44", &symlink(4096), "invalid: entry 0 (l): symlink's text of 4096 bytes is longer than 4095");
    check("44", &Tarball::new().symlink("l", "").end(), "invalid: entry 0 (l): symlink without a text");
    let nul = Tarball::new().pax(&[("linkpath", b"a\0b")]).symlink("l", "x").end();
    check("44", &nul, "invalid: entry 0 (l): symlink's text has a NUL byte in it");
    let verbatim = Tarball::new().symlink("l", "../../../x").symlink("m", "/a//b/").end();
    check("45", &verbatim, "l -> ../../../x\nm -> /a//b/");

    check("50", &Tarball::new().hardlink("a", "./b/c").end(), "a = b/c");
    check("53", &Tarball::new().hardlink("a", "/etc/passwd").end(), "a = etc/passwd");
    let climbing = Tarball::new().hardlink("a", "../../etc/passwd").end();
    check("53", &climbing, "invalid: entry 0 (a): hard link's target: path escapes the root");
    check(
        "53",
        &Tarball::new().hardlink("a", "").end(),
        "invalid: entry 0 (a): hard link's target: empty name",
    );
    let link = || header(b"a", b'1').link(b"b").mode(b"0004711\0").uid(b"0000007\0").mtime(b"00000000005\0");
    let with_data = Tarball::new().sized(link(), b"some data").file("c", b"c").end();
    check("54", &with_data, "a = b 4711 7:0 @5\nc file 1");
    let long_data = Tarball::new().sized(link(), &[b'x'; 1300]).file("c", b"c").end();
    check("54", &long_data, "a = b 4711 7:0 @5\nc file 1");
    // ustar's links have the size of their file and no data; what follows tells.
    let without = Tarball::new().raw(link().size(1300), b"").file("c", b"c").end();
    check("54", &without, "a = b 4711 7:0 @5\nc file 1");
    check("54", &Tarball::new().raw(link().size(1300), b"").end(), "a = b 4711 7:0 @5");
    check("54", &Tarball::new().raw(link().size(9), b"").0, "a = b 4711 7:0 @5\nEndMissing 1");
    let short = Tarball::new().sized(link().size(9), b"some data").0;
    check("54", &short[..1000], "corrupt: entry 0 (a): archive is cut off inside an entry's content");
    let directory =
        Tarball::new().sized(header(b"d", b'5').mode(b"0000755\0"), b"not empty").file("c", b"c").end();
    check("54", &directory, "d dir\nc file 1");
}

#[test]
fn nodes() {
    let device =
        |name: &[u8], flag, major, minor| Tarball::new().raw(header(name, flag).device(major, minor), b"");
    check("69", &device(b"c", b'3', 5000, 2_000_000).end(), "c c 5000,2000000");
    check("69", &device(b"b", b'4', 8, 1).end(), "b b 8,1");
    let fifo = Tarball::new().raw(header(b"p", b'6'), b"").end();
    check("69", &fifo, "p fifo");
    let big = header(b"c", b'3').set(329, b"\x80\0\0\0\xff\xff\xff\xff");
    check("69", &Tarball::new().raw(big, b"").end(), "c c 4294967295,0");
    let bigger = header(b"c", b'3').set(329, b"\x80\0\0\x01\0\0\0\0");
    let refused = "invalid: entry 0 (c): device's major number does not fit 32 bits";
    check("69", &Tarball::new().raw(bigger, b"").end(), refused);
    let drop = ReadOptions { drop_devices: true, ..ReadOptions::default() };
    let mixed = device(b"c", b'3', 1, 3).raw(header(b"b", b'4'), b"").raw(header(b"p", b'6'), b"").end();
    check_with("69", &mixed, &drop, "p fifo\nDeviceDropped 2");

    let unknown = Tarball::new().sized(header(b"u", b'~'), b"data").file("a", b"a").end();
    check("68", &unknown, "a file 1\nUnknownType 1");
    let strict = ReadOptions { strict: true, ..ReadOptions::default() };
    check_with("68", &unknown, &strict, "unsupported: entry 0 (u): entry of unknown type \"~\"");
    let gnu = Tarball::new()
        .raw(header(b"label", b'V').gnu(), b"")
        .sized(header(b"d/", b'D').gnu().mode(b"0000755\0"), b"Yf\0\0")
        .sized(header(b"c", b'7'), b"cont")
        .end();
    check("68", &gnu, "d dir\nc file 4");
    let volume = Tarball::new().sized(header(b"m", b'M').gnu(), b"rest").end();
    check("68", &volume, "unsupported: entry 0 (m): part of a file whose start is in another volume");
}

#[test]
fn attributes() {
    let one = |key: &str, value: &[u8]| Tarball::new().pax(&[(key, value)]).file("f", b"").end();
    let capability = b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let shown = format!("f file 0 security.capability={}", tree::escape(capability));
    check("74", &one("SCHILY.xattr.security.capability", capability), &shown);
    check("75", &one("LIBARCHIVE.xattr.user.%25a%3d", b"aGVsbG8"), "f file 0 user.%a==hello");
    check("75", &one("LIBARCHIVE.xattr.user.a", b"aGVsbG8="), "f file 0 user.a=hello");
    check(
        "75",
        &one("LIBARCHIVE.xattr.user.a", b"???"),
        "corrupt: entry 0 (f): extended attribute \"user.a\" is not base 64",
    );
    let bad = "corrupt: entry 0 (f): name of an extended attribute is badly encoded: \"user.%4\"";
    check("75", &one("LIBARCHIVE.xattr.user.%4", b""), bad);
    for order in [[0, 1], [1, 0]] {
        let both: [(&str, &[u8]); 2] = [("SCHILY.xattr.user.a", b"s"), ("LIBARCHIVE.xattr.user.a", b"bGk")];
        let both = Tarball::new().pax(&order.map(|i| both[i])).file("f", b"").end();
        check("75", &both, "f file 0 user.a=s");
    }
    check("76", &one("SCHILY.xattr.trusted.x", b"1"), "f file 0 trusted.x=1");
    for key in ["SCHILY.xattr.security.selinux", "RHT.security.selinux"] {
        check("76", &one(key, b"u:r:t\0"), "f file 0\nXattrDropped 1");
        let keep = ReadOptions { keep_selinux: true, ..ReadOptions::default() };
        check_with("76", &one(key, b"u:r:t\0"), &keep, "f file 0 security.selinux=u:r:t\\x00");
    }
    check("77", &one("SCHILY.xattr.user.a", b"\0\n=\xff"), "f file 0 user.a=\\x00\\n=\\xff");
    check("77", &one("SCHILY.xattr.user.a", b""), "f file 0 user.a=");
    let name = |length: usize| format!("user.{}", "n".repeat(length - 5));
    let key = |length| format!("SCHILY.xattr.{}", name(length));
    check("77", &one(&key(255), b"v"), &format!("f file 0 {}=v", name(255)));
    let refused = format!(
        "invalid: entry 0 (f): extended attribute \"{}\" has a name of 256 bytes, more than 255",
        name(256)
    );
    check("77", &one(&key(256), b"v"), &refused);
    let refused =
        "invalid: entry 0 (f): extended attribute \"user.a\" has a value of 65537 bytes, more than 65536";
    check("77", &one("SCHILY.xattr.user.a", &[b'v'; 65537]), refused);
    check(
        "77",
        &one("SCHILY.xattr.user.a", &[b'v'; 65536]),
        &format!("f file 0 user.a={}", "v".repeat(65536)),
    );
    check("77", &one("SCHILY.xattr.", b"v"), "invalid: entry 0 (f): extended attribute without a name");
    for key in ["SCHILY.xattr.user.rootlesscontainers", "SCHILY.xattr.user.containers.override_stat"] {
        check("78", &one(key, b"0:0:0755"), "f file 0\nXattrDropped 1");
        let keep = ReadOptions { keep_rootless_xattrs: true, ..ReadOptions::default() };
        check_with("78", &one(key, b"x"), &keep, &format!("f file 0 {}=x", &key[13..]));
    }
}

#[test]
fn access_control_lists() {
    let one = |key: &str, value: &str| Tarball::new().pax(&[(key, value.as_bytes())]).dir("d").end();
    let entry = |tag: u16, bits: u16, id: u32| {
        [&tag.to_le_bytes()[..], &bits.to_le_bytes(), &id.to_le_bytes()].concat()
    };
    let full = [
        vec![2, 0, 0, 0],
        entry(1, 7, !0),
        entry(2, 5, 7),
        entry(2, 6, 1000),
        entry(4, 5, !0),
        entry(8, 4, 100),
        entry(16, 7, !0),
        entry(32, 0, !0),
    ]
    .concat();
    let shown = |name: &str, bytes: &[u8]| format!("d dir system.posix_acl_{name}={}", tree::escape(bytes));
    for text in [
        "user::rwx,user:1000:rw-,user:7:r-x,group::r-x,group:100:r--,mask::rwx,other::---",
        "user::rwx\nuser:alice:rw-:1000\nuser:bob:r-x:7\ngroup::r-x\ngroup:staff:r--:100\nmask::rwx\nother::---\n",
        "u::rwx\nu:7:r-x #effective:r-x\ng::r-x\ng:100:r--\nm:rwx\no:---\nu:1000:rw\n",
    ] {
        check("76", &one("SCHILY.acl.access", text), &shown("access", &full));
        check("76", &one("SCHILY.acl.default", text), &shown("default", &full));
    }
    let small = [vec![2, 0, 0, 0], entry(1, 7, !0), entry(4, 5, !0), entry(32, 5, !0)].concat();
    let text = "user::rwx,group::r-x,other::r-x";
    // An access list of three says what the mode says.
    check("76", &one("SCHILY.acl.access", text), "d dir");
    check("76", &one("SCHILY.acl.default", text), &shown("default", &small));
    let nameless = one("SCHILY.acl.access", "user::rwx,user:alice:rwx,group::---,mask::rwx,other::---");
    check("76", &nameless, "d dir\nXattrDropped 1");
    let strict = ReadOptions { strict: true, ..ReadOptions::default() };
    let refused = "unsupported: entry 0 (d): access control list names a user without a number";
    check_with("76", &nameless, &strict, refused);
    for text in [
        "user::rwx",
        "user::rwx,user:1:rwx,group::---,other::---",
        "user::rwx,user::rwx,group::---,other::---",
    ] {
        check(
            "76",
            &one("SCHILY.acl.access", text),
            "invalid: entry 0 (d): access control list is not valid",
        );
    }
    let bad = "corrupt: entry 0 (d): access control list has a bad entry: \"user::rwz\"";
    check("76", &one("SCHILY.acl.access", "user::rwz"), bad);
}

#[test]
fn lazy_pull_metadata() {
    let tarball = Tarball::new()
        .file(".prefetch.landmark", b"\x0f")
        .file("./.no.prefetch.landmark", b"\x0f")
        .file("stargz.index.json", b"{}")
        .file("a/stargz.index.json", b"{}")
        .end();
    check("84", &tarball, "a/stargz.index.json file 2\nLazyPullMetadata 3");
    let keep = ReadOptions { keep_lazy_pull_metadata: true, ..ReadOptions::default() };
    let kept = ".prefetch.landmark file 1\n.no.prefetch.landmark file 1\nstargz.index.json file 2\na/stargz.index.json file 2";
    check_with("84", &tarball, &keep, kept);
}
