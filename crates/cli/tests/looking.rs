//! Looking into images: `ls`, `cat`, `diff` and `export`, with what umoci unpacks as the judge.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use serde_json::{Value, json};
use support::schema::conforms;
use support::{Place, unescaped};
use testkit::image::{Header, Layer, Tar, write_layout};
use testkit::judge::{self, unpack_with_umoci};
use testkit::listing::{self, Kind, Line};
use testkit::{corpus, tools};

/// How a corpus image is named.
fn name_of(image: &str) -> String {
    judge::source(corpus::find(image).unwrap())
}

/// Standard output, which may be anything.
#[track_caller]
fn bytes_of(place: &Place, arguments: &[&OsStr]) -> Vec<u8> {
    let output = place.command(&[]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn cat(place: &Place, image: &str, path: &[u8]) -> Vec<u8> {
    bytes_of(
        place,
        &["cat", image].map(OsStr::new).into_iter().chain([OsStr::from_bytes(path)]).collect::<Vec<_>>(),
    )
}

/// The files of a layer's blobs in a store or a layout.
fn blobs_of_layers(layout: &Path) -> Vec<std::path::PathBuf> {
    let json = |path: &Path| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
    let blob = |descriptor: &Value| {
        layout.join("blobs").join(descriptor["digest"].as_str().unwrap().replace(':', "/"))
    };
    let manifest = json(&blob(&json(&layout.join("index.json"))["manifests"][0]));
    manifest["layers"].as_array().unwrap().iter().map(blob).collect()
}

/// Flips a bit in the middle of a file.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn every_file_of_an_image_as_umoci_unpacks_it() {
    let (place, image) = (Place::new(), name_of("special"));
    let unpacked = place.path("unpacked");
    unpack_with_umoci(&corpus::layout("special"), &unpacked).unwrap();
    let mut count = 0;
    for line in listing::list(&unpacked).unwrap() {
        let Kind::File { size, sha256 } = &line.kind else { continue };
        // Of six thousand that are alike a few are enough, and what is larger than all memory is not read.
        if *size > 64 << 20 || (line.path.starts_with(b"many/") && count % 100 != 0) {
            count += 1;
            continue;
        }
        let found = cat(&place, &image, &line.path);
        assert_eq!(found.len() as u64, *size, "{line}");
        assert_eq!(hash::Digest::sha256(&found).hex(), *sha256, "{line}");
        count += 1;
    }
    assert!(count > 6_000, "{count} files");
}

#[test]
fn a_path_as_a_process_in_the_image_finds_it() {
    let place = Place::new();
    let tar = Tar::default()
        .file("real/file", 0o644, b"found")
        .symlink("dir", "real")
        .symlink("absolute", "/dir/file")
        .symlink("climbing", "../../../dir/../real/./file")
        .symlink("chain", "absolute")
        .symlink("loop", "loop")
        .symlink("dangling", "nowhere/at/all")
        .symlink("through", "real/file/x")
        .entry(&Header { name: b"null", typeflag: b'3', device: (1, 3), ..Header::default() }, b"")
        .entry(&Header { name: b"pipe", typeflag: b'6', ..Header::default() }, b"")
        .entry(&Header { name: b"odd\xff\n", ..Header::default() }, b"odd");
    write_layout(&place.path("links"), "x", &[Layer::gzip(&tar.finish())], &json!({})).unwrap();
    for path in ["real/file", "/real/file", "./dir//file", "absolute", "climbing", "chain"] {
        assert_eq!(cat(&place, "oci:links", path.as_bytes()), b"found", "{path}");
    }
    assert_eq!(cat(&place, "oci:links", b"odd\xff\n"), b"odd");
    for (path, code, text) in [
        ("absent", 4, "error: there is no /absent\n"),
        ("real/absent", 4, "error: there is no /real/absent\n"),
        ("dangling", 4, "error: there is no /nowhere\n"),
        ("real/file/x", 1, "error: /real/file is not a directory\n"),
        ("through", 1, "error: /real/file is not a directory\n"),
        ("loop", 1, "error: the path leads through more than 40 symlinks\n"),
        ("dir", 1, "error: /dir is no file: directory\n"),
        ("/", 1, "error: / is no file: directory\n"),
        ("null", 1, "error: /null is no file: char-device\n"),
        ("pipe", 1, "error: /pipe is no file: fifo\n"),
        ("../real/file", 2, "error: \"../real/file\": path escapes the root\n"),
        ("", 2, "error: \"\": empty name\n"),
    ] {
        let said = place.run(&["cat", "oci:links", path]);
        assert_eq!((said.code, said.err.as_str(), said.out.as_str()), (Some(code), text, ""), "{path}");
    }
}

#[test]
fn known_layers_need_not_be_there() {
    let (place, other) = (Place::new(), Place::new());
    let whole = place.done(&["ls", "oci:image"]);
    let read = place.done(&["ls", "oci:image", "--json"]);
    for directory in ["store", "image"] {
        for blob in blobs_of_layers(&place.path("image")) {
            let name = blob.file_name().unwrap();
            fs::remove_file(place.path(directory).join("blobs/sha256").join(name)).unwrap();
        }
    }
    let known = place.done(&["ls", "oci:image"]);
    assert_eq!((&known.out, &known.err), (&whole.out, &whole.err));
    assert_eq!(place.done(&["ls", "oci:image", "--json"]).out, read.out);
    // The first of two listings read the layers of the same image.
    assert_eq!(other.done(&["ls", "oci:image", "--verify"]).out, whole.out);
    let diff = place.done(&["diff", "oci:image", "--layers", "2"]);
    assert_eq!(diff.out, "A /etc/issue\nD /etc/motd\nA /usr/sbin/init\n");
    // What needs the bytes says what is missing.
    for arguments in [
        &["cat", "oci:image", "etc/issue"][..],
        &["ls", "oci:image", "--verify"],
        &["ls", "oci:image", "--strict"],
    ] {
        let said = place.run(arguments);
        assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{arguments:?}");
        assert!(said.err.starts_with("error: cannot fetch layer 1 (sha256:"), "{}", said.err);
    }
}

/// Whatever is noticed when layers are read is said again when they are not.
#[test]
fn notes_are_remembered() {
    let place = Place::new();
    let lower = Tar::default().symlink("l", "d").directory("d", 0o755);
    let mut upper = Tar::default()
        .directory("l", 0o755)
        .entry(&Header { name: b"odd", typeflag: b'Y', ..Header::default() }, b"")
        .finish();
    upper.truncate(upper.len() - 1024);
    write_layout(&place.path("odd"), "x", &[Layer::gzip(&lower.finish()), Layer::plain(upper)], &json!({}))
        .unwrap();
    let first = place.done(&["ls", "oci:odd", "-v"]);
    assert_eq!(first.err.lines().count(), 3, "{}", first.err);
    let second = place.done(&["ls", "oci:odd", "-v"]);
    assert_eq!((second.out, second.err), (first.out, first.err));
}

#[test]
fn not_one_byte_of_a_damaged_blob() {
    let place = Place::new();
    let noise: Vec<u8> = (0..3_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let tar = Tar::default()
        .file("first", 0o644, b"first")
        .file("large", 0o644, &noise)
        .file("last", 0o644, b"last");
    write_layout(&place.path("noise"), "x", &[Layer::plain(tar.finish())], &json!({})).unwrap();
    assert!(cat(&place, "oci:noise", b"large") == noise);
    let blob = &blobs_of_layers(&place.path("noise"))[0];
    let stored = place.path("store/blobs/sha256").join(blob.file_name().unwrap());
    damage(&stored);
    // The layout has it still.
    let said = place.done(&["cat", "oci:noise", "first"]);
    assert_eq!(said.out, "first");
    assert!(said.err.contains("was corrupt and is fetched again"), "{}", said.err);
    damage(&stored);
    damage(blob);
    for arguments in [&["cat", "oci:noise", "first"][..], &["export", "oci:noise", "first", "-o", "out"]] {
        let said = place.run(arguments);
        assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{}", said.err);
        assert!(said.err.contains("digest mismatch"), "{}", said.err);
    }
    assert_eq!(place.names(), ["image", "noise", "store"]);
}

/// Whoever can write into the store can have `ls` say anything; bytes come from where the layer has them, and
/// `--verify` believes nothing.
#[test]
fn a_planted_outline() {
    let place = Place::new();
    let tarball = |names: [&str; 2]| {
        let tar = names
            .iter()
            .fold(Tar::default(), |tar, name| tar.file(name, 0o644, &name.repeat(2000).into_bytes()));
        Layer::gzip(&tar.finish())
    };
    let (ours, theirs) = (tarball(["password", "word"]), tarball(["harmless", "word"]));
    for (name, layer) in [("ours", &ours), ("theirs", &theirs)] {
        write_layout(&place.path(name), "x", std::slice::from_ref(layer), &json!({})).unwrap();
        place.done(&["ls", &format!("oci:{name}")]);
    }
    let outline = |layer: &Layer| {
        place
            .path("store/unlade/outlines")
            .join(format!("sha256-{}", hash::Digest::sha256(&layer.blob).hex()))
    };
    let (wrong, right) = (fs::read(outline(&theirs)).unwrap(), fs::read(outline(&ours)).unwrap());
    let names = |arguments: &[&str]| place.done(arguments).out.contains("harmless");
    fs::write(outline(&ours), &wrong).unwrap();
    assert!(names(&["ls", "oci:ours"]));
    assert!(!names(&["ls", "oci:ours", "--verify"]));
    // It is found out as soon as the layer is read.
    assert_eq!(place.run(&["cat", "oci:ours", "harmless"]).code, Some(4));
    assert_eq!(fs::read(outline(&ours)).unwrap(), right);
    fs::write(outline(&ours), &wrong).unwrap();
    assert_eq!(cat(&place, "oci:ours", b"word"), "word".repeat(2000).as_bytes());
    fs::write(outline(&ours), &wrong).unwrap();
    let said = place.done(&["diff", "oci:ours", "oci:image"]);
    assert!(said.out.contains("D /harmless\n"), "nothing had to be read: {}", said.out);
    let same = Tar::default().file("harmless", 0o644, &"x".repeat(16_000).into_bytes());
    write_layout(&place.path("same"), "x", &[Layer::plain(same.finish())], &json!({})).unwrap();
    assert_eq!(place.done(&["diff", "oci:ours", "oci:same"]).out, "A /harmless\nD /password\nD /word\n");
    assert_eq!(fs::read(outline(&ours)).unwrap(), right);
}

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

#[test]
fn a_whole_image_exported_is_what_umoci_unpacks() {
    let place = Place::new();
    for image in ["special", "nginx"] {
        let unpacked = judge::expected(corpus::find(image).unwrap(), &place.path("")).unwrap();
        let tarball = bytes_of(&place, &["export", &name_of(image), "/", "-o", "-"].map(OsStr::new));
        fs::write(place.path("streamed.tar"), tarball).unwrap();
        place.done(&["export", &name_of(image), "/", "-o", "written.tar"]);
        assert!(
            fs::read(place.path("streamed.tar")).unwrap() == fs::read(place.path("written.tar")).unwrap()
        );
        place.done(&["export", &name_of(image), "/", "-o", "directory"]);
        for name in ["written.tar", "directory"] {
            let found = judge::found(&place.path(name), &place.path("")).unwrap();
            let differences = unpacked.differences(&found);
            assert!(differences.is_empty(), "{image} as {name}:\n{}", differences.join("\n"));
        }
        fs::remove_dir_all(place.path("directory")).unwrap();
    }
}

#[test]
fn a_part_of_an_image_exported() {
    let place = Place::new();
    let nginx = name_of("nginx");
    let root = place.path("unpacked");
    unpack_with_umoci(&corpus::layout("nginx"), &root).unwrap();
    place.done(&["export", &nginx, "etc/nginx", "-o", "nginx"]);
    let wanted = listing::list(&root.join("etc/nginx")).unwrap();
    assert!(wanted.len() > 10);
    assert_eq!(listing::diff(&wanted, &listing::list(&place.path("nginx")).unwrap()), [""; 0]);
    // In a tarball it has its own name, and nothing is said of what lies around it.
    place.done(&["export", &nginx, "/etc/nginx/", "-o", "n.tar"]);
    fs::create_dir(place.path("into")).unwrap();
    judge::unpack_tar(&place.path("n.tar"), &place.path("into")).unwrap();
    assert_eq!(listing::diff(&wanted, &listing::list(&place.path("into/nginx")).unwrap()), [""; 0]);
    let names = tools::run(tools::command("tar").arg("-tf").arg(place.path("n.tar"))).unwrap();
    assert!(names.starts_with(b"nginx/\nnginx/"), "{}", String::from_utf8_lossy(&names));

    place.done(&["export", &nginx, "usr/sbin/nginx", "-o", "binary"]);
    let (written, unpacked) = (place.path("binary"), root.join("usr/sbin/nginx"));
    assert!(fs::read(&written).unwrap() == fs::read(&unpacked).unwrap());
    let (written, unpacked) = (fs::metadata(written).unwrap(), fs::metadata(unpacked).unwrap());
    assert_eq!((written.mode(), written.mtime()), (unpacked.mode(), unpacked.mtime()));
}

#[test]
fn what_export_writes_and_refuses() {
    let place = Place::new();
    let tar = Tar::default()
        .file("d/first", 0o640, b"shared")
        .entry(
            &Header { name: b"d/second", link: b"d/first", typeflag: b'1', mode: 0o640, ..Header::default() },
            b"",
        )
        .entry(
            &Header {
                name: b"elsewhere",
                link: b"d/first",
                typeflag: b'1',
                mode: 0o640,
                ..Header::default()
            },
            b"",
        )
        .file("inner.tar", 0o600, b"no tarball")
        .symlink("link", "d/first")
        .symlink("way", "d")
        .directory("empty.d", 0o700);
    write_layout(&place.path("parts"), "x", &[Layer::gzip(&tar.finish())], &json!({})).unwrap();
    let export = |path: &str, more: &[&str]| place.run(&[&["export", "oci:parts", path], more].concat());
    let done = |path: &str, more: &[&str]| {
        let said = export(path, more);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{path}");
    };
    done("d", &["-o", "d"]);
    assert_eq!(
        fs::metadata(place.path("d/first")).unwrap().nlink(),
        2,
        "names that lie elsewhere do not count"
    );
    done("way/second", &["-o", "file"]);
    assert_eq!(fs::read(place.path("file")).unwrap(), b"shared");
    assert_eq!(fs::metadata(place.path("file")).unwrap().permissions().mode() & 0o7777, 0o640);
    // A file is replaced, as with cp.
    done("inner.tar", &["-o", "file"]);
    done("inner.tar", &["-o", "plain.tar", "--format", "plain"]);
    assert_eq!(fs::read(place.path("plain.tar")).unwrap(), fs::read(place.path("file")).unwrap());
    done("inner.tar", &["-o", "packed", "--format", "tar"]);
    done("empty.d", &["-o", "empty.tar"]);
    done("link", &["-o", "link.tar"]);
    let listed = |name: &str| {
        let said = tools::run(tools::command("tar").arg("-tvf").arg(place.path(name))).unwrap();
        let text = String::from_utf8(said).unwrap();
        text.lines()
            .map(|line| format!("{} {}", &line[..10], line.split_once(" 1970-01-01 ").unwrap().1[6..].trim()))
            .collect::<Vec<_>>()
    };
    assert_eq!(listed("packed"), ["-rw------- inner.tar"]);
    assert_eq!(listed("empty.tar"), ["drwx------ empty.d/"]);
    assert_eq!(listed("link.tar"), ["lrwxrwxrwx link -> d/first"]);
    for (path, more, code, text) in [
        ("absent", &["-o", "x"][..], 4, "error: there is no /absent\n"),
        ("d/first/x", &["-o", "x"], 1, "error: /d/first is not a directory\n"),
        (
            "link",
            &["-o", "x"],
            1,
            "error: cannot write x\n  because: what is no file and no directory goes into a tarball only\n",
        ),
        ("d", &["-o", "d"], 1, "error: cannot write d\n  because: the directory is not empty\n"),
        ("d", &["-o", "file"], 1, "error: cannot write file\n"),
        ("d/first", &["-o", "d"], 1, "error: cannot write d\n  because: the output is a directory\n"),
        ("inner.tar", &["-o", "x.tar"], 2, "error: a file whose name ends in .tar to another such: "),
        ("d", &["-o", "-", "--format", "plain"], 2, "error: only a tarball goes to standard output"),
        ("../d", &["-o", "x"], 2, "error: \"../d\": path escapes the root\n"),
    ] {
        let said = export(path, more);
        assert_eq!(said.code, Some(code), "{path} {more:?}: {}", said.err);
        assert!(said.err.starts_with(text), "{path} {more:?}: {}", said.err);
    }
    assert_eq!(
        place.names(),
        ["d", "empty.tar", "file", "image", "link.tar", "packed", "parts", "plain.tar", "store"]
    );
}
