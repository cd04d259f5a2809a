//! Lines 16 to 33: what removes.

use testkit::tarball::{Tarball, header};

use crate::case::{Case, any_order, entries, refused, tree};

#[test]
fn whiteouts() {
    crate::check::check_all(cases());
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = vec![
        tree(16, "of a file", ["f a 1; f b 2", "rm a"], "b=2"),
        tree(16, "of a directory", ["f d/x/y 1; f e 2", "rm d"], "e=2"),
        tree(16, "of nothing", ["f a 1", "rm b; rm c/d"], "a=1"),
        tree(16, "below a file", ["f f 1", "rm f/x"], "f=1"),
        tree(16, "two layers above", ["f a 1; f b 2", "f c 3", "rm a"], "b=2 c=3"),
        tree(16, "and made anew above", ["f a 1; f d/b 2", "rm a; rm d", "f a 3; f d/c 4"], "a=3 d/ d/c=4"),
        tree(16, "one removal behind another", ["f real/a 1; l l real", "rm l; rm l/a"], "real/ real/a=1"),
        tree(22, "with a name of its own", ["f a 1", "clear .; 700 d ./; f n 3"], "/[0700] n=3"),
        tree(23, "of all types", [entries("f a 1; f b 1; d c; f d 1; f e/x 1; f f 1; f g 1; f h 1"), typed()], "e/"),
        tree(24, "aufs's own", aufs(), "a= !AufsMetadata*4"),
        tree(24, "aufs's own, over what has the name without it", [entries("f .wh.plnk/x 1"), aufs()], ".wh.plnk/ .wh.plnk/x=1 a= !AufsMetadata*4"),
        tree(25, "of a prefix", [Tarball::new().dir("d").file("d/a", b""), Tarball::new().file("d/.wh..wh.", b"")], "d/ d/a="),
        tree(25, "of a whiteout's name", [entries("f a 1"), Tarball::new().file(".wh..wh.a", b"")], "a=1"),
        tree(26, "in a directory's name", [entries("f a/b 1"), Tarball::new().file(".wh.a/b", b"2")], ".wh.a/ .wh.a/b=2 a/ a/b=1"),
        tree(26, "in a directory's name, twice", [entries("f .wh.a/b 1; f .wh.a/c 2"), entries("rm .wh.a/b")], ".wh.a/ .wh.a/c=2"),
        tree(27, "in the lowest layer", ["rm a; clear b; clear .; f c 1"], "c=1"),
        tree(27, "in the lowest layer, alone", ["rm a"], ""),
        tree(28, "of a symlink", ["f t/a 1; l l t", "rm l"], "t/ t/a=1"),
        tree(29, "through a symlink", ["f real/a 1; f real/b 2; l lnk real", "rm lnk/a"], "lnk->real real/ real/b=2"),
        tree(29, "through one that is absolute", ["f real/a 1; f real/b 2; l x/lnk /real", "rm x/lnk/a"], "real/ real/b=2 x/ x/lnk->/real"),
        tree(29, "through one that climbs", ["f etc/passwd 1; l up ../../..", "rm up/etc/passwd"], "etc/ up->../../.."),
        tree(29, "through one that leads nowhere", ["l l nowhere", "rm l/a"], "l->nowhere"),
        tree(29, "through one of the same layer", ["f real/a 1; d l", "l l real; rm l/a"], "l->real real/ real/a=1"),
        refused(29, "through a loop", ["l a b; l b a", "rm a/x"], "layer 2: tree: entry 0 (a): symlink \"a\" leads into a loop (more than 40 links)"),
        tree(30, "opaque through a symlink", ["f real/a 1; l l real", "clear l"], "l->real real/ !OpaqueThroughSymlink"),
        tree(31, "a device 0:0", [entries("f a 1; f b 2"), Tarball::new().raw(header(b"a", b'3'), b"")], "a%0,0 b=2"),
        tree(32, "overlayfs's attributes", [entries("f d/a 1"), overlay()], "d/{user.overlayed=y} d/a=1 !XattrDropped*3"),
        tree(
            32,
            "overlayfs's attributes, kept",
            [entries("f d/a 1"), overlay()],
            "d/{trusted.overlay.opaque=y}{trusted.overlay.redirect=/x}{user.overlay.opaque=y}{user.overlayed=y} d/a=1",
        )
        .with(|options| options.layers.read.keep_overlay_xattrs = true),
        tree(33, "of one of three names", ["f a 1; h b a; h c a", "rm a"], "b=1 c=>b"),
        tree(33, "of one after the other", ["f a 1; h b a; f d 2", "rm a", "rm b"], "d=2"),
        tree(33, "of a directory with names", ["f d/a 1; h b d/a; h d/c d/a", "rm d"], "b=1"),
    ];
    for (name, shown) in [
        (".wh.", ".wh."),
        (".wh..", ".wh.."),
        (".wh...", ".wh..."),
        ("d/.wh...", "d/.wh..."),
        ("./.wh../", "./.wh../"),
    ] {
        let said = format!("layer 2: invalid: entry 1 ({shown}): invalid whiteout: it names no file");
        cases.push(refused(17, name, [entries("f d/x 1"), entries("f a 1").file(name, b"")], &said));
    }
    cases.extend(any_order(
        18,
        "opaque",
        "f d/a 1; f d/e/f 1",
        "clear d;d d;f d/b 2;f d/c 3",
        "d/ d/b=2 d/c=3",
    ));
    cases.extend(any_order(
        19,
        "opaque without an entry",
        "700 d d; f d/a 1",
        "clear d;f d/b 2;f d/c 3",
        "d/[0700] d/b=2 d/c=3",
    ));
    cases.extend(any_order(19, "opaque alone", "700 d d; f d/a 1", "clear d;f b 2", "b=2 d/[0700]"));
    cases.extend(any_order(20, "of what is made anew", "f f old", "rm f;f f new", "f=new"));
    cases.extend(any_order(
        21,
        "of a directory that is made anew",
        "700 d d; f d/old 1",
        "rm d;711 d d;f d/new 2",
        "d/[0711] d/new=2",
    ));
    cases.extend(any_order(
        21,
        "without an entry for it",
        "700 d d; f d/old 1",
        "rm d;f d/new 2",
        "d/ d/new=2",
    ));
    cases.extend(any_order(22, "opaque root", "f a 1; f b/c 2", "clear .;f n 3;f b/d 4", "b/ b/d=4 n=3"));
    cases.extend(any_order(
        30,
        "opaque, a directory over a link",
        "f real/a 1; l l real",
        "clear l;d l;f l/n 2",
        "l/ l/n=2 real/ real/a=1 !DirectoryReplacesSymlink",
    ));
    cases.extend(any_order(
        30,
        "below a directory over a link",
        "f real/a 1; l l real",
        "rm l/a;d l;f l/n 2",
        "l/ l/n=2 real/ real/a=1 !DirectoryReplacesSymlink",
    ));
    cases
}

/// Whiteouts of all types, and with content.
fn typed() -> Tarball {
    let tar = Tarball::new().hardlink(".wh.a", "x").symlink(".wh.b", "x").dir(".wh.c").file(".wh.d", b"data");
    let tar = tar.hardlink("e/.wh..wh..opq", "../..").raw(header(b".wh.f", b'?'), b"");
    tar.raw(header(b".wh.g", b'3').device(9, 9), b"").symlink(".wh.h", "")
}

fn aufs() -> Tarball {
    let tar = Tarball::new().dir(".wh..wh.plnk").file(".wh..wh.plnk/1.2", b"x").file(".wh..wh.aufs", b"");
    tar.dir(".wh..wh.orph").file("a", b"")
}

fn overlay() -> Tarball {
    let attributes: &[(&str, &[u8])] = &[
        ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
        ("SCHILY.xattr.trusted.overlay.redirect", b"/x"),
        ("SCHILY.xattr.user.overlay.opaque", b"y"),
        ("SCHILY.xattr.user.overlayed", b"y"),
    ];
    Tarball::new().pax(attributes).dir("d")
}
