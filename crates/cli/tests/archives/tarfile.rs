//! Python's tarfile as the judge of what an archive holds.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use testkit::judge::e2fsck;
use testkit::tools;

use crate::support::{Place, unescaped};
use crate::{REFUSED, archives, place_of};

/// Archives of which Python's tarfile says something else: name, why.
const DIFFERENT: &[(&str, &str)] = &[
    ("gnu-incremental.tar", "tarfile takes the times in an old GNU header for the beginning of the name"),
    (
        "gnu-multi-hdrs.tar",
        "of two long names tarfile takes the first; here, in Go and in GNU tar the last counts",
    ),
    (
        "pax-multi-hdrs.tar",
        "of two pax headers tarfile takes the first; here, in Go and in GNU tar nothing of it counts",
    ),
    ("pax-nil-sparse-data.tar", "tarfile reports the size with the map in it, 1512 bytes for 1000"),
    ("pax-nil-sparse-hole.tar", "tarfile reports the size of the map, 512 bytes for 1000"),
    ("pax-sparse-big.tar", "tarfile reports the size of the map, 3584 bytes for 60000000000"),
    (
        "test_read_format_tar_empty_pax.tar",
        "an archive of nothing but a pax header without records is an empty one, and for tarfile a damaged one",
    ),
    ("test_read_format_tar_empty_with_gnulabel.tar", "tarfile takes the name of GNU tar's volume for a file"),
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
            // That of a symlink means nothing.
            let mode = if entry["type"] == "symlink" { "0777" } else { entry["mode"].as_str().unwrap() };
            let mode = u32::from_str_radix(mode, 8).unwrap();
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
fn as_tarfile_lists_them() {
    let mut unused: BTreeSet<&str> =
        REFUSED.iter().map(|line| line.0).chain(DIFFERENT.iter().map(|line| line.0)).collect();
    let mut faults = Vec::new();
    let archives = archives();
    assert!(archives.len() > 90, "only {} archives", archives.len());
    for (name, path) in &archives {
        let place = place_of(path);
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
