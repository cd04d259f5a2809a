//! `dump`.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use testkit::corpus;
use testkit::judge::unpack_with_umoci;
use testkit::listing::{self, Kind};
use tree::escape;

use crate::name_of;
use crate::support::Place;

#[test]
fn a_built_filesystem_has_what_umoci_unpacks() {
    let (place, image) = (Place::new(), name_of("special"));
    let unpacked = place.path("unpacked");
    unpack_with_umoci(&corpus::layout("special"), &unpacked).unwrap();
    for (file, added) in [("rootfs.ext4", Some(" /lost+found")), ("rootfs.erofs", None)] {
        place.done(&["build", &image, "-o", file, "-q"]);
        let said = place.done(&["dump", file]);
        check(&said.out, &unpacked, added);
    }
}

/// What was dumped must have the names of a directory, and one that was added.
fn check(text: &str, unpacked: &Path, added: Option<&str>) {
    let mut expected = vec![" /".to_owned()];
    expected.extend(added.map(str::to_owned));
    for line in listing::list(unpacked).unwrap() {
        let path = escape(&line.path).to_string();
        match &line.kind {
            _ if path.is_empty() => {}
            Kind::Symlink { target } => expected.push(format!(" /{path} -> {}", escape(target))),
            _ => expected.push(format!(" /{path}")),
        }
    }
    let mut found: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_digit()))
        .filter_map(|line| line.find(" /").map(|at| &line[at..]))
        .collect();
    found.sort_unstable();
    expected.sort_unstable();
    for (found, expected) in found.iter().zip(&expected) {
        // The second name of a link shows no text again.
        assert!(found == expected || expected.starts_with(&format!("{found} -> ")), "{found}: {expected}");
    }
    assert_eq!(found.len(), expected.len());
    assert!(text.starts_with(if added.is_some() { "ext4, " } else { "erofs, " }));
    assert!(text.contains("    security.capability = 0x"));
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'));
}

#[test]
fn what_is_no_filesystem_or_a_damaged_one() {
    let place = Place::new();
    fs::write(place.path("text"), "no filesystem").unwrap();
    for (file, text) in [
        ("text", "because: neither an ext4 nor an EROFS filesystem: there is no superblock of either\n"),
        ("absent", "because: No such file or directory (os error 2)\n"),
    ] {
        let said = place.run(&["dump", file]);
        assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{file}");
        assert_eq!(said.err, format!("error: cannot show {file}\n  {text}"));
    }
    place.done(&["build", "oci:image", "-o", "rootfs.ext4", "-q"]);
    let whole = place.done(&["dump", "rootfs.ext4"]).out;
    let file = File::options().read(true).write(true).open(place.path("rootfs.ext4")).unwrap();
    let table = whole.lines().find_map(|line| line.split_once("inodes at ")).unwrap().1;
    let table: u64 = table.split(',').next().unwrap().parse().unwrap();
    file.write_all_at(b"x", table * 4096 + 256 * 12 + 20).unwrap();
    let said = place.run(&["dump", "rootfs.ext4"]);
    assert_eq!(said.code, Some(1));
    // What was read before it is shown.
    assert!(!said.out.is_empty() && whole.starts_with(&said.out));
    assert_eq!(
        said.err,
        "error: cannot show rootfs.ext4\n  because: inode 13 is corrupt: the checksum is wrong\n"
    );
    place.done(&["build", "oci:image", "-o", "rootfs.erofs", "-q"]);
    let file = File::options().read(true).write(true).open(place.path("rootfs.erofs")).unwrap();
    file.write_all_at(b"x", 1024 + 50).unwrap();
    let said = place.run(&["dump", "rootfs.erofs"]);
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""));
    assert!(
        said.err.ends_with("because: the superblock is corrupt: the checksum is wrong\n"),
        "{}",
        said.err
    );
}
