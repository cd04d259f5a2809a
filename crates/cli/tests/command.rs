//! The command from outside: arguments, outputs, exit codes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod support;

use std::fs;
use std::io::Write;
#[cfg(unix)]
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use support::schema::conforms;
use support::{Place, sha256};
#[cfg(unix)]
use testkit::hello::GREETING;
use testkit::image::{Header, Layer, Tar, write_layout};
#[cfg(unix)]
use testkit::judge::{e2fsck, fsck_erofs};

/// Has `e2fsck` look at a filesystem. What it says of one is the same wherever that was made, so it is asked on Linux.
#[cfg_attr(not(unix), expect(unused_variables, reason = "it is not there"))]
#[track_caller]
fn clean(rootfs: &Path) {
    #[cfg(unix)]
    e2fsck(rootfs).unwrap();
}

#[test]
fn build_writes_what_was_asked_for() {
    let place = Place::new();
    for name in ["a.ext4", "b.img", "c.tar", "e.erofs"] {
        place.done(&["build", "oci:image", "-o", name]);
    }
    clean(&place.path("a.ext4"));
    #[cfg(unix)]
    fsck_erofs(&place.path("e.erofs")).unwrap();
    assert_eq!(sha256(&place.path("a.ext4")), sha256(&place.path("b.img")));
    assert_eq!(place.names(), ["a.ext4", "b.img", "c.tar", "e.erofs", "image", "store"]);
    let streamed = place.command(&["build", "oci:image", "-o", "-", "-q"]).output().unwrap();
    assert!(streamed.status.success());
    assert!(streamed.stdout == fs::read(place.path("c.tar")).unwrap(), "the same bytes");
}

#[cfg(unix)]
#[test]
fn build_writes_a_directory() {
    let place = Place::new();
    place.done(&["build", "oci:image", "-o", "d/"]);
    assert_eq!(fs::read_to_string(place.path("d/etc/issue")).unwrap(), GREETING);
    assert_eq!(place.names(), ["d", "image", "store"]);
}

#[test]
fn nothing_is_kept_if_asked_for() {
    // `UNLADE_STORE` names a store, as for every test here.
    let place = Place::new();
    fs::remove_dir_all(place.path("store")).ok();
    place.done(&["build", "oci:image", "-o", "x.tar", "--no-store"]);
    assert!(!place.path("store").exists());
}

#[test]
fn usage_errors() {
    let place = Place::new();
    for (arguments, text) in [
        (&["build", "oci:image", "-o", "x"][..], "error: \"x\" does not tell the format"),
        (
            &["build", "oci:image", "-o", "-", "--format", "ext4"],
            "error: an ext4 filesystem cannot be written",
        ),
        (&["build", "oci:image", "-o", "-", "--json"], "error: standard output cannot hold"),
        (&["build", "oci:image", "-o", "x.ext4", "--clamp-mtime"], "error: --clamp-mtime needs"),
        (&["build", "oci:image", "-o", "x.ext4", "--uuid", "1"], "error: \"1\" is no UUID"),
        (&["build", "oci:image", "-o", "x.ext4", "--size", "4GB"], "error: invalid value '4GB'"),
        (&["build", "oci:image", "-o", "x.ext4", "--label", "12345678901234567"], "error: --label"),
        (&["build", "Not An Image", "-o", "x.ext4"], "error: "),
        (&["build", "oci:image", "-o", "x.ext4", "--platform", "linux"], "error: invalid platform"),
        (&["build", "oci:image", "-o", "x.ext4", "--block-size", "512"], "error: --block-size 512: ext4"),
        (&["build", "oci:image", "-o", "x.erofs", "--free", "1M"], "error: an EROFS filesystem is as large"),
        (&["build", "oci:image", "-o", "x.erofs", "--label", "1234567890123456"], "error: --label"),
        (&["build", "oci:image", "-o", "x.erofs", "--erofs-min-kernel", "5.3"], "error: invalid value '5.3'"),
        (
            &["build", "oci:image", "-o", "x.erofs", "--compress", "zstd"],
            "error: files compressed by Zstandard need Linux 6.10, and Linux 6.1 is to read the filesystem",
        ),
        (&["build", "oci:image", "-o", "x.erofs", "--compress", "lz4,2"], "error: invalid value 'lz4,2'"),
        (
            &["build", "oci:image", "-o", "x.erofs", "--compress", "lz4", "--block-size", "512"],
            "error: blocks of other than 4096 bytes need Linux 6.4",
        ),
        (
            &["build", "oci:image", "-o", "x.erofs", "--erofs-cluster-size", "64K"],
            "error: --erofs-cluster-size says",
        ),
        (
            &["build", "oci:image", "-o", "x.erofs", "--compress", "lz4", "--compress-exclude", "[a"],
            "error: invalid value '[a'",
        ),
        (
            &["build", "oci:image", "-o", "x.erofs", "--compress", "lz4", "--erofs-cluster-size", "2M"],
            "error: invalid value '2M'",
        ),
        (&["build"], "error: "),
    ] {
        let said = place.run(arguments);
        assert_eq!(said.code, Some(2), "{arguments:?}: {}", said.err);
        assert!(said.err.starts_with(text), "{arguments:?}: {}", said.err);
    }
    assert_eq!(place.names(), ["image"], "nothing was made");
}

#[test]
fn what_was_good_is_never_lost() {
    let place = Place::new();
    fs::write(place.path("old.ext4"), "precious").unwrap();
    fs::create_dir(place.path("full")).unwrap();
    fs::write(place.path("full/file"), "precious").unwrap();
    write_layout(
        &place.path("broken"),
        "x",
        &[Layer { blob: vec![b'x'; 2048], ..Layer::plain(vec![b'x'; 2048]) }],
        &Value::Object(Default::default()),
    )
    .unwrap();
    for (arguments, code, text) in [
        (
            &["build", "oci:image", "-o", "old.ext4", "--size", "100K"][..],
            1,
            "error: cannot make an ext4 filesystem\n  because: tree needs ",
        ),
        (&["build", "oci:broken", "-o", "old.ext4"], 1, "error: layer 1 (sha256:"),
        (&["build", "oci:absent", "-o", "old.ext4"], 1, "error: "),
        (&["build", "oci:image", "-o", "full", "--format", "ext4"], 1, "error: cannot write full\n"),
        (&["build", "oci:image", "-o", "full/"], 1, "error: cannot write full/\n"),
        (&["build", "oci:image", "-o", "nowhere/x.ext4"], 1, "error: cannot write nowhere/x.ext4\n"),
        (&["build", "oci:image", "-o", "/dev/null", "--format", "tar"], 1, "error: cannot write /dev/null\n"),
    ] {
        let said = place.run(arguments);
        assert_eq!(said.code, Some(code), "{arguments:?}: {}", said.err);
        assert!(said.err.starts_with(text), "{arguments:?}: {}", said.err);
    }
    assert_eq!(fs::read_to_string(place.path("old.ext4")).unwrap(), "precious");
    assert_eq!(fs::read_to_string(place.path("full/file")).unwrap(), "precious");
    assert_eq!(place.names(), ["broken", "full", "image", "old.ext4", "store"]);
    // What succeeds does replace.
    place.done(&["build", "oci:image", "-o", "old.ext4"]);
    clean(&place.path("old.ext4"));
}

#[cfg(unix)]
#[test]
fn an_output_that_is_a_symlink() {
    let place = Place::new();
    fs::write(place.path("target.ext4"), "old").unwrap();
    symlink("target.ext4", place.path("link.ext4")).unwrap();
    place.done(&["build", "oci:image", "-o", "link.ext4"]);
    assert!(fs::symlink_metadata(place.path("link.ext4")).unwrap().is_symlink());
    e2fsck(&place.path("target.ext4")).unwrap();
    symlink("nothing.ext4", place.path("dangling.ext4")).unwrap();
    assert_eq!(place.run(&["build", "oci:image", "-o", "dangling.ext4"]).code, Some(1));
}

#[cfg(unix)]
#[test]
fn an_output_that_is_a_block_device() {
    let place = Place::new();
    // Full of noise: what the filesystem leaves out must read as zeros all the same.
    let noise: Vec<u8> = (0..64u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    let backing = place.path("backing");
    fs::write(&backing, &noise).unwrap();
    let mut losetup = testkit::tools::command("losetup");
    let device = testkit::tools::run(losetup.args(["--find", "--show"]).arg(&backing)).unwrap();
    let device = String::from_utf8(device).unwrap().trim().to_string();
    let built = place.run(&["build", "oci:image", "-o", &device, "--format", "ext4", "--size", "32M"]);
    let small = place.run(&["build", "oci:image", "-o", &device, "--format", "ext4", "--size", "128M"]);
    testkit::tools::run(testkit::tools::command("losetup").arg("--detach").arg(&device)).unwrap();
    assert_eq!(built.code, Some(0), "{}", built.err);
    place.done(&["build", "oci:image", "-o", "file.ext4", "--size", "32M"]);
    let (written, file) = (fs::read(&backing).unwrap(), fs::read(place.path("file.ext4")).unwrap());
    assert!(written[..32 << 20] == file[..], "the same bytes");
    assert_eq!(small.code, Some(1));
    assert!(small.err.contains("the device has 67108864 bytes, 134217728 are needed"), "{}", small.err);
}

#[test]
fn summaries() {
    let place = Place::new();
    let said = place.done(&["build", "oci:image", "-o", "a.ext4"]);
    assert!(said.out.is_empty(), "{}", said.out);
    assert!(said.err.contains("a.ext4: 8 names, 274 B of content, from 2 layers of sha256:"), "{}", said.err);
    assert_eq!(place.done(&["build", "oci:image", "-o", "a.ext4", "-q"]).err, "");

    let said = place.done(&["build", "oci:image", "-o", "a.ext4", "--json", "--progress=json"]);
    let summary: Value = serde_json::from_str(&said.out).unwrap();
    conforms("build", &summary);
    assert_eq!(summary["names"], 8);
    assert_eq!(summary["layers"], 2);
    let events: Vec<Value> = said.err.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    events.iter().for_each(|event| conforms("progress", event));
    assert_eq!(events[0]["event"], "resolved");
    assert!(events.iter().any(|event| event["event"] == "read"), "{events:?}");

    let said = place.done(&["inspect", "oci:image", "--json"]);
    let inspected: Value = serde_json::from_str(&said.out).unwrap();
    conforms("image", &inspected);
    assert_eq!(inspected["digest"], summary["manifest"]);
    assert_eq!(inspected["config"]["config"]["Entrypoint"][0], "/sbin/init");
    assert!(place.done(&["inspect", "oci:image"]).out.contains("Entrypoint   /sbin/init\n"));
    let pulled: Value = serde_json::from_str(&place.done(&["pull", "oci:image", "--json"]).out).unwrap();
    conforms("image", &pulled);
    assert_eq!(pulled["layers"].as_array().unwrap().len(), 2);
}

#[test]
fn listings() {
    let place = Place::new();
    let said = place.done(&["ls", "oci:image", "usr"]);
    let expected = "\
drwxr-xr-x     0     0          - 1970-01-01 00:00:00 /usr
drwxr-xr-x     0     0          - 1970-01-01 00:00:00 /usr/sbin
-rwxr-xr-x     0     0        234 1970-01-01 00:00:00 /usr/sbin/init
";
    assert_eq!(said.out, expected);
    let said = place.run(&["ls", "oci:image", "etc/motd"]);
    assert_eq!((said.code, said.err.as_str()), (Some(4), "error: the image has no etc/motd\n"));

    // What a stranger called it must not reach a terminal as it is, and can be read back.
    let hostile = Tar::default()
        .entry(&Header { name: b"\x1b]0;x\x07\xff\\", ..Header::default() }, b"")
        .symlink("l", "a\nb")
        .finish();
    write_layout(&place.path("hostile"), "x", &[Layer::plain(hostile)], &Value::Object(Default::default()))
        .unwrap();
    let said = place.done(&["ls", "oci:hostile"]);
    assert!(
        said.out.ends_with(
            "/\\x1b]0;x\\x07\\xff\\\\\nlrwxrwxrwx     0     0          - 1970-01-01 00:00:00 /l -> a\\nb\n"
        ),
        "{}",
        said.out
    );
    let special = format!("oci:{}:latest", testkit::corpus::layout("special").display());
    for image in ["oci:hostile", "oci:image", &special] {
        for line in place.done(&["ls", image, "--json"]).out.lines() {
            conforms("ls", &serde_json::from_str(line).unwrap());
        }
    }
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let place = Place::new();
    for arguments in [&["build", "oci:image", "-o", "-"][..], &["ls", "oci:image"], &["completions", "bash"]]
    {
        let mut child =
            place.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && !err.contains("error"), "{arguments:?}: {err}");
    }
}

#[cfg(unix)]
#[test]
fn reproducible_times() {
    let place = Place::new();
    let tar = Tar::default()
        .entry(&Header { name: b"young", mtime: 2_000_000_000, ..Header::default() }, b"x")
        .entry(&Header { name: b"old", mtime: 1_000_000_000, ..Header::default() }, b"x")
        .finish();
    write_layout(&place.path("times"), "x", &[Layer::gzip(&tar)], &Value::Object(Default::default()))
        .unwrap();
    let mut command = place.command(&["build", "oci:times", "-o", "t.tar", "--clamp-mtime"]);
    let output = command.env("SOURCE_DATE_EPOCH", "1500000000").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut list = testkit::tools::command("tar");
    list.env("TZ", "UTC").args(["--full-time", "-tvf"]).arg(place.path("t.tar"));
    let listed = String::from_utf8(testkit::tools::run(&mut list).unwrap()).unwrap();
    assert!(listed.contains("2017-07-14 02:40:00 young"), "{listed}");
    assert!(listed.contains("2001-09-09 01:46:40 old"), "{listed}");
}

#[test]
fn an_empty_image_is_refused_unless_it_is_meant() {
    let place = Place::new();
    let nothing = Value::Object(Default::default());
    write_layout(&place.path("empty"), "x", &[Layer::plain(vec![0; 1024])], &nothing).unwrap();
    write_layout(&place.path("scratch"), "x", &[], &nothing).unwrap();
    let said = place.run(&["build", "oci:empty", "-o", "a.ext4"]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("the image is empty"), "{}", said.err);
    place.done(&["build", "oci:empty", "-o", "a.ext4", "--allow-empty"]);
    place.done(&["build", "oci:scratch", "-o", "b.ext4"]);
    clean(&place.path("a.ext4"));
    clean(&place.path("b.ext4"));
}

#[cfg(unix)]
#[test]
fn a_layer_that_stands_twice() {
    let place = Place::new();
    // Large enough that its place would be let go of once it was copied.
    let content: Vec<u8> = (0..3u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let twice = Layer::gzip(&Tar::default().file("f", 0o644, &content).finish());
    let link = Header { name: b"g", link: b"f", typeflag: b'1', ..Header::default() };
    let between = Layer::gzip(&Tar::default().entry(&link, b"").finish());
    let layers = [twice.clone(), between, twice];
    write_layout(&place.path("twice"), "x", &layers, &Value::Object(Default::default())).unwrap();
    place.done(&["build", "oci:twice", "-o", "rootfs/"]);
    for name in ["f", "g"] {
        assert!(fs::read(place.path("rootfs").join(name)).unwrap() == content, "{name}");
    }
    for options in [&[][..], &["--block-size", "1024"]] {
        place.done(&[&["build", "oci:twice", "-o", "rootfs.ext4"], options].concat());
        e2fsck(&place.path("rootfs.ext4")).unwrap();
        for name in ["f", "g"] {
            let mut cat = testkit::tools::command("debugfs");
            cat.arg("-R").arg(format!("cat {name}")).arg(place.path("rootfs.ext4"));
            assert!(testkit::tools::run(&mut cat).unwrap() == content, "{name} {options:?}");
        }
    }
}

#[cfg(unix)]
#[test]
fn small_blocks_split_copies() {
    // With blocks of 1 KiB, copies are split around metadata in the middle of what the spool lets go of.
    let layout = format!("oci:{}:latest", testkit::corpus::layout("base").display());
    let place = Place::new();
    place.done(&["build", &layout, "-o", "a.ext4", "-q"]);
    place.done(&["build", &layout, "-o", "b.ext4", "-q", "--block-size", "1024"]);
    let listed = |name: &str| testkit::judge::found(&place.path(name), &place.path(".")).unwrap();
    assert!(listed("a.ext4") == listed("b.ext4"), "the same files");
}

#[test]
fn a_corrupt_blob_is_fetched_again() {
    let place = Place::new();
    place.done(&["build", "oci:image", "-o", "a.ext4"]);
    let blobs = fs::read_dir(place.path("store/blobs/sha256")).unwrap();
    for blob in blobs {
        let path = blob.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        if bytes.starts_with(&[0x1f, 0x8b]) {
            *bytes.last_mut().unwrap() ^= 1;
            fs::remove_file(&path).unwrap();
            fs::File::create(&path).unwrap().write_all(&bytes).unwrap();
        }
    }
    let said = place.done(&["build", "oci:image", "-o", "b.ext4"]);
    assert!(said.err.contains("was corrupt and is fetched again"), "{}", said.err);
    assert_eq!(sha256(&place.path("a.ext4")), sha256(&place.path("b.ext4")));
}

#[test]
fn help_pages_and_completions() {
    let place = Place::new();
    place.done(&["man", "pages"]);
    let pages = fs::read_dir(place.path("pages")).unwrap().count();
    assert!(pages >= 5, "{pages}");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(place.done(&["completions", shell]).out.contains("unlade"));
    }
    assert!(place.done(&["build", "--help"]).out.contains("unlade build alpine -o rootfs.ext4"));
}
