//! Writing trees as cpio archives.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use support::{Memory, Tarball, read_with};
use tree::{Notes, Tree};
use unlade_layer::cpio::{self, Written};
use unlade_layer::{Error, ReadOptions};

fn written(tarball: Tarball) -> Result<(Written, Vec<u8>), Error> {
    let (layer, space) = read_with(&tarball.end(), &ReadOptions::default()).unwrap();
    let mut tree = Tree::default();
    tree.apply(0, layer.changes, &mut Notes::default()).unwrap();
    let mut memory = Memory { space: &space, bytes: Vec::new() };
    let written = cpio::write(&tree, &mut memory)?;
    assert_eq!(written.length, memory.bytes.len() as u64);
    assert!(written.length.is_multiple_of(512));
    Ok((written, memory.bytes))
}

/// Each entry as its header's numbers, its name and its bytes; read as the kernel's description has it.
fn entries(archive: &[u8]) -> Vec<(Vec<u32>, String, Vec<u8>)> {
    let (mut at, mut found) = (0, Vec::new());
    loop {
        assert_eq!(&archive[at..at + 6], b"070701");
        let digits = std::str::from_utf8(&archive[at + 6..at + 110]).unwrap();
        let numbers: Vec<u32> =
            (0..13).map(|n| u32::from_str_radix(&digits[n * 8..n * 8 + 8], 16).unwrap()).collect();
        let (size, name) = (numbers[6] as usize, numbers[11] as usize);
        let end = at + 110 + name;
        assert_eq!(archive[end - 1], 0);
        let name = String::from_utf8(archive[at + 110..end - 1].to_vec()).unwrap();
        let start = end.next_multiple_of(4);
        found.push((numbers, name, archive[start..start + size].to_vec()));
        at = (start + size).next_multiple_of(4);
        if found.last().unwrap().1 == "TRAILER!!!" {
            assert!(archive[at..].iter().all(|byte| *byte == 0));
            return found;
        }
    }
}

#[test]
fn headers_number_by_number() {
    let tarball = Tarball::new()
        .file("a", b"abc")
        // What its header says is said of the file.
        .pax(&[("mtime", b"1234567890.5"), ("SCHILY.xattr.user.a", b"1"), ("uid", b"4294967295")])
        .hardlink("b/c", "a")
        .symlink("d", "a/b")
        .pax(&[("mtime", b"-5")])
        .file("e", b"")
        .file("TRAILER!!!", b"not yet");
    let (found, archive) = written(tarball).unwrap();
    assert_eq!((found.dropped_xattrs, found.clamped_times), (1, 1));
    let line = |(numbers, name, bytes): &(Vec<u32>, String, Vec<u8>)| {
        let shown: Vec<String> = numbers.iter().map(|number| format!("{number:x}")).collect();
        format!("{name} {} {}", shown.join(" "), String::from_utf8_lossy(bytes))
    };
    let shown: Vec<String> = entries(&archive).iter().map(line).collect();
    assert_eq!(
        shown,
        [
            ". 1 41ed 0 0 2 0 0 0 0 0 0 2 0 ",
            "./TRAILER!!! 2 81a4 0 0 1 0 7 0 0 0 0 d 0 not yet",
            "a 3 81a4 ffffffff 0 2 499602d2 0 0 0 0 0 2 0 ",
            "b 4 41ed 0 0 2 0 0 0 0 0 0 2 0 ",
            // The last name has the bytes.
            "b/c 3 81a4 ffffffff 0 2 499602d2 3 0 0 0 0 4 0 abc",
            "d 5 a1a4 0 0 1 0 3 0 0 0 0 2 0 a/b",
            "e 6 81a4 0 0 1 0 0 0 0 0 0 2 0 ",
            "TRAILER!!! 0 0 0 0 1 0 0 0 0 0 0 b 0 ",
        ]
    );
}

#[test]
fn what_has_no_room() {
    let long = vec!["d".repeat(250); 17].join("/");
    let said = written(Tarball::new().pax(&[("path", long.as_bytes())]).file("x", b"")).unwrap_err();
    assert!(
        said.to_string().ends_with("a path of 4266 bytes, of which an initramfs has 4095 at most"),
        "{said}"
    );
    let sparse: &[(&str, &[u8])] = &[
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.name", b"holes"),
        ("GNU.sparse.realsize", b"4294967296"),
    ];
    let mut map = b"0\n".to_vec();
    map.resize(512, 0);
    let said = written(Tarball::new().pax(sparse).file("x", &map)).unwrap_err();
    assert_eq!(
        said.to_string(),
        "holes: a file of 4294967296 bytes, of which a cpio archive has 4294967295 at most"
    );
}
