//! Other people's test archives: what Go's and Python's own tests read, as layers.
//!
//! Each is built and listed. What is listed is what Python's tarfile finds, or [`DIFFERENT`] says why not; what is
//! refused stands in [`REFUSED`], with what other readers do. A new archive needs no line until it differs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use support::{Place, unescaped};
use testkit::image::{Layer, write_layout};
use testkit::judge::e2fsck;
use testkit::tools;

/// Archives that are refused: name, a part of the error, why.
const REFUSED: &[(&str, &str, &str)] = &[
    ("issue10968.tar", "size is negative", "by tarfile, GNU tar and bsdtar as well"),
    ("issue11169.tar", "malformed pax record", "by tarfile, GNU tar and bsdtar as well"),
    ("issue12435.tar", "size overflows 63 bits", "by tarfile, GNU tar and bsdtar as well"),
    ("neg-size.tar", "size is negative", "by tarfile, GNU tar and bsdtar as well"),
    ("pax-bad-hdr-file.tar", "malformed pax record", "by GNU tar, bsdtar and Go as well; tarfile goes on"),
    (
        "pax-bad-mtime-file.tar",
        "pax time is not a number",
        "by Go as well; the others go on, without the time",
    ),
    (
        "pax-global-records.tar",
        "global header gives \"path\" to every entry",
        "Go and tarfile let all have one name",
    ),
    (
        "pax-nul-path.tar",
        "name has a NUL byte in it",
        "by Go as well; tarfile keeps it, GNU tar cuts the name",
    ),
    ("pax-nul-xattrs.tar", "has a NUL byte in its name", "by GNU tar, bsdtar and Go as well"),
    ("pax-path-hdr.tar", "archive ends behind a header", "by tarfile and bsdtar as well"),
    ("recursion.tar", "malformed pax record", "by tarfile as well: the record has length 0"),
    (
        "writer-big-long.tar",
        "cut off inside an entry's content",
        "by all: it is only the beginning of an archive",
    ),
    ("writer-big.tar", "cut off inside an entry's content", "by all: it is only the beginning of an archive"),
];

/// Archives of which Python's tarfile says something else: name, why.
const DIFFERENT: &[(&str, &str)] = &[
    ("gnu-incremental.tar", "tarfile takes the times in an old GNU header for the beginning of the name"),
    (
        "gnu-multi-hdrs.tar",
        "of two long names tarfile takes the first; here, in Go and in GNU tar the last counts",
    ),
    (
        "pax-multi-hdrs.tar",
        "of two pax headers tarfile takes the first; here, in Go and in GNU tar the last counts",
    ),
    ("pax-nil-sparse-data.tar", "tarfile reports the size with the map in it, 1512 bytes for 1000"),
    ("pax-nil-sparse-hole.tar", "tarfile reports the size of the map, 512 bytes for 1000"),
    ("pax-sparse-big.tar", "tarfile reports the size of the map, 3584 bytes for 60000000000"),
];

/// What tarfile finds, merged as layers are: the last entry wins, a hard link is a second name.
const JUDGE: &str = r#"
import math, sys, tarfile
class Node: pass
root = Node(); root.row = ['directory', 0o755, 0, 0, 0, 0, b'']
nodes = {b'': root}
kinds = {tarfile.SYMTYPE: 'symlink', tarfile.CHRTYPE: 'char-device', tarfile.BLKTYPE: 'block-device',
         tarfile.FIFOTYPE: 'fifo', tarfile.DIRTYPE: 'directory', tarfile.GNUTYPE_SPARSE: 'file'}
raw = lambda text: text.encode('utf-8', 'surrogateescape')
def clean(name): return b'/'.join(part for part in name.split(b'/') if part not in (b'', b'.'))
with tarfile.open(sys.argv[1], 'r:', encoding='utf-8', errors='surrogateescape') as tar:
    for member in tar:
        name = clean(raw(member.name))
        parts = name.split(b'/')
        for depth in range(1, len(parts)):
            parent = b'/'.join(parts[:depth])
            if parent not in nodes:
                nodes[parent] = Node(); nodes[parent].row = list(root.row)
        if member.islnk():
            node = nodes[clean(raw(member.linkname))]; kind = node.row[0]; size = node.row[4]; link = node.row[6]
        else:
            node = Node(); kind = kinds.get(member.type, 'file'); link = raw(member.linkname) if member.issym() else b''
            size = member.size if kind == 'file' else 0
        mode = 0o777 if kind == 'symlink' else member.mode & 0o7777
        node.row = [kind, mode, member.uid, member.gid, size, math.floor(member.mtime), link]
        nodes[name] = node
for name, node in sorted(nodes.items()):
    print(name.hex(), *node.row[:-1], node.row[-1].hex())
"#;

/// The archives: name for people, path.
fn archives() -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    let mut waiting = vec![tools::directory().join("archives")];
    while let Some(directory) = waiting.pop() {
        let entries = fs::read_dir(&directory)
            .unwrap_or_else(|error| panic!("{}: {error}; `cargo xtask setup` gets it", directory.display()));
        for entry in entries {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_string();
            if path.is_dir() && !path.is_symlink() {
                waiting.push(path);
            } else if name.ends_with(".tar") && !path.is_symlink() {
                found.push((name, path));
            }
        }
    }
    found.sort();
    found
}

/// What tarfile finds, or its complaint.
fn judged(archive: &Path) -> Result<Vec<String>, String> {
    let mut python = tools::command("python3");
    let output = python.args(["-c", JUDGE]).arg(archive).output().unwrap();
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(said.lines().last().unwrap_or_default().into());
    }
    Ok(String::from_utf8(output.stdout).unwrap().lines().map(str::to_string).collect())
}

/// What `unlade ls` shows, in the judge's words.
fn listed(place: &Place) -> Vec<String> {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let out = place.done(&["ls", "oci:archive", "--json"]).out;
    let mut lines: Vec<String> = out
        .lines()
        .map(|line| {
            let entry: Value = serde_json::from_str(line).unwrap();
            let text = |key: &str| unescaped(entry[key].as_str().unwrap_or_default());
            let mode = u32::from_str_radix(entry["mode"].as_str().unwrap(), 8).unwrap();
            format!(
                "{} {} {mode} {} {} {} {} {}",
                hex(&text("path")[1..]),
                entry["type"].as_str().unwrap(),
                entry["uid"],
                entry["gid"],
                entry["size"].as_u64().unwrap_or(0),
                entry["mtime"]["seconds"],
                hex(&text("target")),
            )
        })
        .collect();
    lines.sort();
    lines
}

#[test]
fn archives_of_other_peoples_tests() {
    let mut unused: BTreeSet<&str> =
        REFUSED.iter().map(|line| line.0).chain(DIFFERENT.iter().map(|line| line.0)).collect();
    let mut faults = Vec::new();
    let archives = archives();
    assert!(archives.len() > 40, "only {} archives", archives.len());
    for (name, path) in &archives {
        let place = Place::new();
        let layers = [Layer::gzip(&fs::read(path).unwrap())];
        write_layout(&place.path("archive"), "x", &layers, &json!({})).unwrap();
        let said = place.run(&["build", "oci:archive", "-o", "a.ext4", "--allow-empty"]);
        assert!(matches!(said.code, Some(0 | 1)) && !said.err.contains("panicked"), "{name}: {}", said.err);
        let judged = judged(path);
        if let Some((_, text, _)) = REFUSED.iter().find(|line| line.0 == name) {
            unused.remove(&**name);
            if said.code == Some(0) || !said.err.contains(text) {
                faults.push(format!("{name} is not refused with {text:?}: {}", said.err));
            }
            continue;
        }
        if said.code != Some(0) {
            faults.push(format!("{name} is refused: {}\n    tarfile: {judged:?}", said.err));
            continue;
        }
        e2fsck(&place.path("a.ext4")).unwrap();
        place.done(&["build", "oci:archive", "-o", "a.tar", "--allow-empty"]);
        let listed = listed(&place);
        let is_different = DIFFERENT.iter().any(|line| line.0 == name);
        unused.remove(&**name);
        let same = judged.as_ref().is_ok_and(|judged| *judged == listed);
        if same == is_different {
            let judged = judged.unwrap_or_else(|said| vec![said]);
            let missing: Vec<_> = judged.iter().filter(|line| !listed.contains(line)).take(9).collect();
            let extra: Vec<_> = listed.iter().filter(|line| !judged.contains(line)).take(9).collect();
            faults.push(format!("{name}: tarfile {missing:#?}, here {extra:#?}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(unused.is_empty(), "no archives of these names: {unused:?}");
}
