//! Images copied from everywhere to everywhere: skopeo and umoci see the same digests, blob by blob.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use hash::Digest;
use serde_json::{Value, json};
use support::schema::conforms;
use support::{Place, sha256};
use testkit::layout::{Layout, MANIFEST, named};
use testkit::registry::FakeRegistry;
use testkit::registry::debian::Server;
use testkit::{corpus, tools};

fn skopeo(arguments: &[&str]) -> Vec<u8> {
    tools::run(tools::command("skopeo").args(arguments)).unwrap()
}

/// The digest of the manifest that skopeo finds.
fn seen(image: &str) -> String {
    Digest::sha256(&skopeo(&["inspect", "--raw", "--tls-verify=false", image])).to_string()
}

/// Names and contents of a layout's blobs.
fn blobs(layout: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(layout.join("blobs/sha256")).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), sha256(&entry.path()))).collect()
}

/// What the command says that it copied.
#[track_caller]
fn copy(place: &Place, arguments: &[&str]) -> Value {
    let said = place.done(&[&["copy", "--json"], arguments].concat());
    let copied: Value = serde_json::from_str(&said.out).unwrap();
    conforms("copy", &copied);
    copied
}

#[test]
fn digests_are_kept_everywhere() {
    let place = Place::new();
    let server = Server::start("", tempfile::tempdir().unwrap()).unwrap();
    for image in ["base", "special"] {
        let layout = corpus::layout(image);
        let source = format!("oci:{}:latest", layout.display());
        let wanted = seen(&source);
        let here = |name: &str| place.path(name).display().to_string();
        let registry = format!("docker://{}", server.name(&format!("first/{image}:v1")));
        let other = format!("docker://{}", server.name(&format!("second/{image}:v2")));
        let archive = format!("oci-archive:{}:a/b:c", here("archive.tar"));
        let copied = format!("oci:{}:x", here("copied"));
        let stored = format!("store:{image}");
        let chain = [&source, &registry, &other, &archive, &stored, &copied];
        for pair in chain.windows(2) {
            let said = copy(&place, &[pair[0], pair[1]]);
            assert_eq!(said["digest"], *wanted, "{pair:?}");
        }
        for found in [&registry, &other, &archive, &copied] {
            assert_eq!(seen(found), wanted, "{found}");
        }
        let by_skopeo = place.path("by-skopeo");
        let same = format!("oci:{}:x", by_skopeo.display());
        skopeo(&["copy", "--quiet", "--preserve-digests", &source, &same]);
        assert_eq!(blobs(&place.path("copied")), blobs(&by_skopeo), "{image}");
        tools::run(tools::command("umoci").args(["stat", "--image", &format!("{}:x", here("copied"))]))
            .unwrap();
        // What is there is not sent again; what another repository of the registry has is not either.
        let again = copy(&place, &[&source, &registry]);
        assert_eq!(again["present"], again["blobs"]);
        let third = format!("docker://{}", server.name(&format!("third/{image}:v2")));
        let mounted = copy(&place, &[&registry, &third, "--no-store"]);
        assert_eq!(mounted["present"], mounted["blobs"]);
        // The same bytes, whoever writes the archive and when.
        let before = sha256(&place.path("archive.tar"));
        copy(&place, &[&copied, &archive, "--no-store"]);
        assert_eq!(sha256(&place.path("archive.tar")), before);
        for name in ["copied", "by-skopeo"] {
            fs::remove_dir_all(place.path(name)).unwrap();
        }
    }
}

/// An archive of docker save has other manifests, but the same layers.
#[test]
fn archives_as_docker_saves_them() {
    let place = Place::new();
    let file = place.path("saved.tar");
    let saved = format!("docker-archive:{}:localhost/a/b:v1", file.display());
    for image in ["base", "special"] {
        let source = format!("oci:{}:latest", corpus::layout(image).display());
        let said = copy(&place, &[&source, &saved]);
        let before = sha256(&file);
        assert_eq!(copy(&place, &[&source, &saved, "--no-store"])["digest"], said["digest"]);
        assert_eq!(sha256(&file), before);

        let config = |image: &str| -> Value {
            serde_json::from_slice(&skopeo(&["inspect", "--config", "--raw", image])).unwrap()
        };
        assert_eq!(config(&saved), config(&source));
        // As an OCI archive it is the same image.
        assert_eq!(seen(&format!("oci-archive:{}", file.display())), said["digest"]);
        let unpacked = format!("oci:{}:x", place.path("unpacked").display());
        skopeo(&["copy", "--quiet", &saved, &unpacked]);
        for (from, output) in [(&source, "a.tar"), (&saved, "b.tar"), (&unpacked, "c.tar")] {
            place.done(&["build", from, "-o", output, "-q"]);
            assert_eq!(sha256(&place.path(output)), sha256(&place.path("a.tar")), "{image}: {from}");
        }
        fs::remove_dir_all(place.path("unpacked")).unwrap();
        let back = copy(&place, &[&format!("docker-archive:{}", file.display()), "oci:back:x"]);
        assert_eq!(back["digest"], said["digest"]);
    }
    let listed: Value = serde_json::from_slice(
        &tools::run(tools::command("tar").arg("-xOf").arg(&file).arg("manifest.json")).unwrap(),
    )
    .unwrap();
    assert_eq!(listed[0]["RepoTags"], json!(["localhost/a/b:v1"]));
}

/// Two platforms, an attestation that belongs to one of them, and a nested index.
fn everything() -> (Layout, String, Value) {
    let layout = Layout::new();
    let images =
        ["linux/amd64", "linux/arm64"].map(|platform| layout.image(platform, &[platform.as_bytes()]));
    let config = layout.put("application/vnd.oci.empty.v1+json", "{}");
    let statement = layout.put("application/vnd.in-toto+json", r#"{"predicate": {}}"#);
    let attestation = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [statement],
    });
    let mut attestation = layout.document(MANIFEST, &attestation);
    attestation["platform"] = json!({"os": "unknown", "architecture": "unknown"});
    attestation["annotations"] = json!({"vnd.docker.reference.type": "attestation-manifest"});
    let nested = layout.index(&[images[1].clone()]);
    let top = layout.index(&[images[0].clone(), attestation, nested]);
    let source = layout.finish(&[named(top.clone(), "x")]);
    (layout, source, top)
}

#[test]
fn all_platforms() {
    let place = Place::new();
    let server = Server::start("", tempfile::tempdir().unwrap()).unwrap();
    let (layout, source, top) = everything();
    let wanted = top["digest"].as_str().unwrap();
    let registry = format!("docker://{}", server.name("all:v1"));
    let other = format!("docker://{}", server.name("other:v1"));
    for pair in [
        [&*source, &*registry],
        [&registry, &other],
        [&other, "oci-archive:all.tar:y"],
        ["oci-archive:all.tar", "store:all"],
        ["store:all", "oci:all:z"],
    ] {
        let said = copy(&place, &[pair[0], pair[1], "--all-platforms"]);
        assert_eq!(said["digest"], wanted, "{pair:?}");
        assert_eq!((&said["manifests"], &said["blobs"]), (&json!(5), &json!(6)), "{pair:?}");
    }
    assert_eq!(seen(&registry), wanted);
    assert_eq!(seen(&other), wanted);
    let here = format!("oci:{}:z", place.path("all").display());
    assert_eq!(seen(&here), wanted);
    assert_eq!(blobs(&place.path("all")), blobs(&layout.path));
    // One of them alone, from a registry that has all.
    for (platform, image) in [("linux/amd64", 0), ("linux/arm64", 2)] {
        let one = copy(&place, &[&registry, "oci:one:x", "--platform", platform]);
        assert_ne!(one["digest"], wanted, "{image}");
        assert_eq!(one["manifests"], 1);
    }
    let tags = place.run(&["copy", "store:all", "docker-archive:all.docker", "--all-platforms"]);
    assert_eq!(tags.code, Some(1));
    assert!(tags.err.contains("can hold one image, not an index of several"), "{}", tags.err);
    assert!(!place.path("all.docker").exists());
}

/// Of what was copied for all platforms, the images have names and stay; the rest of the index goes with a sweep, as
/// `docs/store.md` says, and is had again from where it came.
#[test]
fn a_sweep_leaves_the_images_of_all_platforms() {
    let place = Place::new();
    let (layout, source, top) = everything();
    let index: Value = serde_json::from_slice(&fs::read(layout.blob(&top)).unwrap()).unwrap();
    let attestation = index["manifests"][1]["digest"].as_str().unwrap();
    copy(&place, &[&source, "store:all", "--all-platforms"]);
    place.done(&["gc"]);
    place.done(&["fsck"]);
    for platform in ["linux/amd64", "linux/arm64"] {
        copy(&place, &["store:all", "oci:one:x", "--platform", platform]);
    }
    let said = place.run(&["copy", "store:all", "oci:all:x", "--all-platforms"]);
    assert_eq!(said.code, Some(1));
    assert_eq!(said.err, format!("error: blob {attestation} is not in the store\n"));
    let again = copy(&place, &[&source, "store:all", "--all-platforms"]);
    assert_eq!(again["digest"], top["digest"]);
    copy(&place, &["store:all", "oci:all:x", "--all-platforms"]);
    place.done(&["rm", "all"]);
    place.done(&["gc"]);
    assert!(blobs(&place.path("store")).is_empty());
}

#[test]
fn a_layout_keeps_what_it_holds() {
    let place = Place::new();
    let base = format!("oci:{}:latest", corpus::layout("base").display());
    let special = format!("oci:{}:latest", corpus::layout("special").display());
    let read =
        || -> Value { serde_json::from_slice(&fs::read(place.path("many/index.json")).unwrap()).unwrap() };
    copy(&place, &[&base, "oci:many:a"]);
    // Another tool's entry, with things that nobody knows.
    let mut listing = read();
    listing["x"] = json!([1]);
    let mut odd = listing["manifests"][0].clone();
    odd["annotations"] = json!({"org.opencontainers.image.ref.name": "odd", "k": "v"});
    odd["unknown"] = json!(true);
    listing["manifests"].as_array_mut().unwrap().push(odd.clone());
    fs::write(place.path("many/index.json"), listing.to_string()).unwrap();
    for (source, to) in
        [(&special, "oci:many:b"), (&special, "oci:many:a"), (&base, "oci:many"), (&base, "oci:many")]
    {
        copy(&place, &[source, to]);
    }
    let listing = read();
    let names: Vec<&str> = listing["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap_or("-"))
        .collect();
    // The digest of `base` is there already, under a name.
    assert_eq!(names, ["odd", "b", "a"]);
    assert_eq!((&listing["manifests"][0], &listing["x"]), (&odd, &json!([1])));
    let names: Vec<String> = fs::read_dir(place.path("many"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names.len(), 3, "{names:?}");
}

#[test]
fn what_cannot_be_copied() {
    let place = Place::new();
    fs::create_dir(place.path("full")).unwrap();
    fs::write(place.path("full/file"), "precious").unwrap();
    fs::write(place.path("old.tar"), "precious").unwrap();
    fs::create_dir(place.path("odd")).unwrap();
    fs::write(place.path("odd/oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    fs::write(place.path("odd/index.json"), r#"{"manifests":7}"#).unwrap();
    let broken = Layout::at(&place.path("broken"));
    let image = broken.image("linux/amd64", &[b"layer"]);
    broken.finish(&[image]);
    for blob in fs::read_dir(place.path("broken/blobs/sha256")).unwrap() {
        let blob = blob.unwrap().path();
        if fs::read(&blob).unwrap() == b"layer" {
            fs::write(blob, "other").unwrap();
        }
    }
    place.done(&["pull", "oci:image"]);
    for (from, to, code, text) in [
        (
            "oci:image",
            "app",
            2,
            "error: \"app\" may be in a registry or in the store: docker://app or store:app",
        ),
        ("oci:image", "store:", 2, "error: empty image name"),
        ("oci:image", "dir:x", 2, "error: the transport dir: is not supported"),
        ("oci:image", "oci:full", 1, "error: full is not an OCI image layout: it has no oci-layout file"),
        ("oci:image", "oci:store", 1, "error: store is the store: store:NAME names what is in it"),
        ("oci:image", "oci:odd", 1, "error: odd/index.json is malformed: its manifests are no list"),
        ("oci:image", "docker-archive:x.tar:No", 1, "error: invalid name \"No\" for an image in an archive"),
        ("oci:image", "oci-archive:full", 1, "error: cannot write full\n"),
        ("oci:image", "oci-archive:no/x.tar", 1, "error: cannot write no/x.tar\n"),
        ("oci:absent", "oci-archive:x.tar", 1, "error: cannot read absent"),
        (
            "store:absent",
            "oci-archive:x.tar",
            4,
            "error: docker.io/library/absent:latest is not in the store",
        ),
        ("oci:broken", "oci-archive:old.tar", 1, "error: cannot copy blob sha256:"),
        ("oci:broken", "docker-archive:old.tar", 1, "error: cannot copy blob sha256:"),
        ("oci:broken", "oci:new:x", 1, "error: cannot copy blob sha256:"),
        ("oci:broken", "store:broken", 1, "error: cannot copy blob sha256:"),
    ] {
        let said = place.run(&["copy", from, to, "--any-platform"]);
        assert_eq!(said.code, Some(code), "{from} {to}: {}", said.err);
        assert!(said.err.starts_with(text), "{from} {to}: {}", said.err);
    }
    assert_eq!(fs::read_to_string(place.path("old.tar")).unwrap(), "precious");
    assert!(!place.path("x.tar").exists());
    assert!(!place.path("new/index.json").exists(), "nothing is named that is not there");
    assert_eq!(place.run(&["inspect", "broken", "--pull", "never"]).code, Some(4));
    // A stored blob that has gone bad is fetched again, on the way to any place.
    let blob = fs::read_dir(place.path("store/blobs/sha256"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .max_by_key(|path| fs::metadata(path).unwrap().len())
        .unwrap();
    let good = fs::read(&blob).unwrap();
    let registry = FakeRegistry::start();
    for to in
        ["oci:healed:x", "oci-archive:healed.tar", "docker-archive:healed.docker", "docker://REGISTRY/healed"]
    {
        fs::write(&blob, vec![0; good.len()]).unwrap();
        let to = to.replace("REGISTRY", &registry.host());
        copy(&place, &["oci:image", &to]);
        assert!(fs::read(&blob).unwrap() == good, "{to}");
    }
}
