use std::fs::{self, File};
use std::io;
#[cfg(windows)]
use std::path::Path;

use super::*;

#[test]
fn bytes_at_places() {
    let file = tempfile::tempfile().unwrap();
    allow_holes(&file);
    file.write_all_at(b"there", 5_000_000).unwrap();
    file.write_all_at(b"here", 0).unwrap();
    let mut bytes = [0; 5];
    file.read_exact_at(&mut bytes, 5_000_000).unwrap();
    assert_eq!(&bytes, b"there");
    file.read_exact_at(&mut bytes, 1).unwrap();
    assert_eq!(&bytes, b"ere\0\0");
    assert_eq!(file.read_at(&mut bytes, 5_000_005).unwrap(), 0);
    let short = file.read_exact_at(&mut bytes, 5_000_001).unwrap_err();
    assert_eq!(short.kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(file.metadata().unwrap().len(), 5_000_005);
}

#[test]
fn names_without_addresses() {
    #[cfg(unix)]
    let lookup = |cause| io::Error::other(format!("failed to lookup address information: {cause}"));
    #[cfg(unix)]
    let errors = [
        (lookup("Name or service not known"), true),
        (lookup("No address associated with hostname"), true),
        (lookup("Name does not resolve"), true),
        (lookup("Temporary failure in name resolution"), false),
        (lookup("Try again"), false),
    ];
    #[cfg(windows)]
    let errors = [(11_001, true), (11_002, false), (11_004, true)]
        .map(|(number, known)| (io::Error::from_raw_os_error(number), known));
    for (error, known) in errors {
        assert_eq!(without_address(&error).unwrap().1, known, "{error}");
    }
    assert!(without_address(&io::ErrorKind::ConnectionRefused.into()).is_none());
    // As the system itself says it.
    let error = std::net::ToSocketAddrs::to_socket_addrs("unlade.invalid:80").unwrap_err();
    assert!(without_address(&error).is_some(), "{error}");
}

#[test]
fn only_files_are_opened_as_files() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    assert_eq!(open_regular(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
    fs::write(&path, "x").unwrap();
    assert!(open_regular(&path).unwrap().is_some());
    assert!(open_regular(directory.path()).unwrap().is_none());
    assert!(open_directory(directory.path()).is_ok());
    assert!(open_directory(&path).is_err());
}

#[cfg(windows)]
#[test]
fn names_that_would_not_be_files() {
    for name in ["rootfs.ext4", "console.tar", "com.tar", "com10.ext4", "a b.c.d", "nul2", "\u{e9}"] {
        assert!(check_name(Path::new(name)).is_ok(), "{name}");
    }
    for name in
        ["nul", "NUL.ext4", "aux.tar.gz", "con ", "com1.ext4", "lpt\u{b9}", "ab:c", "c:\\x\\y?", "x.", "x "]
    {
        assert!(check_name(Path::new(name)).is_err(), "{name}");
    }
}

#[test]
fn a_name_and_the_file_that_it_means() {
    let directory = tempfile::tempdir().unwrap();
    let (path, other) = (directory.path().join("one"), directory.path().join("other"));
    let file = open_or_create(&path).unwrap();
    assert!(is_named(&file, &path).unwrap());
    assert!(!is_named(&file, &other).unwrap());
    // Renamed while it is open, and another one in its place.
    replace(&path, &other).unwrap();
    assert!(!is_named(&file, &path).unwrap());
    // Wine 8 finds that only later, and what was removed until it is closed. Nobody asks for it there: a part is looked
    // for under the one name that it had.
    let sees = cfg!(unix);
    assert!(!sees || is_named(&file, &other).unwrap());
    File::create(&path).unwrap();
    assert!(!is_named(&file, &path).unwrap());
    fs::remove_file(&other).unwrap();
    assert!(!sees || !is_named(&file, &other).unwrap());
}

#[cfg(unix)]
#[test]
fn whole_blocks_from_an_address_of_a_block() {
    let output = tempfile::tempfile_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    output.set_len(5 * 4096).unwrap();
    // On other filesystems there is nothing to test.
    let Some(direct) = Direct::open(&output) else { return };
    let memory: Vec<u8> = (0..5 * 4096u32).map(|at| (at / 7) as u8).collect();
    let start = memory.as_ptr().addr().next_multiple_of(512) - memory.as_ptr().addr();
    let bytes = &memory[start..start + 3 * 4096 + 100];
    assert_eq!(direct.write_at(bytes, 4096).unwrap(), 3 * 4096);
    assert_eq!(direct.write_at(bytes, 512).unwrap(), 0, "the rest of a block would be lost");
    assert_eq!(direct.write_at(&bytes[1..], 4096).unwrap(), 0, "no disk takes bytes from there");
    let mut found = vec![0; 3 * 4096];
    output.read_exact_at(&mut found, 4096).unwrap();
    assert_eq!(found, bytes[..found.len()]);
}
