//! Composefs repositories through the command. What `cfsctl` makes of them is looked at where there is one, and what a
//! kernel with fs-verity does in a guest: `cargo xtask cfsctl` runs the tests that are ignored here.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test may panic, and say what it saw"
)]

mod boot;
mod input;
mod kill;
mod layout;
mod mount;
mod verity;

#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hash::{Algorithm, FileDigest};
use serde_json::{Value, json};
use support::Place;
use support::schema::conforms;
use testkit::corpus::Image;
use testkit::image::{Layer, Tar, write_layout};
use testkit::tools;

/// A tree of two layers, with what matters: small and large files, links, a whiteout, `/usr`, `/run`.
fn layers() -> Vec<Layer> {
    let lower = Tar::default()
        .directory("usr", 0o755)
        .directory("usr/bin", 0o755)
        .file("usr/bin/tool", 0o755, &[7; 10_000])
        .file("usr/bin/old", 0o755, &[8; 5000])
        .file("usr/small", 0o644, b"a few bytes")
        .file("usr/empty", 0o600, b"")
        .directory("etc", 0o755)
        .file("etc/conf", 0o640, &[b'x'; 65])
        .file("etc/sixty-four", 0o640, &[b'x'; 64])
        .symlink("bin", "usr/bin")
        .directory("run", 0o755)
        .file("run/left", 0o644, b"by a build")
        .finish();
    let upper = Tar::default()
        .directory("usr", 0o755)
        .directory("usr/bin", 0o755)
        .file("usr/bin/.wh.old", 0o644, b"")
        .file("usr/bin/new", 0o755, &[7; 10_000])
        .finish();
    vec![Layer::gzip(&lower), Layer::plain(upper)]
}

/// A place with the image `oci:two`, and an empty repository.
fn place() -> Place {
    let place = Place::new();
    write_layout(&place.path("two"), "v1", &layers(), &json!({})).unwrap();
    place.done(&["composefs", "init", "--repo", "repo", "--insecure"]);
    place
}

fn pull(place: &Place) -> Value {
    let said = place.done(&["composefs", "pull", "--repo", "repo", "oci:two", "two", "--json"]);
    parsed("composefs-pull", &said.out)
}

/// The JSON that a command printed.
#[track_caller]
fn parsed(schema: &str, text: &str) -> Value {
    let value = serde_json::from_str(text).unwrap();
    conforms(schema, &value);
    value
}

#[track_caller]
fn clean(place: &Place) {
    let said = place.run(&["composefs", "fsck", "--repo", "repo"]);
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
}

/// Names and texts of links below a directory.
fn everything(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut pending = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let what = match fs::symlink_metadata(&path).unwrap() {
                found if found.is_dir() => {
                    pending.push(path.clone());
                    "directory".into()
                }
                found if found.is_symlink() => fs::read_link(&path).unwrap().display().to_string(),
                found => format!("{} bytes", found.len()),
            };
            found.insert(path.strip_prefix(root).unwrap().into(), what);
        }
    }
    found
}

#[test]
fn an_image_and_its_tree() {
    let place = place();
    let pulled = pull(&place);
    clean(&place);
    let dump = place.done(&["composefs", "dump", "--repo", "repo", "two"]).out;
    let paths: Vec<&str> = dump.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(
        paths,
        [
            "/",
            "/bin",
            "/etc",
            "/etc/conf",
            "/etc/sixty-four",
            "/run",
            "/usr",
            "/usr/bin",
            "/usr/bin/new",
            "/usr/bin/tool",
            "/usr/empty",
            "/usr/small"
        ]
    );
    // The same tree gives the same image, whichever way it is taken.
    let id = pulled["images"][0]["id"].as_str().unwrap();
    fs::write(place.path("dump"), &dump).unwrap();
    assert_eq!(place.done(&["composefs", "compute-id", "dump"]).out.trim(), id);
    assert_eq!(place.done(&["composefs", "create-image", "dump", "-o", "image.cfs"]).out.trim(), id);
    let image = fs::read(place.path("image.cfs")).unwrap();
    assert_eq!(FileDigest::of(Algorithm::Sha512, &image).hex(), id);
    assert_eq!(fs::read(place.path("repo/images").join(id)).unwrap(), image);
    assert_eq!(place.done(&["composefs", "dump", "image.cfs"]).out, dump);
    let listed = place.done(&["composefs", "images", "--repo", "repo", "--json"]).out;
    let listed = parsed("composefs-images", &listed);
    assert_eq!(listed[0]["tag"], "two");
    assert_eq!(listed[0]["images"]["composefs.image.v1"], id);
    let inspected = place.done(&["composefs", "inspect", "--repo", "repo", "two"]).out;
    let inspected = parsed("composefs-inspect", &inspected);
    assert_eq!(inspected["manifest"]["schemaVersion"], 2);
    assert!(
        place.done(&["composefs", "ls", "--repo", "repo", "two"]).out.contains("\n/etc/sixty-four\n/run\n")
    );
}

#[test]
fn pulling_again_changes_nothing() {
    let place = place();
    let first = pull(&place);
    assert_eq!((&first["newLayers"], &first["knownLayers"]), (&json!(2), &json!(0)));
    let before = everything(&place.path("repo"));
    let second = pull(&place);
    assert_eq!((&second["newLayers"], &second["knownLayers"]), (&json!(0), &json!(2)));
    assert_eq!(second["images"], first["images"]);
    assert_eq!(everything(&place.path("repo")), before);
}

#[test]
fn what_is_missing_comes_back_and_damage_is_found() {
    let place = place();
    pull(&place);
    let before = everything(&place.path("repo"));
    let objects: Vec<_> =
        before.keys().filter(|path| path.starts_with("objects") && path.components().count() == 3).collect();
    for object in &objects {
        fs::remove_file(place.path("repo").join(object)).unwrap();
        let said = place.run(&["composefs", "fsck", "--repo", "repo"]);
        assert_eq!(said.code, Some(3), "{}", said.out);
        pull(&place);
        assert_eq!(everything(&place.path("repo")), before, "without {}", object.display());
    }
    for object in &objects {
        let path = place.path("repo").join(object);
        let bytes = fs::read(&path).unwrap();
        let mut damaged = bytes.clone();
        damaged[bytes.len() / 2] ^= 1;
        fs::write(&path, damaged).unwrap();
        let said = place.run(&["composefs", "fsck", "--repo", "repo", "--json"]);
        assert_eq!(said.code, Some(3), "{}", said.out);
        let findings = parsed("composefs-fsck", &said.out)["findings"].clone();
        assert!(findings.to_string().contains("object_damaged"), "{findings}");
        fs::write(&path, bytes).unwrap();
    }
    clean(&place);
}

#[test]
fn a_tag_keeps_everything_and_nothing_else_does() {
    let place = place();
    pull(&place);
    let before = everything(&place.path("repo"));
    place.done(&["composefs", "tag", "--repo", "repo", "two", "other/name"]);
    place.done(&["composefs", "untag", "--repo", "repo", "two"]);
    place.done(&["composefs", "gc", "--repo", "repo"]);
    clean(&place);
    assert_eq!(everything(&place.path("repo")).len(), before.len());
    // A second image, whose layers are the first's.
    write_layout(&place.path("one"), "v1", &layers()[..1], &json!({})).unwrap();
    place.done(&["composefs", "pull", "--repo", "repo", "oci:one", "one"]);
    place.done(&["composefs", "untag", "--repo", "repo", "other/name"]);
    let dry = place.done(&["composefs", "gc", "--repo", "repo", "--dry-run", "--json"]).out;
    let done = place.done(&["composefs", "gc", "--repo", "repo", "--json"]).out;
    let [dry, done] = [&dry, &done].map(|text| parsed("composefs-gc", text));
    assert_eq!(dry["objects"], done["objects"]);
    clean(&place);
    place.done(&["composefs", "dump", "--repo", "repo", "one"]);
    place.done(&["composefs", "untag", "--repo", "repo", "one"]);
    place.done(&["composefs", "gc", "--repo", "repo"]);
    let left = everything(&place.path("repo"));
    assert!(left.values().all(|what| what == "directory" || what.ends_with("bytes")), "{left:?}");
    assert!(
        left.keys().all(|path| !path.starts_with("objects") || path.components().count() < 3),
        "{left:?}"
    );
}

#[test]
fn what_is_refused() {
    let place = place();
    for (arguments, code, said) in [
        (&["init", "--repo", "repo", "--insecure", "--hash", "sha256"][..], 1, "other settings"),
        (&["pull", "--repo", "repo", "oci:two"], 2, "needs a TAG"),
        (&["dump", "--repo", "repo", "two"], 4, "there is no tag two"),
        (&["fsck", "--repo", "nowhere"], 4, "not a composefs repository"),
        (&["dump", "oci:two"], 1, "cannot read"),
    ] {
        let run = place.run(&[&["composefs"], arguments].concat());
        assert_eq!(run.code, Some(code), "{arguments:?}: {}", run.err);
        assert!(run.err.contains(said), "{arguments:?}: {}", run.err);
    }
}

const KINDS: [(&str, &str); 4] = [("sha256", "1"), ("sha256", "2"), ("sha512", "1"), ("sha512", "2")];

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/composefs.txt")
}

/// What must be the same whoever filled a repository: the layers' streams and the images.
fn facts(repo: &Path) -> String {
    let all = everything(repo);
    let kinds = ["streams/oci-layer-", "images/"];
    let lines =
        all.iter().filter(|(path, _)| kinds.iter().any(|kind| path.to_str().unwrap().starts_with(kind)));
    lines.map(|(path, what)| format!("{} {what}\n", path.display())).collect()
}

/// What `cfsctl` made of the same image. `cargo xtask cfsctl` renews it.
#[test]
fn what_cfsctl_makes() {
    let mut found = String::new();
    for (hash, version) in KINDS {
        let place = Place::new();
        write_layout(&place.path("two"), "v1", &layers(), &json!({})).unwrap();
        let init =
            ["composefs", "init", "--repo", "repo", "--insecure", "--hash", hash, "--image-version", version];
        place.done(&init);
        pull(&place);
        found += &format!("{hash}, version {version}\n{}", facts(&place.path("repo")));
        for layout in boot::layouts(&place) {
            fs::remove_dir_all(place.path("repo")).unwrap();
            place.done(&init);
            let image = format!("oci:{layout}");
            place.done(&["composefs", "pull", "--repo", "repo", &image, "it", "--bootable"]);
            found += &format!("{hash}, version {version}, {layout}\n{}", facts(&place.path("repo")));
        }
    }
    assert_eq!(found, fs::read_to_string(golden()).unwrap());
}

/// The program that is the judge.
fn cfsctl(place: &Place, arguments: &[&str]) -> String {
    try_cfsctl(place, arguments).unwrap()
}

fn try_cfsctl(place: &Place, arguments: &[&str]) -> std::io::Result<String> {
    let program = std::env::var_os("CFSCTL").expect("`cargo xtask cfsctl` says where it is");
    let mut command = Command::new(program);
    command.current_dir(place.path("")).env("RUST_BACKTRACE", "0").args(arguments);
    tools::run(&mut command).map(|said| String::from_utf8(said).unwrap())
}

/// Makes the same repository twice, and lets each side look at the other's. Gives what `cfsctl` made.
fn compare(place: &Place, layout: &str, hash: &str, version: &str, more: &[&str]) -> String {
    for repo in ["ours", "theirs"] {
        let _ = fs::remove_dir_all(place.path(repo));
    }
    let image = format!("oci:{layout}");
    let init = ["--repo", "ours", "--insecure", "--hash", hash, "--image-version", version];
    place.done(&[&["composefs", "init"], &init[..]].concat());
    let algorithm = format!("fsverity-{hash}-12");
    let init = ["init", "--insecure", "--algorithm", &algorithm, "--erofs-version", version];
    cfsctl(place, &[&["--repo", "theirs"], &init[..]].concat());
    let meta = |repo: &str| fs::read_to_string(place.path(repo).join("meta.json")).unwrap();
    assert_eq!(meta("ours"), meta("theirs"));

    place.done(&[&["composefs", "pull", "--repo", "ours", &image, "it"], more].concat());
    let theirs = try_cfsctl(place, &[&["--repo", "theirs", "oci", "pull", &image, "it"], more].concat());
    if let Err(error) = theirs {
        // A tarball may end without its end marker, and an image need not have /usr: GNU tar and umoci take both.
        let said = error.to_string();
        let known = ["unexpected EOF reading tar entry", "Directory entry \"usr\" does not exist"];
        assert!(known.iter().any(|known| said.contains(known)), "{said}");
        eprintln!("cfsctl does not take {layout}");
        return String::new();
    }
    let theirs = facts(&place.path("theirs"));
    assert_eq!(facts(&place.path("ours")), theirs, "{layout}, {hash}, version {version}");
    let tag = |repo: &str| fs::read_link(place.path(repo).join("streams/refs/oci/it")).unwrap();
    assert_eq!(tag("ours"), tag("theirs"));

    for repo in ["ours", "theirs"] {
        look(place, repo);
    }
    theirs
}

/// Both sides find nothing to say against a repository, see the same in it, and need all that the other needs.
fn look(place: &Place, repo: &str) {
    place.done(&["composefs", "fsck", "--repo", repo]);
    for command in [&["fsck", "--json"][..], &["oci", "fsck", "--json"]] {
        let said: Value =
            serde_json::from_str(&cfsctl(place, &[&["--repo", repo], command].concat())).unwrap();
        assert_eq!(said["ok"], true, "{repo}: {said:#}");
    }
    let dump = place.done(&["composefs", "dump", "--repo", repo, "it"]).out;
    assert_eq!(dump, cfsctl(place, &["--repo", repo, "oci", "dump", "it"]), "{repo}");
    let before = everything(&place.path(repo));
    place.done(&["composefs", "gc", "--repo", repo]);
    let ours = everything(&place.path(repo));
    cfsctl(place, &["--repo", repo, "gc"]);
    assert_eq!(everything(&place.path(repo)), ours, "{repo}");
    // What cfsctl wrote before it knew the image is needed by nobody any more.
    assert!(ours == before || repo == "theirs");
    place.done(&["composefs", "fsck", "--repo", repo]);
}

#[test]
#[ignore = "needs cfsctl: cargo xtask cfsctl"]
fn cfsctl_makes_the_same_and_reads_ours() {
    let mut found = String::new();
    for (hash, version) in KINDS {
        let place = Place::new();
        write_layout(&place.path("two"), "v1", &layers(), &json!({})).unwrap();
        let two = place.path("two").display().to_string();
        found += &format!("{hash}, version {version}\n{}", compare(&place, &two, hash, version, &[]));
        for layout in boot::layouts(&place) {
            let path = place.path(layout).display().to_string();
            let facts = compare(&place, &path, hash, version, &["--bootable"]);
            found += &format!("{hash}, version {version}, {layout}\n{facts}");
        }
        // All of the corpus that was made, and that both sides take: neither takes sparse files.
        // The large ones take minutes, and differ in nothing that depends on the kind.
        let is_first = (hash, version) == KINDS[0];
        let is_meant = |image: &&Image| !image.name.starts_with("special") && (image.everyday || is_first);
        for image in testkit::corpus::IMAGES.iter().filter(is_meant) {
            let layout = testkit::corpus::directory().join(image.name);
            match layout.is_dir() {
                true => drop(compare(&place, layout.to_str().unwrap(), hash, version, &[])),
                false => eprintln!("without {0}: `cargo xtask corpus {0}` makes it", image.name),
            }
        }
    }
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        fs::write(golden(), &found).unwrap();
    }
    assert_eq!(fs::read_to_string(golden()).unwrap(), found);
}
