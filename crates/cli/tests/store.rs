//! The store through the command: what is in it, by name, and keeping it small and true.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod support;

#[cfg(unix)]
use std::ffi::OsStr;
use std::fs;
#[cfg(unix)]
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use serde_json::{Value, json};
use support::schema::conforms;
use support::{Place, unescaped};
use testkit::image::{Layer, Tar, write_layout};
#[cfg(unix)]
use testkit::registry::debian::Server;
#[cfg(unix)]
use testkit::registry::{FakeRegistry, fault};

/// The JSON that a command prints.
#[track_caller]
fn json_of(place: &Place, schema: &str, arguments: &[&str]) -> Value {
    let value = serde_json::from_str(&place.done(arguments).out).unwrap();
    conforms(schema, &value);
    value
}

/// Digests of the images that have no name.
fn nameless(place: &Place) -> Vec<String> {
    let images = json_of(place, "images", &["images", "--all", "--json"]);
    let nameless = images.as_array().unwrap().iter().filter(|image| image["name"].is_null());
    nameless.map(|image| image["digest"].as_str().unwrap().to_string()).collect()
}

fn blob(place: &Place, digest: &str) -> PathBuf {
    place.path("store/blobs").join(digest.replace(':', "/"))
}

/// The layers of the tiny image, the lowest first.
#[cfg(unix)]
fn layers(place: &Place) -> Vec<String> {
    let image = json_of(place, "image", &["inspect", "oci:image", "--json"]);
    let layers = image["layers"].as_array().unwrap().iter();
    layers.map(|layer| layer["digest"].as_str().unwrap().to_string()).collect()
}

#[test]
fn names_come_and_go() {
    let place = Place::new();
    assert_eq!(place.done(&["images"]).out, "NAME  DIGEST  PLATFORM  SIZE  CREATED  USED\n");
    place.done(&["pull", "oci:image", "-q"]);
    assert_eq!(place.done(&["images", "-q"]).out.lines().count(), 1, "of a layout, and so without a name");
    let digest = nameless(&place).pop().unwrap();
    let short = &digest[..19];

    place.done(&["tag", short, "hello"]);
    place.done(&["tag", "hello", "localhost:5000/app:v1"]);
    assert!(nameless(&place).is_empty());
    let template = "{{.Repository}}|{{ .Tag }}\\t{{.Digest}} {{.Bytes}} {{.State}}.";
    let said = place.done(&["images", "--format", template]).out;
    let bytes = json_of(&place, "images", &["images", "--json"])[0]["bytes"].to_string();
    assert_eq!(
        said,
        format!(
            "docker.io/library/hello|latest\t{digest} {bytes} .\nlocalhost:5000/app|v1\t{digest} {bytes} .\n"
        )
    );
    let table = place.done(&["images"]).out;
    assert!(table.contains(&format!("docker.io/library/hello:latest  {short}  linux/")), "{table}");

    // By its name it is there for all other commands.
    place.done(&["build", "hello", "-o", "x.tar", "--pull", "never", "-q"]);
    assert_eq!(place.done(&["rm", "hello"]).out, "hello\n");
    let said = place.run(&["build", "hello", "-o", "y.tar", "--pull", "never"]);
    assert_eq!(said.code, Some(4), "{}", said.err);
    let said = place.run(&["rm", "hello"]);
    assert_eq!((said.code, said.err.as_str()), (Some(4), "error: the store has no \"hello\"\n"));
    let said = place.run(&["rm", &digest]);
    assert_eq!(said.code, Some(1));
    assert!(
        said.err.contains("has the name \"localhost:5000/app:v1\"\n  hint: unlade rm NAME"),
        "{}",
        said.err
    );

    place.done(&["rm", "localhost:5000/app:v1"]);
    assert_eq!(nameless(&place), [digest.as_str()]);
    place.done(&["rm", short]);
    assert!(nameless(&place).is_empty());
    for (arguments, code) in [
        (["tag", short, "x"], 4),
        (["tag", digest.as_str(), "x"], 4),
        (["tag", "absent", "x"], 4),
        (["tag", "absent", "X"], 2),
        (["rm", "--platform=linux", "x"], 2),
        (["images", "--format", "{{.Nothing}}"], 2),
    ] {
        let said = place.run(&arguments);
        assert_eq!(said.code, Some(code), "{arguments:?}: {}", said.err);
    }
}

#[test]
fn an_image_is_tagged_only_when_it_is_whole() {
    let place = Place::new();
    // The documents alone.
    place.done(&["inspect", "oci:image"]);
    let digest = nameless(&place).pop().unwrap();
    let said = place.run(&["tag", &digest, "hello"]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("2 of its blobs are missing\n  hint: unlade pull"), "{}", said.err);
    let table = place.done(&["images", "--all"]).out;
    assert!(table.lines().nth(1).unwrap().ends_with("2 blobs missing"), "{table}");
}

#[test]
fn how_an_image_was_made() {
    let place = Place::new();
    let tar = |name: &str| Layer::plain(Tar::default().file(name, 0o644, b"x").finish());
    let history = json!({"history": [
        {"created": "2020-01-01T00:00:00Z", "created_by": "ADD base\tin /"},
        {"created": "2020-01-01T00:00:01Z", "created_by": "ENV \u{1b}[31m=y", "empty_layer": true},
        {"created_by": "RUN true"},
    ]});
    let layers = ["a", "b", "c"].map(tar);
    write_layout(&place.path("made"), "made", &layers, &history).unwrap();
    let steps = json_of(&place, "history", &["history", "oci:made", "--json"]);
    let seen: Vec<(&Value, bool)> = steps
        .as_array()
        .unwrap()
        .iter()
        .map(|step| (&step["createdBy"], step["digest"].is_string()))
        .collect();
    // The builder says nothing of the third layer.
    assert_eq!(
        seen,
        [
            (&Value::Null, true),
            (&json!("RUN true"), true),
            (&json!("ENV \u{1b}[31m=y"), false),
            (&json!("ADD base\tin /"), true)
        ]
    );
    let said = place.done(&["history", "oci:made"]).out;
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 5);
    assert!(lines[3].starts_with("<none> ") && lines[3].ends_with("0 B  ENV \\x1b[31m=y"), "{said}");
    assert!(lines[4].ends_with("ADD base in /"), "{said}");
    place.done(&["pull", "oci:made", "-q"]);
    let digest = nameless(&place).into_iter().find(|digest| place.run(&["history", digest]).out == said);
    assert!(digest.is_some());
    assert_eq!(place.run(&["history", "sha256:000000000000"]).code, Some(4));
}

#[test]
fn a_plan_first_and_then_the_deed() {
    let place = Place::new();
    place.done(&["pull", "oci:image", "-q"]);
    place.done(&["build", "oci:image", "-o", "x.tar", "-q"]);
    let digest = nameless(&place).pop().unwrap();
    place.done(&["tag", &digest, "hello"]);
    let plan = json_of(&place, "gc", &["gc", "--dry-run", "--json"]);
    assert_eq!(
        (&plan["dryRun"], &plan["freedBytes"], &plan["keptBlobs"]),
        (&json!(true), &json!(0), &json!(4))
    );

    let plan = json_of(&place, "gc", &["gc", "-n", "--json", "--keep-bytes", "0"]);
    assert_eq!(plan["images"][0]["names"], json!(["docker.io/library/hello:latest"]));
    assert_eq!(plan["blobs"].as_array().unwrap().len(), 4);
    let said = place.done(&["gc", "--dry-run", "--older-than", "0s"]).out;
    assert!(said.starts_with("image docker.io/library/hello:latest (sha256:"), "{said}");
    assert!(said.contains("\nblob sha256:") && said.contains("would remove 1 image, 4 blobs, "), "{said}");
    assert_eq!(place.done(&["images"]).out.lines().count(), 2, "nothing is gone yet");

    assert!(place.done(&["gc", "--older-than", "1h"]).out.starts_with("removed 0 images, 0 blobs, "));
    place.done(&["rm", "hello"]);
    let done = json_of(&place, "gc", &["gc", "--json"]);
    assert_eq!(done["dryRun"], json!(false));
    assert!(done["freedBytes"].as_u64().unwrap() > 0);
    // Diff IDs, outlines and the record of the use of the image.
    assert_eq!(done["files"].as_array().unwrap().len(), 5);
    assert_eq!(fs::read_dir(place.path("store/blobs/sha256")).unwrap().count(), 0);
    place.done(&["fsck"]);
    assert_eq!(place.run(&["gc", "--older-than", "soon"]).code, Some(2));
}

#[cfg(unix)]
#[test]
fn what_is_broken_is_found_and_mended() {
    let place = Place::new();
    let server = Server::start("", tempfile::tempdir().unwrap()).unwrap();
    let mut skopeo = testkit::tools::command("skopeo");
    let from = format!("oci:{}:hello", place.path("image").display());
    skopeo.args(["copy", "--quiet", "--preserve-digests", "--dest-tls-verify=false", &from]);
    testkit::tools::run(skopeo.arg(format!("docker://{}", server.name("hello")))).unwrap();
    let name = server.name("hello");
    place.done(&["pull", &name, "-q"]);
    let clean = json_of(&place, "fsck", &["fsck", "--json"]);
    assert_eq!((&clean["clean"], &clean["blobs"], &clean["findings"]), (&json!(true), &json!(4), &json!([])));
    let said = place.done(&["fsck"]).out;
    assert!(said.starts_with("4 blobs, ") && said.ends_with(": clean\n"), "{said}");

    let layers = layers(&place);
    fs::remove_file(blob(&place, &layers[0])).unwrap();
    fs::write(blob(&place, &layers[1]), "x").unwrap();
    let full = format!("{name}:latest");
    let said = place.run(&["fsck"]);
    assert_eq!(said.code, Some(3), "{}", said.err);
    assert_eq!(said.err, "error: the store is not clean: 2 findings\n");
    let lines: Vec<&str> = said.out.lines().collect();
    assert_eq!(
        lines[..2],
        [
            format!(
                "error: blob {} is corrupt: {} has 1 bytes instead of {} (of {full}); remedy: fetch",
                layers[1],
                layers[1],
                fs::metadata(place.path("image/blobs").join(layers[1].replace(':', "/"))).unwrap().len(),
            ),
            format!("error: blob {} is missing (of {full}); remedy: fetch", layers[0]),
        ]
    );
    assert!(lines[2].ends_with(": not clean"), "{}", said.out);
    let quick = place.run(&["fsck", "--quick", "-q"]);
    assert_eq!((quick.code, quick.out.lines().count()), (Some(3), 2));

    let said = place.done(&["fsck", "--repair"]);
    assert!(said.out.lines().take(2).all(|line| line.ends_with("; repaired")), "{}", said.out);
    assert!(said.err.contains(&format!("{full} is whole again")), "{}", said.err);
    place.done(&["fsck"]);
    // The name is the same as before, and no other came.
    assert_eq!(place.done(&["images", "--format", "{{.Name}}"]).out, format!("{full}\n"));

    // Without the registry a name can only go, and only if that is wanted.
    drop(server);
    fs::write(blob(&place, &layers[1]), "x").unwrap();
    let said = place.run(&["fsck", "--repair", "--json", "--quick"]);
    assert_eq!(said.code, Some(3));
    let report: Value = serde_json::from_str(&said.out).unwrap();
    conforms("fsck", &report);
    assert_eq!(report["clean"], json!(false));
    assert!(said.err.contains(&format!("{full}: ")), "{}", said.err);
    assert_eq!(place.done(&["images", "-q"]).out.lines().count(), 2);
    let said = place.done(&["fsck", "--repair", "--drop-tags"]);
    assert!(said.err.contains(&format!("the name {full} is taken away")), "{}", said.err);
    assert_eq!(place.done(&["images", "-q"]).out.lines().count(), 1);
    place.done(&["gc"]);
    place.done(&["fsck"]);
    assert_eq!(place.run(&["fsck", "--drop-tags"]).code, Some(2));
    assert_eq!(place.run(&["fsck", "--no-store"]).code, Some(2));
}

#[test]
fn a_store_too_broken_to_be_opened_is_checked() {
    let place = Place::new();
    place.done(&["pull", "oci:image", "-q"]);
    fs::write(place.path("store/index.json"), "{").unwrap();
    fs::remove_file(place.path("store/oci-layout")).unwrap();
    let said = place.run(&["fsck", "--json"]);
    assert_eq!(said.code, Some(3));
    let report: Value = serde_json::from_str(&said.out).unwrap();
    conforms("fsck", &report);
    let codes: Vec<&Value> =
        report["findings"].as_array().unwrap().iter().map(|finding| &finding["code"]).collect();
    assert_eq!(codes, ["index-malformed", "layout-missing"]);
    assert!(!place.path("store/oci-layout").exists(), "a check changes nothing");
    // And nothing is swept that a name may have led to.
    assert_eq!(place.run(&["gc"]).code, Some(1));
    assert_eq!(fs::read_dir(place.path("store/blobs/sha256")).unwrap().count(), 4);
}

#[test]
fn a_strangers_name_moves_no_cursor() {
    let place = Place::new();
    place.done(&["pull", "oci:image", "-q"]);
    let digest = nameless(&place).pop().unwrap();
    place.done(&["tag", &digest, "hello"]);
    let path = place.path("store/index.json");
    let index = fs::read_to_string(&path).unwrap();
    fs::write(&path, index.replace("docker.io/library/hello:latest", "\\u001b[2J\\n\\u202e")).unwrap();
    for arguments in
        [&["images"][..], &["images", "--format", "{{.Name}}"], &["images", "--json"], &["gc", "-n"]]
    {
        let said = place.done(arguments).out;
        assert!(!said.contains('\u{1b}') && !said.contains('\u{202e}'), "{arguments:?}: {said}");
    }
    let raw = b"\x1b[2J\n\xe2\x80\xae";
    let images = json_of(&place, "images", &["images", "--json"]);
    assert_eq!(unescaped(images[0]["name"].as_str().unwrap()), raw);
    fs::remove_file(blob(&place, &digest)).unwrap();
    let said = place.run(&["fsck"]);
    assert!(
        !said.out.contains('\u{1b}') && said.out.contains("(of \\x1b[2J\\n\\xe2\\x80\\xae)"),
        "{}",
        said.out
    );
    // And it can be taken away as it is.
    let mut rm = place.command(&["rm"]);
    assert!(rm.arg(host::os_string(raw)).output().unwrap().status.success());
}

#[cfg(unix)]
#[test]
fn an_output_of_any_bytes_is_told_without_loss() {
    let place = Place::new();
    let name = b"out\xff\n.tar";
    let mut build = place.command(&["build", "oci:image", "--json", "-o"]);
    let output = build.arg(OsStr::from_bytes(name)).output().unwrap();
    assert!(output.status.success());
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    conforms("build", &summary);
    assert_eq!(summary["output"], "out\\xff\\n.tar");
    assert_eq!(unescaped(summary["output"].as_str().unwrap()), name);
    assert!(place.path(".").join(OsStr::from_bytes(name)).exists());
}

#[cfg(unix)]
#[test]
fn what_a_killed_run_left_of_its_store_goes_with_the_next() {
    let place = Place::new();
    fs::create_dir(place.path("tmp")).unwrap();
    let stores = || {
        let mut names: Vec<String> = fs::read_dir(place.path("tmp"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    let run = |name: &str| {
        let mut build = place.command(&["build", name, "-o", "x.tar", "--no-store", "-q"]);
        build.env("TMPDIR", place.path("tmp"));
        build
    };
    // A registry that falls silent in the middle of a layer.
    let registry = FakeRegistry::start();
    let name = format!("{}/app:v1", registry.host());
    place.done(&["push", "oci:image", &name, "-q"]);
    let layer = layers(&place)[0].clone();
    registry.always(&format!("blobs/{layer}"), fault::hang(10));
    let mut hanging = [run(&name).spawn().unwrap(), run(&name).spawn().unwrap()];
    let arrived = || {
        let parts = stores().into_iter().map(|name| place.path("tmp").join(name).join("unlade/parts"));
        parts.filter(|parts| fs::read_dir(parts).is_ok_and(|entries| entries.count() > 0)).count() == 2
    };
    while !arrived() {
        assert!(hanging.iter_mut().all(|child| child.try_wait().unwrap().is_none()));
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let both = stores();
    hanging[0].kill().unwrap();
    hanging[0].wait().unwrap();
    assert_eq!(stores(), both, "nobody could tidy up");
    // Others are none of ours: a file, a link, other names.
    fs::write(place.path("tmp/.unlade-store-file"), "").unwrap();
    fs::create_dir(place.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink(place.path("elsewhere"), place.path("tmp/.unlade-store-link")).unwrap();
    fs::create_dir(place.path("tmp/.unlade-stores")).unwrap();

    assert!(run("oci:image").status().unwrap().success());
    let left = stores();
    let (others, living): (Vec<_>, Vec<_>) = left.into_iter().partition(|name| !both.contains(name));
    assert_eq!(others, [".unlade-store-file", ".unlade-store-link", ".unlade-stores"]);
    assert_eq!(living.len(), 1, "that of the living one stays");
    hanging[1].kill().unwrap();
    hanging[1].wait().unwrap();
    assert!(run("oci:image").status().unwrap().success());
    assert_eq!(stores(), others);
    assert!(place.path("elsewhere").exists());
}

#[cfg(unix)]
#[test]
fn what_a_killed_build_left_beside_its_output_goes_with_the_next() {
    let place = Place::new();
    let (dead, alive) = (u32::MAX, std::process::id());
    let left = |process: u32| place.path(&format!(".rootfs.unlade-{process}-0"));
    // One of a process that is gone, one of a process that is there, and one that is held though its process is not.
    for directory in [left(dead), left(alive), left(dead - 1)] {
        fs::create_dir(&directory).unwrap();
        fs::create_dir(directory.join("bin")).unwrap();
        fs::write(directory.join("bin/sh"), "x").unwrap();
    }
    let held = fs::File::open(left(dead - 1)).unwrap();
    held.lock().unwrap();
    for other in [".rootfs.unlade-1-x", ".other.unlade-4294967295-0", ".rootfs.unlade-4294967295"] {
        fs::create_dir(place.path(other)).unwrap();
    }
    place.done(&["build", "oci:image", "-o", "rootfs/", "-q"]);
    assert!(!left(dead).exists());
    assert!(left(alive).exists() && left(dead - 1).exists());
    drop(held);
    fs::remove_dir_all(place.path("rootfs")).unwrap();
    place.done(&["build", "oci:image", "-o", "rootfs/", "-q"]);
    let mut hidden = place.names();
    hidden.retain(|name| name.starts_with('.'));
    let mut wanted = [
        ".other.unlade-4294967295-0".to_string(),
        ".rootfs.unlade-1-x".into(),
        ".rootfs.unlade-4294967295".into(),
        format!(".rootfs.unlade-{alive}-0"),
    ];
    wanted.sort();
    assert_eq!(hidden, wanted);
}
