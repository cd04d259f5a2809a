//! Lines 1 to 15: names.

use testkit::tarball::{Tarball, header};

use crate::case::{Case, entries, named, names, refused, tree};

#[test]
fn paths() {
    crate::check::check_all(cases());
}

pub(crate) fn cases() -> Vec<Case> {
    let escapes = "path escapes the root";
    let not_canonical = "path is not canonical: it has `..` in it";
    let mut cases = vec![
        refused(
            1,
            "an opaque marker for a directory of the host",
            Tarball::new().file("../../etc/.wh..wh..opq", b""),
            &format!("layer 1: invalid: entry 0 (../../etc/.wh..wh..opq): {escapes}"),
        ),
        refused(
            1,
            "a whiteout of a file of the host",
            ["d d", "f a 1; rm ../etc/passwd"],
            &format!("layer 2: invalid: entry 1 (../etc/.wh.passwd): {escapes}"),
        ),
        refused(2, "a file above", ["f ../x 1"], &format!("layer 1: invalid: entry 0 (../x): {escapes}")),
        refused(2, "the directory above", ["d ../"], &format!("layer 1: invalid: entry 0 (../): {escapes}")),
        refused(
            2,
            "above, spelled otherwise",
            ["f a 1", "f /./../x 1"],
            &format!("layer 2: invalid: entry 0 (/./../x): {escapes}"),
        ),
        refused(
            2,
            "in and out",
            ["f a/../../x 1"],
            &format!("layer 1: invalid: entry 0 (a/../../x): {escapes}"),
        ),
        refused(
            3,
            "in and back",
            ["f a/../b 1"],
            &format!("layer 1: invalid: entry 0 (a/../b): {not_canonical}"),
        ),
        refused(3, "to the root", ["d a/.."], &format!("layer 1: invalid: entry 0 (a/..): {not_canonical}")),
        tree(3, "names that only look like it", ["f ... 1; f ..a 2; f a.. 3"], "...=1 ..a=2 a..=3"),
        tree(4, "an absolute name", ["f abs 1", "f /abs 2"], "abs=2"),
        tree(4, "as a whiteout", ["f abs 1; f b 2", "f /.wh.abs x"], "b=2"),
        tree(6, "an entry for the root", root(), "/[0700][5:0]@9{user.a=b} a="),
        tree(7, "none", ["f a 1"], "a=1"),
        tree(8, "a directory with and without a slash", ["d a; d b/"], "a/ b/"),
        tree(8, "a file with a slash", ["f c/ 1"], "c=1"),
        tree(8, "v7's directories are files with a slash", v7(), "d/[0644] e/[0644] f=1"),
        refused(9, "no name", ["f a 1", "f  1"], "layer 2: invalid: entry 0: empty name"),
        refused(9, "NUL", named(b"a\0b"), "layer 1: invalid: entry 0 (a\\x00b): name has a NUL byte in it"),
        tree(10, "255 bytes", named(&[b'x'; 255]), &format!("{}=", "x".repeat(255))),
        refused(
            10,
            "256 bytes",
            named(&[b'x'; 256]),
            &format!("layer 1: invalid: entry 0 ({}): name of 256 bytes is longer than 255", "x".repeat(256)),
        ),
        refused(
            10,
            "256 bytes on the way",
            named(&[&[b'x'; 256][..], b"/a"].concat()),
            &format!(
                "layer 1: invalid: entry 0 ({}/a): name of 256 bytes is longer than 255",
                "x".repeat(256)
            ),
        ),
        tree(
            10,
            "a whiteout of 255 bytes",
            [named(&[b'x'; 251]).file("a", b""), named(&[&b".wh."[..], &[b'x'; 251]].concat())],
            "a=",
        ),
        names(11, "64 KiB of path", named(vec!["y".repeat(255); 256].join("/").as_bytes()), 256),
        names(11, "5,000 deep", named(vec!["d"; 5_000].join("/").as_bytes()), 5_000),
        names(11, "as deep as may be", named(vec!["d"; 16_384].join("/").as_bytes()), 16_384),
        names(11, "and gone again", [named(&b"d/".repeat(5_000)).file("a", b""), entries("rm d")], 1),
        refused(
            11,
            "deeper",
            named(vec!["d"; 16_385].join("/").as_bytes()),
            &format!(
                "layer 1: invalid: entry 0 ({}): path is 16385 deep, more than the limit of 16384",
                vec!["d"; 16_385].join("/")
            ),
        ),
        refused(
            11,
            "another limit",
            ["f a/b 1; f a/b/c 2"],
            "layer 1: invalid: entry 1 (a/b/c): path is 3 deep, more than the limit of 2",
        )
        .with(|options| options.layers.read.depth = 2),
        tree(12, "bytes that are no text", named(b"\xff\xfe/\x80"), "\\xff\\xfe/ \\xff\\xfe/\\x80="),
        refused(
            12,
            "bytes that are no text, in a message",
            named(b"\xff\xfe/../x"),
            "layer 1: invalid: entry 0 (\\xff\\xfe/../x): path is not canonical: it has `..` in it",
        ),
        tree(14, "case", ["f A 1; f a 2", "f A 3"], "A=3 a=2"),
        tree(14, "forms of Unicode", ["f \u{e9} 1; f e\u{301} 2", "rm \u{e9}"], "e\\xcc\\x81=2"),
        tree(15, "lost+found", ["711 d lost+found; f lost+found/f 1"], "lost+found/[0711] lost+found/f=1"),
        tree(15, "a file of that name", ["f lost+found 1"], "lost+found=1")
            .only(&[crate::case::Written::Tar]),
    ];
    for name in ["./a", "a", "/./a", ".//a", "././a"] {
        cases.push(tree(5, name, ["f a old", &*format!("f {name} new")], "a=new"));
    }
    for name in ["a//b", "a/./b", "./a/.//b"] {
        cases.push(tree(5, name, ["f a/b old; f a/c 1", &*format!("f {name} new")], "a/ a/b=new a/c=1"));
    }
    for name in ["./", ".", "/", ".//"] {
        cases.push(tree(5, name, [&*format!("700 d {name}; f a 1")], "/[0700] a=1"));
    }
    for name in [
        "n\nl",
        "t\tb",
        "q\"'`",
        "\\b\\x41",
        " ",
        "-rf",
        "--",
        "%s%n",
        "*?[a]",
        "\x1b]0;x\x07",
        "\x7f",
        "$(reboot)",
        "#",
        "\u{202e}txt",
    ] {
        let shown = testkit::listing::escape(name.as_bytes());
        cases.push(tree(13, "odd names", named(name.as_bytes()), &format!("{shown}=")));
        let above = ["../", name].concat();
        let said = format!("layer 1: invalid: entry 0 ({}): {escapes}", ::tree::escape(above.as_bytes()));
        cases.push(refused(13, "odd names in a message", named(above.as_bytes()), &said));
    }
    cases
}

fn root() -> Tarball {
    let root = header(b"./", b'5').mode(b"0000700\0").uid(b"0000005\0").mtime(b"00000000011\0");
    Tarball::new().pax(&[("SCHILY.xattr.user.a", b"b")]).raw(root, b"").file("a", b"")
}

fn v7() -> Tarball {
    let directory = |flag| header(if flag == 0 { b"e/" } else { b"d/" }, flag).v7();
    Tarball::new().raw(directory(b'0'), b"").raw(directory(0), b"").sized(header(b"f", 0).v7(), b"1")
}
