//! Lines 46 to 56: second names.

use testkit::tarball::{Tarball, header};

use crate::case::{Case, Written, any_order, entries, names, refused, tree};

#[test]
fn hardlinks() {
    crate::check::check_all(cases());
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = vec![
        tree(46, "to a lower file", ["f a 1", "h b a"], "a=1 b=>a"),
        tree(46, "from three layers", ["f a 1", "h b a", "h c b; h d/e a"], "a=1 b=>a c=>a d/ d/e=>a"),
        tree(46, "to a fifo and a device", ["p a; c c", "h b a; h d c"], "a| b=>a c%1,3 d=>c"),
        tree(46, "through a symlink", ["f real/a 1; l l real", "h b l/a"], "b=1 l->real real/ real/a=>b"),
        tree(46, "again", ["f a 1; h b a", "h b a"], "a=1 b=>a"),
        tree(46, "over what leads to it", ["f d/x 1", "h d d/x"], "d=1"),
        tree(47, "to what goes with its directory", ["f d/a 1", "rm d; h b d/a"], "b=1"),
        tree(47, "to what is made anew", ["f a old", "rm a; f a new; h b a"], "a=new b=>a"),
        tree(48, "to what an opaque marker hides", ["f d/a 1", "h b d/a; clear d"], "b=1 d/"),
        tree(49, "one name replaced", ["f a 1; h b a", "f a 2"], "a=2 b=1"),
        tree(49, "one name replaced by a directory", ["f a 1; h b a", "d a; f a/x 2"], "a/ a/x=2 b=1"),
        tree(50, "to a later entry", ["h b a; f a 1"], "a=1 b=>a"),
        tree(50, "a chain backwards", ["h c b; h b a; f a 1"], "a=1 b=>a c=>a"),
        tree(50, "a chain both ways", ["h c b; h d a; h b a; f a 1; h e d"], "a=1 b=>a c=>a d=>a e=>a"),
        tree(
            50,
            "to a later entry, though a lower one has the name",
            ["f a old", "h b a; f a new"],
            "a=new b=old",
        ),
        tree(50, "and replaced itself", ["h b a; f b 2; f a 1"], "a=1 b=2"),
        refused(
            51,
            "to nothing",
            ["f x 1", "f y 1; h b a"],
            "layer 2: tree: entry 1 (b): hard link to a, which does not exist",
        ),
        refused(
            51,
            "to nothing in a directory",
            ["h b d/e/a"],
            "layer 1: tree: entry 0 (b): hard link to d/e/a, which does not exist",
        ),
        refused(51, "to itself", ["h a a"], "layer 1: tree: entry 0 (a): hard link to itself"),
        refused(
            51,
            "to itself, spelled otherwise",
            ["f x 1; h a ./a"],
            "layer 1: tree: entry 1 (a): hard link to itself",
        ),
        refused(
            51,
            "in a circle",
            ["h a b; h b a"],
            "layer 1: tree: entry 0 (a): hard link to b, which does not exist",
        ),
        refused(
            51,
            "in a larger circle",
            ["h a b; h b c; h c a"],
            "layer 1: tree: entry 0 (a): hard link to b, which does not exist",
        ),
        tree(52, "to a symlink", ["l a nowhere; h b a"], "a->nowhere b=>a"),
        tree(52, "to a symlink to a directory", ["d d; l a d", "h b a; f b/x 1"], "a->d b=>a d/ d/x=1"),
        refused(
            52,
            "to a directory",
            ["d a", "h b a"],
            "layer 2: tree: entry 0 (b): hard link to a, which is a directory",
        ),
        refused(
            52,
            "to the root",
            ["h b ."],
            "layer 1: tree: entry 0 (b): hard link to /, which is a directory",
        ),
        refused(
            52,
            "to a later directory",
            ["h b a; d a"],
            "layer 1: tree: entry 0 (b): hard link to a, which is a directory",
        ),
        tree(53, "from the root", ["f etc/passwd 1; h p /etc/passwd"], "etc/ etc/passwd=1 p=>etc/passwd"),
        refused(
            53,
            "to a file of the host",
            ["h p /etc/passwd"],
            "layer 1: tree: entry 0 (p): hard link to etc/passwd, which does not exist",
        ),
        refused(
            53,
            "climbing",
            ["h p ../../etc/passwd"],
            "layer 1: invalid: entry 0 (p): hard link's target: path escapes the root",
        ),
        refused(
            53,
            "climbing inside",
            ["f b 1; h p a/../b"],
            "layer 1: invalid: entry 1 (p): hard link's target: path is not canonical: it has `..` in it",
        ),
        refused(
            53,
            "empty",
            ["f a 1; h p "],
            "layer 1: invalid: entry 1 (p): hard link's target: empty name",
        ),
        tree(
            53,
            "through a link that leads out",
            ["f etc/passwd 1; l up ../../..", "h p up/etc/passwd"],
            "etc/ etc/passwd=1 p=>etc/passwd up->../../..",
        ),
        tree(54, "with its own metadata", ["f a 1", "4711 h b a"], "a=1[4711] b=>a"),
        tree(54, "with its own metadata, and what follows", ["4711 h b a; 600 f a 1"], "a=1[0600] b=>a"),
        tree(
            54,
            "with its own attributes",
            [attributes(), attributed()],
            "a=1[7:0]@5{user.one=1}{user.two=3} b=>a",
        ),
        tree(54, "with content", content(b"some data"), "a=1 b=>a c=2"),
        tree(54, "with much content", content(&[b'x'; 1300]), "a=1 b=>a c=2"),
        tree(
            54,
            "with a size and no content",
            entries("f a 1").raw(header(b"b", b'1').link(b"a").size(1300), b"").file("c", b"2"),
            "a=1 b=>a c=2",
        ),
        names(55, "65,000 names", many(64_999), 65_000).only(&[Written::Ext4]),
        refused(
            55,
            "more than ext4 counts",
            many(65_000),
            "cannot make an ext4 filesystem: /first: number of hard links is 65001, ext4 holds at most 65000",
        )
        .only(&[Written::Ext4]),
        names(55, "more, where it does not matter", many(65_000), 65_001).only(&[Written::Tar]),
        refused(
            56,
            "beside the link",
            ["f d/a 1; h d/b a"],
            "layer 1: tree: entry 1 (d/b): hard link to a, which does not exist",
        ),
        tree(56, "beside the link and at the root", ["f d/a 1; f a 2; h d/b a"], "a=2 d/ d/a=1 d/b=>a"),
    ];
    cases.extend(any_order(47, "to what the layer removes", "f a 1", "rm a;h b a", "b=1"));
    cases.extend(any_order(
        48,
        "to what the layer removes, and more",
        "f a 1; f c 2",
        "rm a;h b a;h d b",
        "b=1 c=2 d=>b",
    ));
    cases
}

fn attributes() -> Tarball {
    Tarball::new().pax(&[("SCHILY.xattr.user.one", b"1"), ("SCHILY.xattr.user.two", b"2")]).file("a", b"1")
}

fn attributed() -> Tarball {
    let link = header(b"b", b'1').link(b"a").uid(b"0000007\0").mtime(b"00000000005\0");
    Tarball::new().pax(&[("SCHILY.xattr.user.two", b"3")]).raw(link, b"")
}

fn content(content: &[u8]) -> Tarball {
    entries("f a 1").sized(header(b"b", b'1').link(b"a"), content).file("c", b"2")
}

fn many(links: usize) -> Tarball {
    (0..links).fold(Tarball::new().file("first", b"1"), |tar, n| tar.hardlink(&n.to_string(), "first"))
}
