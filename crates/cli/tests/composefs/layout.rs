//! Out of a repository, as a layout that others read.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use testkit::corpus;
use testkit::image::{Layer, write_layout};
use testkit::judge::unpack_with_umoci;
use testkit::listing;
use testkit::tools;

use super::{layers, parsed, place, pull};
use crate::support::Place;

/// What skopeo says of an image: it reads manifest and config, and checks their digests.
fn inspect(layout: &Path, arguments: &[&str]) -> Value {
    let mut skopeo = tools::command("skopeo");
    skopeo.arg("inspect").args(arguments).arg(format!("oci:{}:latest", layout.display()));
    serde_json::from_slice(&tools::run(&mut skopeo).unwrap()).unwrap()
}

/// Fails unless umoci makes the same of both.
fn unpacked_alike(place: &Place, source: &Path, exported: &Path) {
    let [left, right] = ["left", "right"].map(|name| place.path(name));
    for (layout, into) in [(source, &left), (exported, &right)] {
        unpack_with_umoci(layout, into).unwrap();
    }
    let listed = [&left, &right].map(|root| listing::list(root).unwrap());
    // What no layer has an entry for has the time of the unpacking.
    let timed = |mut lines: Vec<listing::Line>| {
        lines.iter_mut().filter(|line| line.path.is_empty()).for_each(|line| line.mtime = (0, 0));
        lines
    };
    let [left, right] = listed.map(timed);
    assert_eq!(listing::diff(&left, &right), Vec::<String>::new());
    for name in ["left", "right"] {
        fs::remove_dir_all(place.path(name)).unwrap();
    }
}

#[test]
fn layers_come_back_as_tarballs() {
    let place = place();
    write_layout(&place.path("source"), "latest", &layers(), &json!({})).unwrap();
    pull(&place);
    let said =
        place.done(&["composefs", "oci-layout", "--repo", "repo", "two", "-o", "out:latest", "--json"]);
    let said = parsed("composefs-oci-layout", &said.out);
    let (source, out) = (place.path("source"), place.path("out"));
    let (was, is) = (inspect(&source, &["--raw"]), inspect(&out, &["--raw"]));
    // One layer was compressed, and the other one was not.
    assert_eq!(is["layers"][0]["mediaType"], "application/vnd.oci.image.layer.v1.tar");
    assert_ne!(is["layers"][0], was["layers"][0]);
    assert_eq!(is["layers"][1], was["layers"][1]);
    assert_eq!(is["config"], was["config"]);
    assert_ne!(said["digest"], said["pulledDigest"]);
    assert_eq!(inspect(&out, &["--config"])["rootfs"], inspect(&source, &["--config"])["rootfs"]);
    assert_eq!(said["digest"], inspect(&out, &[])["Digest"]);
    unpacked_alike(&place, &source, &out);
    // What comes of that is the same image.
    let again = place.done(&["composefs", "pull", "--repo", "repo", "oci:out:latest", "again", "--json"]);
    let (again, first) = (parsed("composefs-pull", &again.out), pull(&place));
    assert_eq!((&again["images"], &again["newLayers"]), (&first["images"], &json!(0)));
    // Once more changes nothing.
    let said =
        place.done(&["composefs", "oci-layout", "--repo", "repo", "two", "-o", "out:latest", "--json"]);
    assert_eq!(parsed("composefs-oci-layout", &said.out)["present"], 3);
}

#[test]
fn an_image_whose_layers_were_never_compressed_keeps_its_digest() {
    let place = place();
    let plain: Vec<Layer> = layers().into_iter().skip(1).collect();
    let digest = write_layout(&place.path("plain"), "latest", &plain, &json!({})).unwrap();
    place.done(&["composefs", "pull", "--repo", "repo", "oci:plain", "plain"]);
    let said = place.done(&["composefs", "oci-layout", "--repo", "repo", "plain", "-o", "out:latest"]);
    assert_eq!(said.out.trim(), digest.to_string());
    assert!(!said.err.contains("note"), "{}", said.err);
    unpacked_alike(&place, &place.path("plain"), &place.path("out"));
}

#[test]
fn as_pulled_is_what_was_pulled() {
    let place = place();
    let source = place.path("source");
    let digest = write_layout(&source, "latest", &layers(), &json!({})).unwrap();
    pull(&place);
    let export = ["composefs", "oci-layout", "--repo", "repo", "two", "-o", "out:latest", "--as-pulled"];
    assert_eq!(place.done(&export).out.trim(), digest.to_string());
    let blobs = |layout: &Path| {
        let mut names: Vec<_> = fs::read_dir(layout.join("blobs/sha256"))
            .unwrap()
            .map(|blob| blob.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    assert_eq!(blobs(&place.path("out")), blobs(&source));
    fs::remove_dir_all(place.path("store")).unwrap();
    fs::remove_dir_all(place.path("out")).unwrap();
    let said = place.run(&export);
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert!(said.err.contains("blob"), "{}", said.err);
    assert!(!place.path("out").exists());
}

#[test]
fn an_image_of_sixty_layers() {
    let place = place();
    let source = corpus::layout("layers60");
    place.done(&["composefs", "pull", "--repo", "repo", &format!("oci:{}:latest", source.display()), "it"]);
    place.done(&["composefs", "oci-layout", "--repo", "repo", "it", "-o", "out:latest"]);
    unpacked_alike(&place, &source, &place.path("out"));
}

#[test]
fn what_is_no_destination() {
    let place = place();
    pull(&place);
    fs::create_dir(place.path("full")).unwrap();
    fs::write(place.path("full/file"), "").unwrap();
    for (output, said) in [("full", "is not an OCI image layout"), ("", "needs a path")] {
        let run = place.run(&["composefs", "oci-layout", "--repo", "repo", "two", "-o", output]);
        assert_ne!(run.code, Some(0));
        assert!(run.err.contains(said), "{}", run.err);
    }
    // Damage of a layer is noticed.
    let object = fs::read_dir(place.path("repo/objects")).unwrap().flat_map(|directory| {
        fs::read_dir(directory.unwrap().path()).unwrap().map(|object| object.unwrap().path())
    });
    let large = object.into_iter().find(|path| fs::metadata(path).unwrap().len() == 10_000).unwrap();
    fs::write(large, vec![9; 10_000]).unwrap();
    let run = place.run(&["composefs", "oci-layout", "--repo", "repo", "two", "-o", "out"]);
    assert!(run.err.contains("has the digest"), "{}", run.err);
    assert!(!place.path("out/index.json").exists());
}
