//! Lines 34 to 45 and 111: types, parents, symlinks.

use testkit::tarball::Tarball;

use crate::case::{Case, Written, entries, refused, tree};

#[test]
fn types_and_parents() {
    crate::check::check_all(cases());
}

pub(crate) fn cases() -> Vec<Case> {
    let looped = |layer, entry, path, link| {
        format!(
            "layer {layer}: tree: entry {entry} ({path}): symlink \"{link}\" leads into a loop (more than 40 links)"
        )
    };
    let chain: String = (0..40).map(|n| format!("l {n} {};", n + 1)).collect();
    let mut cases = vec![
        tree(35, "directory over directory", [described("700"), entries("711 d d; f d/b 2")], "d/[0711] d/a=1 d/b=2"),
        tree(35, "and another layer between", [described("700"), entries("f e 1"), entries("750 d d")], "d/[0750] d/a=1 e=1"),
        tree(36, "directory over a link to one", ["f real/a 1; l l real", "d l; f l/b 2"], "l/ l/b=2 real/ real/a=1 !DirectoryReplacesSymlink"),
        tree(36, "within one layer", ["f real/a 1; l l real; d l"], "l/ real/ real/a=1"),
        tree(37, "merged /usr", ["d usr/bin; l bin usr/bin", "f bin/sh 1"], "bin->usr/bin usr/ usr/bin/ usr/bin/sh=1"),
        tree(37, "merged /usr, deeper", ["d usr/lib; l lib usr/lib", "f lib/a/b 1; rm lib/c"], "lib->usr/lib usr/ usr/lib/ usr/lib/a/ usr/lib/a/b=1"),
        tree(38, "an absolute link", ["d run; l var/run /run", "f var/run/x 1"], "run/ run/x=1 var/ var/run->/run"),
        tree(38, "an absolute link to the root", ["l a/b /", "f a/b/x 1"], "a/ a/b->/ x=1"),
        tree(38, "a link to what is missing", ["l a b/c", "f a/x 1"], "a->b/c b/ b/c/ b/c/x=1"),
        tree(38, "a link that climbs", ["l d/a ../../../b", "f d/a/x 1"], "b/ b/x=1 d/ d/a->../../../b"),
        refused(39, "a link to itself by the host's name", ["f etc/a 1", "l etc /etc; f etc/passwd 1"], &looped(2, 1, "etc/passwd", "etc")),
        refused(40, "a circle", ["l a b; l b a; f a/x 1"], &looped(1, 2, "a/x", "a")),
        refused(40, "a circle below", ["l a b; l b a", "f a/x 1"], &looped(2, 0, "a/x", "a")),
        refused(40, "itself", ["l a a", "f a/x 1"], &looped(2, 0, "a/x", "a")),
        refused(40, "41 links", [&*format!("{chain} l 40 41; f 0/x 1")], &looped(1, 41, "0/x", "40")),
        refused(41, "a file as parent", ["f f 1", "f f/x 2"], "layer 2: tree: entry 0 (f/x): parent \"f\" is not a directory"),
        refused(41, "a file as parent, of one layer", ["f a 1; f f 1; f f/x/y 2"], "layer 1: tree: entry 2 (f/x/y): parent \"f\" is not a directory"),
        refused(41, "a device as parent", ["c c", "f c/x 2"], "layer 2: tree: entry 0 (c/x): parent \"c\" is not a directory"),
        refused(41, "a file behind a link as parent", ["f f 1; l l f", "f l/x 2"], "layer 2: tree: entry 0 (l/x): parent \"f\" is not a directory"),
        refused(41, "a file for the root", ["f ./ 1"], "layer 1: tree: entry 0 (/): the root is not a directory"),
        tree(42, "parents without entries", ["f a/b/c 1"], "a/ a/b/ a/b/c=1"),
        tree(42, "entries that follow", ["f a/b/c 1; 700 d a", "711 d a/b"], "a/[0700] a/b/[0711] a/b/c=1"),
        tree(42, "of a hard link", ["f a 1", "h x/y/b a"], "a=1 x/ x/y/ x/y/b=>a"),
        tree(43, "a file twice", ["f f 1; f f 2"], "f=2"),
        tree(43, "a directory twice", ["d d; f d/x 1; 700 d d"], "d/[0700] d/x=1"),
        tree(43, "of two types", ["d d; f d/x 1; f d 2"], "d=2"),
        tree(43, "and back", ["d d; f d/x 1; f d 2; d d"], "d/"),
        tree(43, "a parent that is replaced", ["f d/a 1; f d 2; l d e; f d/b 3"], "d->e e/ e/b=3"),
        refused(44, "no text", ["f a 1; l l "], "layer 1: invalid: entry 1 (l): symlink without a text"),
        refused(44, "4,096 bytes", long(4096), "layer 1: invalid: entry 0 (l): symlink's text of 4096 bytes is longer than 4095"),
        refused(44, "NUL", Tarball::new().pax(&[("linkpath", b"a\0b")]).symlink("l", "x"), "layer 1: invalid: entry 0 (l): symlink's text has a NUL byte in it"),
        tree(45, "texts", ["l a ../../../../x; l b /abs; l c nowhere; l d a//b/; l e ."], "a->../../../../x b->/abs c->nowhere d->a//b/ e->."),
        refused(111, "ways of many components", detours(), "layer 1: tree: entry 1129 (0/1088): the layer's paths lead through more than 67108864 components of symlinks").only(&[Written::Tar]),
        tree(40, "40 links", [&*format!("{chain} f 0/x 1")], &forty()),
    ];
    let kinds = ["f x 1", "d x; f x/y 2", "l x t", "p x", "c x", "b x"];
    let shown = ["x=1", "x/ x/y=2", "x->t", "x|", "x%1,3", "x#8,1"];
    for (one, first) in kinds.iter().zip(shown) {
        for (other, second) in kinds.iter().zip(shown) {
            let note = |lower: &str, upper: &str| match lower.starts_with('l') && upper.starts_with('d') {
                true => " !DirectoryReplacesSymlink",
                false => "",
            };
            let name = format!("{second} over {first}");
            let notes = note(one, other);
            // The kernel is shown each pair once, GNU tar each way there and back.
            cases.push(tree(34, &name, [*one, *other], &[second, notes].concat()).only(&[Written::Ext4]));
            let notes = [note(one, other), note(other, one)].concat();
            cases
                .push(tree(34, &name, [*one, *other, *one], &[first, &notes].concat()).only(&[Written::Tar]));
        }
    }
    for length in [1, 59, 60, 61, 1023, 4095] {
        let shown = format!("l->{}", "t".repeat(length));
        cases.push(tree(44, &format!("{length} bytes"), long(length), &shown));
    }
    cases
}

fn described(mode: &str) -> Tarball {
    let tar = Tarball::new().pax(&[("SCHILY.xattr.user.old", b"x"), ("uid", b"7"), ("mtime", b"5")]);
    Tarball([tar.0, entries(&format!("{mode} d d; f d/a 1")).0].concat())
}

fn long(length: usize) -> Tarball {
    Tarball::new().pax(&[("linkpath", &vec![b't'; length])]).symlink("l", "x")
}

fn forty() -> String {
    let mut words: Vec<(String, String)> =
        (0..40).map(|n| (n.to_string(), format!("{n}->{}", n + 1))).collect();
    words.push(("40".into(), "40/".into()));
    words.push(("40/x".into(), "40/x=1".into()));
    words.sort();
    words.into_iter().map(|(_, word)| word).collect::<Vec<_>>().join(" ")
}

/// A chain of long links, and thousands of entries that go along it.
fn detours() -> Tarball {
    let detour = "a/../".repeat(800);
    let tar = (0..39).fold(entries("d a"), |tar, n| {
        let text = format!("{detour}{}", n + 1);
        tar.pax(&[("linkpath", text.as_bytes())]).symlink(&n.to_string(), "x")
    });
    (0..5000).fold(tar.symlink("39", "a"), |tar, n| tar.file(&format!("{}/{n}", n % 2), b""))
}
