//! `cat`.

use serde_json::json;
use testkit::corpus;
use testkit::image::{Header, Layer, Tar, write_layout};
use testkit::judge::unpack_with_umoci;
use testkit::listing::{self, Kind};

use crate::support::Place;
use crate::{blobs_of_layers, cat, damage, name_of};

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
