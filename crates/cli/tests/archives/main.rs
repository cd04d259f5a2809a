//! Other people's test archives: what the tests of Go, Python and libarchive read, as layers.
//!
//! Each is listed and unpacked as Python's tarfile, GNU tar and bsdtar list and unpack it, or a table says why not;
//! what is refused stands in [`REFUSED`], with what other readers do. A new archive needs no line until it differs.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod tarfile;
mod unpackers;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use support::Place;
use testkit::image::{Layer, write_layout};
use testkit::tools;

/// Archives that are refused: name, a part of the error, and what others do.
pub(crate) const REFUSED: &[(&str, &str, &str)] = &[
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
        "test_acl_pax_posix1e.tar",
        "access control list is not valid",
        "by the kernel as well, to which bsdtar gives it; GNU tar goes on without it, Go knows no such lists",
    ),
    (
        "test_compat_plexus_archiver_tar.tar",
        "a lone zero block stands between entries",
        "by Go as well, and so by Docker; the others go on behind it",
    ),
    ("test_patterns_4.tar", "path escapes the root", "GNU tar and bsdtar leave such entries out"),
    (
        "test_read_format_gtar_sparse_1_17_posix10_modified.tar",
        "sparse map has something else than numbers",
        "by tarfile and GNU tar as well; bsdtar knows maps with comments",
    ),
    (
        "test_read_format_gtar_sparse_skip_entry.tar",
        "sparse map names 4100 bytes of data where the archive has 10737417732",
        "by tarfile and GNU tar as well",
    ),
    (
        "test_read_format_tar_empty_filename.tar",
        "empty name",
        "bsdtar skips the entry, others take it for the root",
    ),
    (
        "test_read_format_tar_invalid_pax_size.tar",
        "malformed pax record",
        "by tarfile, GNU tar and bsdtar as well",
    ),
    (
        "writer-big-long.tar",
        "cut off inside an entry's content",
        "by all: it is only the beginning of an archive",
    ),
    ("writer-big.tar", "cut off inside an entry's content", "by all: it is only the beginning of an archive"),
];

/// Whether an archive stands in [`REFUSED`].
pub(crate) fn is_refused(name: &str) -> bool {
    REFUSED.iter().any(|line| line.0 == name)
}

/// The archives: name for people, path.
pub(crate) fn archives() -> Vec<(String, PathBuf)> {
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

/// A place with an image `oci:archive` that has an archive for its only layer.
pub(crate) fn place_of(archive: &Path) -> Place {
    let place = Place::new();
    let layers = [Layer::gzip(&fs::read(archive).unwrap())];
    write_layout(&place.path("archive"), "x", &layers, &json!({})).unwrap();
    place
}
