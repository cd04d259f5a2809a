//! `diff`.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};
use testkit::corpus;
use testkit::image::{Header, Layer, Tar, write_layout};
use testkit::judge::unpack_with_umoci;
use testkit::listing::{self, Kind, Line};

use crate::name_of;
use crate::support::schema::conforms;
use crate::support::{Place, unescaped};

/// The names of a listing that differ, with the reasons as `unlade diff` words them.
fn expected(before: &[Line], after: &[Line]) -> Vec<(Vec<u8>, String)> {
    let by_path = |lines: &[Line]| -> BTreeMap<Vec<u8>, Line> {
        lines.iter().map(|line| (line.path.clone(), line.clone())).collect()
    };
    let (before, after) = (by_path(before), by_path(after));
    let mut found = Vec::new();
    for (path, line) in &before {
        let Some(other) = after.get(path) else {
            found.push((path.clone(), "removed".to_string()));
            continue;
        };
        let kind = match (&line.kind, &other.kind) {
            (Kind::File { size: a, .. }, Kind::File { size: b, .. }) if a != b => Some("size"),
            (Kind::File { .. }, Kind::File { .. }) => Some("content"),
            (Kind::Symlink { .. }, Kind::Symlink { .. }) => Some("target"),
            _ => Some("type"),
        };
        let reasons: Vec<&str> = [
            kind.filter(|_| line.kind != other.kind),
            (line.mode != other.mode).then_some("mode"),
            ((line.uid, line.gid) != (other.uid, other.gid)).then_some("owner"),
            (line.xattrs != other.xattrs).then_some("attributes"),
            (line.same_as != other.same_as).then_some("hard link"),
        ]
        .into_iter()
        .flatten()
        .collect();
        if !reasons.is_empty() {
            found.push((path.clone(), reasons.join("+")));
        }
    }
    found.extend(
        after.keys().filter(|path| !before.contains_key(*path)).map(|path| (path.clone(), "added".into())),
    );
    found.sort();
    found
}

/// What `unlade diff --json` says, in the same words.
fn differences(place: &Place, arguments: &[&str]) -> Vec<(Vec<u8>, String)> {
    let out = place.done(&[&["diff", "--json"], arguments].concat()).out;
    let mut found: Vec<(Vec<u8>, String)> = out
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            conforms("diff", &line);
            let path = unescaped(line["path"].as_str().unwrap())[1..].to_vec();
            let reasons: Vec<&str> = line["reasons"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|reason| reason.as_str().unwrap())
                .collect();
            let change = line["change"].as_str().unwrap();
            (path, if reasons.is_empty() { change.into() } else { reasons.join("+") })
        })
        .collect();
    found.sort();
    found
}

#[test]
fn differences_of_two_unpackings() {
    let place = Place::new();
    let list = |name: &str| {
        let root = place.path(name);
        unpack_with_umoci(&corpus::layout(name), &root).unwrap();
        let lines = listing::list(&root).unwrap();
        fs::remove_dir_all(root).unwrap();
        lines
    };
    let (base, nginx, layers) = (list("base"), list("nginx"), list("layers60"));
    let wanted = expected(&base, &nginx);
    assert!(wanted.iter().any(|(_, change)| change == "content" || change == "size"));
    assert_eq!(differences(&place, &[&name_of("base"), &name_of("nginx")]), wanted);
    // Again, from what is known; and the other way round.
    assert_eq!(differences(&place, &[&name_of("base"), &name_of("nginx")]), wanted);
    assert_eq!(differences(&place, &[&name_of("nginx"), &name_of("base")]), expected(&nginx, &base));
    assert_eq!(differences(&place, &[&name_of("layers60"), &name_of("base")]), expected(&layers, &base));
    for image in ["base", "nginx", "special", "layers60"] {
        assert_eq!(differences(&place, &[&name_of(image), &name_of(image), "--times"]), []);
    }
    // The base is the lowest layer of what was made from it.
    assert_eq!(differences(&place, &[&name_of("nginx"), "--layers", "1..7"]), wanted);
}

#[test]
fn each_reason_by_itself() {
    let place = Place::new();
    let xattr = |value: &str| {
        let record = format!("25 SCHILY.xattr.user.a={value}\n");
        Tar::default().entry(&Header { name: b"x", typeflag: b'x', ..Header::default() }, record.as_bytes())
    };
    let holed = |length: usize, tail: &[u8]| [vec![b'd'; 5000], vec![0; length], tail.to_vec()].concat();
    let build = |n: usize| {
        let pick = |options: [&'static str; 2]| options[n];
        let header = |name: &'static str, mode, owner, mtime| Header {
            name: name.as_bytes(),
            mode,
            owner,
            mtime,
            ..Header::default()
        };
        let tar = xattr(pick(["1", "2"]))
            .file("attributes", 0o644, b"")
            // So that what follows lies elsewhere in the two.
            .file("before", 0o644, &vec![b'x'; [10, 5000][n]])
            .file("content", 0o644, pick(["one", "two"]).as_bytes())
            .entry(
                &Header { name: b"device", typeflag: b'3', device: (1, n as u32), ..Header::default() },
                b"",
            )
            .directory("directory", 0o755)
            .file("directory/same", 0o644, b"the same bytes")
            .file("directory-", 0o644, b"")
            .file("holed", 0o644, &holed(200_000, pick(["a", "b"]).as_bytes()))
            .file("holes", 0o644, &holed(200_000, b"end"))
            .entry(&header("mode", [0o644, 0o4755][n], (0, 0), 0), b"")
            .entry(&header("owner", 0o644, [(0, 0), (1, 2)][n], 0), b"")
            .file(pick(["only first", "only second"]), 0o644, b"")
            .symlink("target", pick(["a", "b"]))
            .entry(&header("time", 0o644, (0, 0), [1, 2][n]), b"");
        let tar = match n {
            0 => tar
                .file("type", 0o644, b"")
                .entry(&Header { name: b"zz", link: b"content", typeflag: b'1', ..Header::default() }, b""),
            _ => tar.directory("type", 0o755).file("type/x", 0o644, b"").file("zz", 0o644, b"one"),
        };
        Layer::gzip(&tar.finish())
    };
    for (name, n) in [("a", 0), ("b", 1)] {
        write_layout(&place.path(name), "x", &[build(n)], &json!({})).unwrap();
    }
    let said = place.done(&["diff", "oci:a", "oci:b", "--times"]);
    assert_eq!(
        said.out.lines().collect::<Vec<_>>(),
        [
            "C /attributes (attributes)",
            "C /before (size 10 -> 5000)",
            "C /content (content)",
            "C /device (device 1,0 -> 1,1)",
            "C /holed (content)",
            "C /mode (mode 0644 -> 4755)",
            "D /only first",
            "A /only second",
            "C /owner (owner 0:0 -> 1:2)",
            "C /target (target a -> b)",
            "C /time (time 1970-01-01 00:00:01 -> 1970-01-01 00:00:02)",
            "C /type (type file -> directory, mode 0644 -> 0755)",
            "A /type/x",
            "C /zz (hard link)",
        ]
    );
    let without = place.done(&["diff", "oci:a", "oci:b"]).out;
    assert_eq!(without.lines().count(), said.out.lines().count() - 1);
    assert_eq!(place.done(&["diff", "oci:a", "oci:b", "--verify"]).out, without);
}

#[test]
fn layers_of_one_image() {
    let place = Place::new();
    let issue = "A /etc/issue";
    for (range, expected) in [
        ("2", &["A /etc/issue", "D /etc/motd", "A /usr/sbin/init"][..]),
        ("1..2", &["A /etc/issue", "D /etc/motd", "A /usr/sbin/init"]),
        ("2..1", &["D /etc/issue", "A /etc/motd", "D /usr/sbin/init"]),
        ("2..2", &[]),
        ("0..0", &[]),
    ] {
        let said = place.done(&["diff", "oci:image", "--layers", range]);
        assert_eq!(said.out.lines().collect::<Vec<_>>(), expected, "{range}");
    }
    assert!(place.done(&["diff", "oci:image", "--layers", "0..2"]).out.lines().any(|line| line == issue));
    for (arguments, text) in [
        (&["diff", "oci:image", "--layers", "3"][..], "error: there is no layer 3: the image has 2 layers\n"),
        (
            &["diff", "oci:image", "--layers", "0"],
            "error: invalid value '0' for '--layers <N|M..N>': the lowest layer is 1\n",
        ),
        (&["diff", "oci:image"], "error: the following required arguments were not provided:\n"),
        (
            &["diff", "oci:image", "oci:image", "--layers", "1"],
            "error: the argument '[OTHER]' cannot be used with '--layers <N|M..N>'\n",
        ),
    ] {
        let said = place.run(arguments);
        assert_eq!(said.code, Some(2), "{arguments:?}");
        assert!(said.err.starts_with(text), "{}", said.err);
    }
}
