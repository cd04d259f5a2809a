//! A rootfs that one machine builds and others take: the same bytes as a build, or else a build.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt;

use hash::Digest;
use serde_json::{Value, json};
use support::schema::conforms;
use support::{Place, sha256};
use testkit::judge::e2fsck;
use testkit::registry::debian::Server;
use testkit::registry::{FakeRegistry, Habits, fault};
use testkit::{corpus, tools};

const TYPE: &str = "application/vnd.unlade.rootfs.v1";

/// Pushes a rootfs, and gives what is said of it.
#[track_caller]
fn push(place: &Place, arguments: &[&str]) -> Value {
    let said = place.done(&[&["push", "--json", "-q"], arguments].concat());
    let pushed: Value = serde_json::from_str(&said.out).unwrap();
    conforms("push-rootfs", &pushed);
    pushed
}

/// Builds with another store, as another machine would, and gives the summary.
#[track_caller]
fn build(place: &Place, arguments: &[&str]) -> (Value, String) {
    let said = place.done(&[&["build", "--json", "--no-store"], arguments].concat());
    let built: Value = serde_json::from_str(&said.out).unwrap();
    conforms("build", &built);
    (built, said.err)
}

/// A registry in the memory of this process that has the tiny image as `app:v1`, and its name there.
fn fake(place: &Place, habits: Habits) -> (FakeRegistry, String) {
    let registry = FakeRegistry::start();
    registry.take(habits);
    let name = format!("{}/app:v1", registry.host());
    place.done(&["push", "oci:image", &name, "-q"]);
    (registry, name)
}

/// Judge 5: Debian's registry, which keeps no list of referrers itself.
#[test]
fn the_same_bytes_as_a_build() {
    let place = Place::new();
    let server = Server::start("", tempfile::tempdir().unwrap()).unwrap();
    for image in ["base", "special"] {
        let source = format!("oci:{}:latest", corpus::layout(image).display());
        let name = server.name(&format!("{image}:v1"));
        place.done(&["push", &source, &name, "-q"]);
        for (options, output) in [
            (&["--free", "200M", "--label", "a b"][..], "x.ext4"),
            (&["--profile", "ro"], "x.ext4"),
            (&["--gpt", "--verity"], "x.erofs"),
            (&[], "x.tar"),
        ] {
            let format = output.rsplit('.').next().unwrap();
            let pushed = push(&place, &[&["--rootfs", format, &name][..], options].concat());
            let (built, said) =
                build(&place, &[&[&name, "-o", output, "--prefer-prebuilt"][..], options].concat());
            assert!(
                pushed["artifact"].as_str().unwrap().ends_with(built["prebuilt"].as_str().unwrap()),
                "{said}"
            );
            place
                .done(&[&["build", &source, "-o", "wanted", "--format", format, "-q"][..], options].concat());
            let (taken, wanted) = (place.path(output), place.path("wanted"));
            tools::run(tools::command("cmp").arg(&taken).arg(&wanted)).unwrap();
            assert_eq!(pushed["digest"].as_str().unwrap(), format!("sha256:{}", sha256(&wanted)));
            if format == "ext4" {
                e2fsck(&taken).unwrap();
                // Its holes are holes, but for what the filesystem makes of single blocks.
                let blocks = |path| fs::metadata(path).unwrap().blocks();
                assert!(
                    blocks(&taken) <= blocks(&wanted) * 11 / 10 + 1024,
                    "{} {}",
                    blocks(&taken),
                    blocks(&wanted)
                );
            }
            assert!(pushed["packed"].as_u64().unwrap() < pushed["size"].as_u64().unwrap());
        }
        // Skopeo can copy them, and finds the list under its tag.
        let manifest = Digest::sha256(
            &tools::run(tools::command("skopeo").args([
                "inspect",
                "--raw",
                "--tls-verify=false",
                &format!("docker://{name}"),
            ]))
            .unwrap(),
        );
        let list = format!("docker://{}:sha256-{}", server.name(image), manifest.hex());
        let list: Value = serde_json::from_slice(
            &tools::run(tools::command("skopeo").args(["inspect", "--raw", "--tls-verify=false", &list]))
                .unwrap(),
        )
        .unwrap();
        assert_eq!(list["manifests"].as_array().unwrap().len(), 4, "{list}");
        assert_eq!(list["manifests"][0]["artifactType"], TYPE);
    }
}

#[test]
fn no_layer_is_fetched() {
    let place = Place::new();
    for referrers in [true, false] {
        let (registry, name) = fake(&place, Habits { referrers, ..Habits::default() });
        let pushed = push(&place, &["--rootfs", "ext4", &name]);
        assert_eq!(pushed["listed"], referrers);
        assert_eq!(push(&place, &["--rootfs", "ext4", &name]), pushed, "once more is the same");
        registry.reset();
        let (built, _) = build(&place, &[&name, "-o", "a.ext4", "--prefer-prebuilt"]);
        assert_ne!(built["prebuilt"], Value::Null);
        let blobs: Vec<String> = registry
            .exchanges()
            .into_iter()
            .map(|exchange| exchange.request.path)
            .filter(|path| path.contains("/blobs/"))
            .collect();
        // The config, and the one part.
        assert_eq!(blobs.len(), 2, "{blobs:?}");
        place.done(&["build", "oci:image", "-o", "b.ext4", "-q"]);
        assert_eq!(sha256(&place.path("a.ext4")), sha256(&place.path("b.ext4")));
        // Of the store alone, too; and the image's tag is where it was.
        push(&place, &["--rootfs", "tar", &name, "--pull", "missing"]);
        let (_, tagged) = registry.manifest("app", "v1").unwrap();
        let tagged: Value = serde_json::from_slice(&tagged).unwrap();
        assert_eq!(tagged.get("artifactType"), None);
        let list = registry.manifest(
            "app",
            &format!("sha256-{}", built["manifest"].as_str().unwrap().replace("sha256:", "")),
        );
        assert_eq!(list.is_some(), !referrers);
    }
}

/// Whatever there is instead, the build gives what a build gives.
#[test]
fn what_does_not_fit_is_built() {
    let place = Place::new();
    place.done(&["build", "oci:image", "-o", "wanted.ext4", "-q"]);
    place.done(&["build", "oci:image", "-o", "wanted.tar", "-q"]);
    let wanted = |output: &str| sha256(&place.path(output));
    let (registry, name) = fake(&place, Habits { referrers: true, ..Habits::default() });
    let check = |output: &str, said: &str| {
        let (built, err) = build(&place, &[&name, "-o", output, "--prefer-prebuilt"]);
        assert_eq!(built["prebuilt"], Value::Null, "{said}");
        let err = err.replace(&registry.host(), "HOST");
        assert!(err.contains(said), "{said}: {err}");
        let format = output.rsplit('.').next().unwrap();
        assert_eq!(wanted(output), wanted(&format!("wanted.{format}")), "{said}");
        fs::remove_file(place.path(output)).unwrap();
    };
    check("x.ext4", "note: no prebuilt rootfs fits: it is built");
    let pushed = push(&place, &["--rootfs", "ext4", &name]);
    let artifact = pushed["artifact"].as_str().unwrap().rsplit('@').next().unwrap().to_string();
    check("x.tar", "note: no prebuilt rootfs fits: it is built");
    push(&place, &["--rootfs", "ext4", &name, "--free", "99M"]);
    let (built, _) = build(&place, &[&name, "-o", "x.ext4", "--prefer-prebuilt"]);
    assert_eq!(built["prebuilt"], *artifact);
    fs::remove_file(place.path("x.ext4")).unwrap();

    // Damage on the way, and the registry's own.
    let (_, manifest) = registry.manifest("app", &artifact).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let part = manifest["layers"][0]["digest"].as_str().unwrap().to_string();
    let damaged = format!("note: part 1 of prebuilt rootfs {artifact} is damaged: ");
    for (path, fault, said) in [
        (&part, fault::change_body(|body| body[100] ^= 1), damaged.as_str()),
        (&part, fault::status(404), "note: blob sha256:"),
        (&artifact, fault::status(404), "note: manifest sha256:"),
        (&artifact, fault::change_body(|body| body[0] = b'['), "HOST sent other bytes"),
        (&"referrers".to_string(), fault::status(403), "note: access to referrers of HOST/app@sha256:"),
        (&"referrers".to_string(), fault::body(b"{"), "lists the referrers in a way that cannot be read"),
    ] {
        registry.always(path, fault);
        check("x.ext4", said);
        registry.reset();
    }

    // Artifacts that somebody made by hand.
    let made = |change: &dyn Fn(&mut Value), said: &str| {
        let mut lie = manifest.clone();
        // Listed behind all others, and so asked for first.
        lie["annotations"]["z"] = json!(said);
        change(&mut lie);
        let lie = lie.to_string();
        let digest =
            registry.put_manifest("app", "-", "application/vnd.oci.image.manifest.v1+json", lie.as_bytes());
        let list = json!({"schemaVersion": 2, "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest.to_string(),
            "size": lie.len(), "artifactType": TYPE,
        }]});
        registry.always("referrers", fault::body(list.to_string().as_bytes()));
        check("x.ext4", &said.replace("DIGEST", &digest.to_string()));
        registry.reset();
    };
    let other = Digest::sha256(b"other").to_string();
    let malformed = |cause: &str| format!("note: prebuilt rootfs DIGEST is malformed: {cause}");
    let set = |name: &'static str, value: Value| {
        move |artifact: &mut Value| {
            artifact["annotations"][format!("dev.unlade.rootfs.{name}")] = value.clone()
        }
    };
    made(&set("digest", json!(other)), "note: prebuilt rootfs DIGEST is damaged: digest mismatch: expected ");
    made(&set("digest", json!("sha256:x")), &malformed("it states no size or digest"));
    made(&set("size", json!("1")), &malformed("its parts have not the size of the whole"));
    made(&set("size", json!("99999999999999")), "bytes, more than the limit of ");
    made(&set("options", json!("ext4")), "note: no prebuilt rootfs fits: it is built");
    made(&set("version", json!("0")), "note: no prebuilt rootfs fits: it is built");
    made(&|artifact| artifact["artifactType"] = json!("x/y"), &malformed("it is not what the list says"));
    made(
        &|artifact| artifact["subject"]["digest"] = json!(other),
        &malformed("it is not what the list says"),
    );
    made(&|artifact| artifact["layers"] = json!(7), &malformed("its manifest is not that of an artifact"));
    made(&|artifact| artifact["layers"] = json!([]), &malformed("its parts have not the size of the whole"));
    made(
        &|artifact| artifact["layers"][0]["mediaType"] = json!("x/y"),
        &malformed("a part is of another type"),
    );
    made(&|artifact| artifact["layers"][0]["annotations"] = json!({}), &malformed("a part states no length"));
    made(
        &|artifact| artifact["layers"][0]["size"] = json!(1u64 << 50),
        &malformed("a part is larger than what it expands to"),
    );
    made(
        &|artifact| {
            let part = artifact["layers"][0].clone();
            artifact["layers"] = json!([part.clone(), part]);
            artifact["layers"][0]["annotations"]["dev.unlade.rootfs.length"] = json!("7");
        },
        &malformed("a part has a length that cannot be"),
    );
    // A part that says to be longer or shorter than it is, or that is no zstd.
    let length = manifest["annotations"]["dev.unlade.rootfs.size"].as_str().unwrap().parse::<u64>().unwrap();
    for (length, said) in [(length + 4096, "it is shorter than it says"), (length - 4096, "limit of")] {
        made(
            &|artifact| {
                artifact["annotations"]["dev.unlade.rootfs.size"] = json!(length.to_string());
                artifact["layers"][0]["annotations"]["dev.unlade.rootfs.length"] = json!(length.to_string());
            },
            said,
        );
    }
    let junk = registry.put_blob(&[7; 4096]);
    made(
        &|artifact| {
            artifact["layers"][0]["digest"] = json!(junk.to_string());
            artifact["layers"][0]["size"] = json!(4096);
        },
        "it is shorter than it says",
    );
    assert_eq!(place.names(), ["image", "store", "wanted.ext4", "wanted.tar"]);
}

#[test]
fn usage() {
    let place = Place::new();
    let (registry, name) = fake(&place, Habits::default());
    let absent = format!("{}/other", registry.host());
    for (arguments, code, text) in [
        (&["push", "oci:image"][..], 2, "error: the following required arguments"),
        (&["push", "oci:image", "oci:x"], 2, "error: oci:x is not in a registry: unlade copy goes there"),
        (
            &["push", "oci:image", "store:x"],
            2,
            "error: store:docker.io/library/x:latest is not in a registry",
        ),
        (&["push", "oci:image", "--rootfs", "ext4"], 2, "error: the image is of no registry"),
        (&["push", &name, "--rootfs", "dir"], 2, "error: a directory cannot be pushed"),
        (&["push", "store:absent", &name], 4, "error: docker.io/library/absent:latest is not in the store"),
        (&["push", "oci:image", &absent, "--rootfs", "tar"], 1, "error: HOST/other@sha256:"),
        (
            &["build", "oci:image", "-o", "x.tar", "--prefer-prebuilt"],
            2,
            "error: --prefer-prebuilt is for images",
        ),
        (&["build", &name, "-o", "-", "--prefer-prebuilt"], 2, "error: --prefer-prebuilt needs a file"),
        (
            &["build", &name, "-o", "x.tar", "--prefer-prebuilt", "--pull", "never"],
            4,
            "error: HOST/app:v1 is not in the store",
        ),
    ] {
        let said = place.run(arguments);
        assert_eq!(said.code, Some(code), "{arguments:?}: {}", said.err);
        let err = said.err.replace(&registry.host(), "HOST");
        assert!(err.starts_with(text), "{arguments:?}: {err}");
    }
    assert_eq!(place.names(), ["image", "store"]);
    let left: Vec<_> =
        fs::read_dir(place.path("store")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 4, "{left:?}");
}
