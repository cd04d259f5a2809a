//! What is known of layers without reading them, and how far that is believed.

use std::fs;

use serde_json::json;
use testkit::image::{Header, Layer, Tar, write_layout};

use crate::support::Place;
use crate::{blobs_of_layers, cat};

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
