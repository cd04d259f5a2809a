//! Lines 106 to 109: what is written, and where. That every ext4 file is clean is checked for all cases.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::json;
use tempfile::TempDir;
use testkit::image::{Layer, write_layout};
use testkit::judge::e2fsck;
use testkit::sums::sha256;
use testkit::tarball::Tarball;
use testkit::tools::{command, run};

/// A directory with an image of 3 MiB.
fn place() -> TempDir {
    let place = tempfile::tempdir_in("/dev/shm").unwrap();
    let content: Vec<u8> = (0..3u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let tar = Tarball::new().file("large", &content).dir("d").symlink("l", "large").end();
    write_layout(&place.path().join("image"), "latest", &[Layer::gzip(&tar)], &json!({})).unwrap();
    place
}

fn build(place: &Path, arguments: &[&str]) -> Command {
    let mut build = Command::new(env!("CARGO_BIN_EXE_unlade"));
    build.args(["build", "oci:image", "--no-store", "-q"]).args(arguments).current_dir(place);
    build.env_remove("SOURCE_DATE_EPOCH").env("HOME", place).env("TMPDIR", place);
    build
}

#[track_caller]
fn refused(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    text
}

fn names(place: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(place).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// 106
#[test]
fn sizes() {
    let place = place();
    let said = refused(&build(place.path(), &["-o", "a.ext4", "--size", "1M"]).output().unwrap());
    let needed = said.split("tree needs ").nth(1).and_then(|text| text.split(' ').next()).unwrap();
    let needed: u64 = needed.parse().unwrap();
    assert!(said.contains("bytes as ext4, 1048576 were given"), "{said}");
    let short = (needed - 1).to_string();
    let said = refused(&build(place.path(), &["-o", "a.ext4", "--size", &short]).output().unwrap());
    assert!(said.contains(&format!("tree needs {needed} bytes")), "{said}");
    assert_eq!(names(place.path()), ["image"]);
    run(&mut build(place.path(), &["-o", "a.ext4", "--size", &needed.to_string()])).unwrap();
    run(&mut build(place.path(), &["-o", "ro.ext4", "--profile", "ro", "--free", "0"])).unwrap();
    for name in ["a.ext4", "ro.ext4"] {
        e2fsck(&place.path().join(name)).unwrap();
    }
    assert_eq!(fs::metadata(place.path().join("a.ext4")).unwrap().len(), needed);
}

/// 107: `testkit::alike` has other users, years, processors and filesystems
#[test]
fn the_same_bytes() {
    let (one, other) = (place(), place());
    for name in ["a.ext4", "a.tar"] {
        run(&mut build(one.path(), &["-o", name])).unwrap();
        let mut again = command("sh");
        again.args(["-c", "umask 077; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_unlade")]);
        again.args(["build", "oci:image", "-q", "--threads", "1", "--store", "store", "-o", name]);
        again.env("TZ", "Asia/Kathmandu").env("LC_ALL", "tr_TR.UTF-8").current_dir(other.path());
        run(&mut again).unwrap();
        assert_eq!(
            sha256(&one.path().join(name)).unwrap(),
            sha256(&other.path().join(name)).unwrap(),
            "{name}"
        );
    }
}

/// 108: names that cannot be written stay as they are, and are refused before anything is read.
#[test]
fn names_that_are_taken() {
    let place = place();
    let path = |name: &str| place.path().join(name);
    fs::create_dir(path("directory.ext4")).unwrap();
    fs::write(path("directory.ext4/x"), "x").unwrap();
    symlink("nothing", path("dangling.ext4")).unwrap();
    symlink("loop.ext4", path("loop.ext4")).unwrap();
    run(command("mkfifo").arg(path("fifo.ext4"))).unwrap();
    let before = names(place.path());
    for name in [
        "directory.ext4",
        "dangling.ext4",
        "loop.ext4",
        "fifo.ext4",
        "nowhere/a.ext4",
        "image/index.json/a.ext4",
    ] {
        let said = refused(&build(place.path(), &["-o", name]).output().unwrap());
        assert!(said.starts_with(&format!("error: cannot write {name}\n")), "{said}");
        assert_eq!(names(place.path()), before);
    }
    // A link's target is replaced, and the link stays.
    fs::write(path("target"), "old").unwrap();
    symlink("target", path("link.ext4")).unwrap();
    run(&mut build(place.path(), &["-o", "link.ext4"])).unwrap();
    assert_eq!(fs::read_link(path("link.ext4")).unwrap(), Path::new("target"));
    e2fsck(&path("target")).unwrap();
}

/// 108: wherever the room ends, the old output stays and nothing is left beside it.
#[test]
fn a_full_disk() {
    let place = place();
    let small = place.path().join("small");
    fs::create_dir(&small).unwrap();
    run(command("mount").args(["-t", "tmpfs", "-o", "size=5m", "none"]).arg(&small)).unwrap();
    // Unmounted whatever happens.
    struct Mounted<'a>(&'a Path);
    impl Drop for Mounted<'_> {
        fn drop(&mut self) {
            let _ = run(command("umount").arg(self.0));
        }
    }
    let _mounted = Mounted(&small);
    fs::write(small.join("a.ext4"), "old").unwrap();
    fs::write(small.join("a.tar"), "old").unwrap();
    let scratch = place.path().to_str().unwrap().to_string();
    for mebibytes in 0..5 {
        let filler = vec![1; mebibytes << 20];
        fs::write(small.join("filler"), filler).unwrap();
        for (output, scratch) in
            [("small/a.ext4", "small"), ("small/a.tar", "small"), ("small/a.tar", &scratch)]
        {
            let done = build(place.path(), &["-o", output, "--scratch", scratch]).output().unwrap();
            if done.status.success() {
                assert!(mebibytes < 2, "{output} fits beside {mebibytes} MiB");
            } else {
                let said = refused(&done);
                assert!(said.contains("No space left on device"), "{said}");
                assert_eq!(fs::read_to_string(place.path().join(output)).unwrap(), "old");
            }
            fs::write(place.path().join(output), "old").unwrap();
            assert_eq!(names(&small), ["a.ext4", "a.tar", "filler"]);
        }
    }
    fs::remove_file(small.join("filler")).unwrap();
    run(&mut build(place.path(), &["-o", "small/a.tar", "--scratch", &scratch])).unwrap();
}
