//! `build --cache`: a rootfs that was built once is taken from the store, with the same bytes as a build, or else it
//! is built.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod support;

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use support::schema::conforms;
use support::{Place, sha256};
use testkit::image::{Layer, Tar, write_layout};
use testkit::judge::e2fsck;
use testkit::registry::FakeRegistry;
use testkit::tools;

/// Builds with `--cache`: whether it was taken from the store, and what was said.
#[track_caller]
fn build(place: &Place, arguments: &[&str]) -> (bool, String) {
    let said = place.done(&[&["build", "--cache", "--json"], arguments].concat());
    let built: Value = serde_json::from_str(&said.out).unwrap();
    conforms("build", &built);
    let cached = built["cached"].as_bool().unwrap();
    assert_eq!(built["names"].is_null(), cached || !built["prebuilt"].is_null());
    (cached, said.err)
}

/// A document of a command.
#[track_caller]
fn json_of(place: &Place, schema: &str, arguments: &[&str]) -> Value {
    let value = serde_json::from_str(&place.done(arguments).out).unwrap();
    conforms(schema, &value);
    value
}

/// What the store remembers.
fn kept(place: &Place) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(place.path("store/unlade/rootfs")) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// An image of some megabytes, of which some are zeros, as `oci:large`.
fn large(place: &Place) {
    let noise: Vec<u8> = (0..5u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    let zeros = vec![0; 3 << 20];
    let tar = Tar::default().file("noise", 0o644, &noise).file("zeros", 0o644, &zeros).file("x", 0o600, b"x");
    write_layout(&place.path("large"), "latest", &[Layer::gzip(&tar.finish())], &json!({})).unwrap();
}

#[test]
fn what_was_built_is_taken() {
    let place = Place::new();
    large(&place);
    for (output, options) in [
        ("a.ext4", &[][..]),
        ("a.ext4", &["--free", "40M", "--no-journal"]),
        ("a.erofs", &[]),
        ("a.erofs", &["--block-size", "1024", "--erofs-min-kernel", "6.4"]),
        ("a.erofs", &["--gpt", "--verity"]),
        ("a.tar", &[]),
    ] {
        let arguments = [&["oci:large", "-o", output], options].concat();
        place.done(&[&["build", "-q"][..], &arguments].concat());
        let wanted = (sha256(&place.path(output)), fs::metadata(place.path(output)).unwrap());
        assert!(!build(&place, &arguments).0);
        // Whoever has the output may write to it: it is his.
        File::options()
            .write(true)
            .open(place.path(output))
            .unwrap()
            .write_all_at(b"mine", 2_000_000)
            .unwrap();
        for _ in 0..2 {
            let (cached, said) = build(&place, &arguments);
            assert!(cached, "{said}");
            assert_eq!(sha256(&place.path(output)), wanted.0);
            // Its holes are holes, but for what the filesystem makes of single blocks.
            let found = fs::metadata(place.path(output)).unwrap();
            assert!(
                found.blocks() <= wanted.1.blocks() * 11 / 10,
                "{} {}",
                found.blocks(),
                wanted.1.blocks()
            );
            assert_eq!(found.mode(), wanted.1.mode());
        }
        if output.ends_with(".ext4") {
            e2fsck(&place.path(output)).unwrap();
        }
    }
    assert_eq!(kept(&place).len(), 6);
    // Only who asks for it gets it.
    let said = place.done(&["build", "oci:large", "-o", "a.tar", "--json"]).out;
    assert_eq!(serde_json::from_str::<Value>(&said).unwrap()["cached"], false);
    let said = place.done(&["build", "oci:large", "-o", "a.tar", "--cache"]).err;
    let manifest = json_of(&place, "image", &["inspect", "oci:large", "--json"])["digest"].clone();
    let size = fs::metadata(place.path("a.tar")).unwrap().len();
    let shown =
        format!("a.tar: 8.0 MiB, built before from {} and left in the store\n", manifest.as_str().unwrap());
    assert!(size > 8 << 20 && said.starts_with(&shown), "{said}");
}

#[test]
fn other_options_and_images_are_others() {
    let place = Place::new();
    large(&place);
    assert!(!build(&place, &["oci:image", "-o", "a.tar"]).0);
    for arguments in [
        &["oci:large", "-o", "a.tar"][..],
        &["oci:image", "-o", "a.ext4"],
        &["oci:image", "-o", "a.ext4", "--label", "x"],
        &["oci:image", "-o", "a.tar", "--no-devices"],
        // What is strict is not satisfied with what was not.
        &["oci:image", "-o", "a.tar", "--strict"],
        &["oci:image", "-o", "a.tar", "--allow-empty"],
    ] {
        assert!(!build(&place, arguments).0, "{arguments:?}");
        assert!(build(&place, arguments).0, "{arguments:?}");
    }
    // What only bounds or speeds up a build makes no difference.
    for arguments in [&["--threads", "1"][..], &["--no-scratch"], &["--max-ratio", "9"]] {
        assert!(build(&place, &[&["oci:image", "-o", "b.tar"], arguments].concat()).0, "{arguments:?}");
    }
}

/// Whatever became of it in the store, the output is right.
#[test]
fn what_is_damaged_is_built_anew() {
    let place = Place::new();
    large(&place);
    let arguments = ["oci:large", "-o", "a.ext4", "--free", "8M"];
    assert!(!build(&place, &arguments).0);
    let wanted = sha256(&place.path("a.ext4"));
    let path = kept(&place).pop().unwrap();
    let whole = fs::read(&path).unwrap();
    // A block, behind the first MiB, that is all zeros, and one that is not.
    let block = |zero: bool| {
        let blocks = whole[1 << 20..].chunks(4096);
        let position =
            blocks.map(|block| block.iter().all(|byte| *byte == 0)).position(|found| found == zero);
        (1 << 20) + position.unwrap() * 4096
    };
    type Damage<'a> = &'a dyn Fn(&Path);
    let flip = |at: usize| {
        move |path: &Path| {
            let file = File::options().read(true).write(true).open(path).unwrap();
            let mut byte = [0];
            file.read_exact_at(&mut byte, at as u64).unwrap();
            file.write_all_at(&[byte[0] ^ 1], at as u64).unwrap();
        }
    };
    let cut = |length: u64| {
        move |path: &Path| File::options().write(true).open(path).unwrap().set_len(length).unwrap()
    };
    let length = whole.len() as u64;
    // What a crash of the machine makes of it: the length is right, and some bytes never came to the disk.
    let lost = |path: &Path| {
        let file = File::options().write(true).open(path).unwrap();
        file.write_all_at(&[0; 4096], block(false) as u64).unwrap();
    };
    let cases: [(&str, Damage<'_>); 9] = [
        ("a byte of content", &flip(block(false))),
        ("a byte of the superblock", &flip(1100)),
        ("a byte where zeros are", &flip(block(true) + 7)),
        ("a byte of the record", &flip(whole.len() - 60)),
        ("the mark", &flip(whole.len() - 1)),
        ("cut short", &cut(length / 2)),
        ("empty", &cut(0)),
        ("longer", &cut(length + 5)),
        ("bytes that were never written", &lost),
    ];
    for (what, damage) in cases {
        damage(&path);
        let report = json_of_code(&place, &["fsck", "--json"], 3, what);
        assert_eq!(report["findings"][0]["code"], "rootfs-damaged", "{what}");
        let (cached, said) = build(&place, &arguments);
        assert!(!cached, "{what}");
        assert_eq!(said, "note: the rootfs in the store is damaged: it is built anew\n", "{what}");
        assert_eq!(sha256(&place.path("a.ext4")), wanted, "{what}");
        assert_eq!(kept(&place), std::slice::from_ref(&path), "{what}");
        assert!(build(&place, &arguments).0, "{what}");
        assert_eq!(sha256(&place.path("a.ext4")), wanted, "{what}");
    }
    // A link leads nowhere, and a directory in its place is in the way, but of nothing else.
    let elsewhere = place.path("elsewhere");
    fs::rename(&path, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    assert!(!build(&place, &arguments).0);
    assert!(fs::symlink_metadata(&path).unwrap().is_file() && build(&place, &arguments).0);
    assert!(fs::read(&elsewhere).unwrap() == whole, "what a link leads to is not touched");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let (cached, said) = build(&place, &arguments);
    assert!(!cached && said.starts_with("note: it could not be left in the store: cannot write "), "{said}");
    assert_eq!(sha256(&place.path("a.ext4")), wanted);
    fs::remove_dir(&path).unwrap();
    // A repair removes what is damaged.
    assert!(!build(&place, &arguments).0);
    flip(block(false))(&path);
    let said = place.done(&["fsck", "--repair"]).out;
    let manifest = json_of(&place, "image", &["inspect", "oci:large", "--json"])["digest"].clone();
    let line = format!(
        "warning: a rootfs that was built from {} is damaged; repaired\n",
        manifest.as_str().unwrap()
    );
    assert!(said.starts_with(&line), "{said}");
    assert!(kept(&place).is_empty());
}

#[track_caller]
fn json_of_code(place: &Place, arguments: &[&str], code: i32, what: &str) -> Value {
    let said = place.run(arguments);
    assert_eq!(said.code, Some(code), "{what}: {}{}", said.out, said.err);
    let value = serde_json::from_str(&said.out).unwrap();
    conforms(arguments[0], &value);
    value
}

#[test]
fn it_is_shown_and_goes_with_its_image() {
    let place = Place::new();
    large(&place);
    build(&place, &["oci:large", "-o", "a.ext4"]);
    build(&place, &["oci:large", "-o", "a.tar"]);
    let image = json_of(&place, "image", &["inspect", "oci:large", "--json"]);
    let rootfs = image["rootfs"].as_array().unwrap();
    assert_eq!(rootfs.len(), 2);
    let mut begin: Vec<_> =
        rootfs.iter().map(|one| one["options"].as_str().unwrap().split(' ').next()).collect();
    begin.sort();
    assert_eq!(begin, [Some("ext4"), Some("tar")]);
    let stored: u64 = rootfs.iter().map(|one| one["storedBytes"].as_u64().unwrap()).sum();
    assert!((10 << 20..40 << 20).contains(&stored), "{stored}");
    let shown = place.done(&["inspect", "oci:large"]).out;
    assert!(shown.contains("\nRootfs       8.0 MiB, "), "{shown}");
    assert!(shown.contains(" in the store: tar devices=kept "), "{shown}");

    place.done(&["tag", image["digest"].as_str().unwrap(), "large"]);
    let images = json_of(&place, "images", &["images", "--json"]);
    assert_eq!(images[0]["rootfsBytes"], stored);
    let table = place.done(&["images"]).out;
    assert!(table.lines().next().unwrap().ends_with("USED  ROOTFS") || table.contains("ROOTFS\n"), "{table}");
    let checked = json_of(&place, "fsck", &["fsck", "--json"]);
    assert_eq!((&checked["rootfs"], &checked["rootfsBytes"]), (&json!(2), &json!(stored)));
    assert!(place.done(&["fsck"]).out.contains("; 2 rootfs, "), "{}", place.done(&["fsck"]).out);

    let plan = json_of(&place, "gc", &["gc", "--dry-run", "--json"]);
    assert_eq!((&plan["keptRootfs"], &plan["files"]), (&json!(2), &json!([])));
    assert!(plan["keptBytes"].as_u64().unwrap() > stored);
    assert!(place.done(&["gc"]).out.contains(" in 3 blobs and 2 rootfs kept\n"));
    // Room is made of rootfs before names go.
    let plan = json_of(&place, "gc", &["gc", "-n", "--json", "--keep-bytes", "4M"]);
    assert_eq!((plan["images"].as_array().unwrap().len(), &plan["keptRootfs"]), (0, &json!(0)));
    place.done(&["rm", "large"]);
    let said = json_of(&place, "gc", &["gc", "--json"]);
    let gone = said["files"].as_array().unwrap().iter().filter(|file| file["kind"] == "rootfs").count();
    assert_eq!((gone, kept(&place).len()), (2, 0));
    place.done(&["fsck"]);
}

#[test]
fn no_layer_is_fetched_or_read() {
    let place = Place::new();
    let registry = FakeRegistry::start();
    let name = format!("{}/app:v1", registry.host());
    place.done(&["push", "oci:image", &name, "-q"]);
    let arguments = [name.as_str(), "-o", "a.ext4"];
    assert!(!build(&place, &arguments).0);
    let wanted = sha256(&place.path("a.ext4"));
    let image = json_of(&place, "image", &["inspect", &name, "--json"]);
    for layer in image["layers"].as_array().unwrap() {
        let digest = layer["digest"].as_str().unwrap().replace(':', "/");
        fs::remove_file(place.path("store/blobs").join(digest)).unwrap();
    }
    registry.reset();
    assert!(build(&place, &arguments).0);
    assert_eq!(sha256(&place.path("a.ext4")), wanted);
    assert!(registry.exchanges().is_empty());
    // A prebuilt one is somebody else's word, and is not remembered as a build.
    place.done(&["push", &name, "--rootfs", "tar", "-q"]);
    let arguments = [name.as_str(), "-o", "a.tar", "--prefer-prebuilt"];
    for _ in 0..2 {
        assert!(!build(&place, &arguments).0);
    }
    assert!(!build(&place, &arguments[..3]).0);
    // One of our own comes before it.
    registry.reset();
    assert!(build(&place, &arguments).0);
    assert!(registry.exchanges().is_empty());
}

#[test]
fn where_it_cannot_be() {
    let place = Place::new();
    for (arguments, said) in [
        (&["-o", "-"][..], "error: --cache needs a file to write\n"),
        (&["-o", "a/"], "error: --cache is for files: a directory is built each time\n"),
        (
            &["-o", "a.tar", "--no-store"],
            "error: --cache keeps the rootfs in the store, and --no-store keeps nothing\n",
        ),
    ] {
        let run = place.run(&[&["build", "oci:image", "--cache"], arguments].concat());
        assert_eq!((run.code, run.err.as_str()), (Some(2), said));
    }
    assert_eq!(place.names(), ["image"]);
    // A store that has no room for it.
    place.done(&["pull", "oci:image", "-q"]);
    fs::write(place.path("store/unlade/rootfs"), "").unwrap();
    let said = place.done(&["build", "oci:image", "-o", "a.tar", "--cache"]).err;
    let path = fs::canonicalize(place.path("store")).unwrap().join("unlade/rootfs");
    let note = "note: it could not be left in the store: cannot make the directory ";
    assert!(said.starts_with(&format!("{note}{}: ", path.display())), "{said}");
    assert!(place.path("a.tar").exists());
}

#[test]
fn a_device_is_filled() {
    let place = Place::new();
    large(&place);
    let noise: Vec<u8> = (0..64u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    let backing = place.path("backing");
    fs::write(&backing, &noise).unwrap();
    let mut losetup = tools::command("losetup");
    let device = tools::run(losetup.args(["--find", "--show"]).arg(&backing)).unwrap();
    let device = String::from_utf8(device).unwrap().trim().to_string();
    place.done(&["build", "oci:large", "-o", "file.ext4", "--size", "32M", "-q"]);
    let file = fs::read(place.path("file.ext4")).unwrap();
    let mut seen = Vec::new();
    let arguments = ["oci:large", "-o", &device, "--format", "ext4", "--size", "32M"];
    let mut fill = |damage: bool| {
        if let (true, Some(path)) = (damage, kept(&place).pop()) {
            let file = File::options().write(true).open(path).unwrap();
            file.write_all_at(b"damage", 2 << 20).unwrap();
        }
        let said = place.run(&[&["build", "--cache", "--json"], &arguments[..]].concat());
        let synced = tools::run(tools::command("sync").arg(&device)).is_ok();
        let right = fs::read(&backing).unwrap()[..32 << 20] == file[..];
        seen.push((
            said.code,
            said.out.contains(r#""cached": true"#) || said.out.contains(r#""cached":true"#),
        ));
        (said.err, synced && right)
    };
    // Built into the device and remembered, taken, damaged and built, taken into a file.
    let outcomes = [false, false, true, false].map(&mut fill);
    tools::run(tools::command("losetup").arg("--detach").arg(&device)).unwrap();
    for (number, (said, right)) in outcomes.iter().enumerate() {
        assert!(right, "{number}: {said}");
    }
    assert_eq!(seen, [(Some(0), false), (Some(0), true), (Some(0), false), (Some(0), true)]);
    assert!(build(&place, &["oci:large", "-o", "a.ext4", "--size", "32M"]).0);
    assert!(fs::read(place.path("a.ext4")).unwrap() == file);
}
