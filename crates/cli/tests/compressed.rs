//! Real images as compressed EROFS filesystems, as one in which equal files and parts are there once, and as an index of
//! their layers: what a kernel shows is what it shows of the ext4 filesystem of the same image, wherever one begins to read.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

#[path = "support/schema.rs"]
mod schema;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use testkit::erofs::Source;
use testkit::judge::{Mount, fsck_erofs, source};
use testkit::layout::Layout;
use testkit::listing::{self, Kind};
use testkit::tarball::{Tarball, header};
use testkit::tools::{command, run};
use testkit::{alike, corpus};

const UNLADE: &str = env!("CARGO_BIN_EXE_unlade");

fn build(image: &corpus::Image, place: &Path, name: &str, options: &[&str]) -> PathBuf {
    let rootfs = place.join(name);
    let mut build = command(UNLADE);
    build.args(["build", &source(image), "--store"]).arg(place.join("store")).arg("-o").arg(&rootfs);
    run(build.args(options)).unwrap();
    rootfs
}

/// Reads some bytes at made up places of all files in both trees.
fn assert_same_pieces(left: &Path, right: &Path, lines: &[listing::Line]) {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below.max(1)
    };
    for line in lines {
        let Kind::File { size, .. } = line.kind else { continue };
        let path = Path::new(OsStr::from_bytes(&line.path));
        let (left, right) = (File::open(left.join(path)).unwrap(), File::open(right.join(path)).unwrap());
        for _ in 0..4 {
            let (at, length) = (random(size), random(100_000) as usize);
            let read = |file: &File| {
                let mut bytes = vec![0; length];
                let count = file.read_at(&mut bytes, at).unwrap();
                bytes.truncate(count);
                bytes
            };
            let (left, right) = (read(&left), read(&right));
            let same = left.len().min(right.len());
            assert!(same > 0 || size == 0 || length == 0, "{} at {at}", path.display());
            assert!(left[..same] == right[..same], "{} at {at}", path.display());
        }
    }
}

/// All algorithms, what the oldest kernels read, and equal files and parts of them once.
const WAYS: [&[&str]; 7] = [
    &["--compress", "lz4", "--fragments"],
    &["--compress", "lz4"],
    &["--compress", "lz4hc,3", "--erofs-min-kernel", "5.4"],
    &["--compress", "lz4", "--dedupe=chunks"],
    &["--compress", "zstd,1", "--dedupe=chunks", "--fragments", "--erofs-min-kernel", "6.10"],
    &["--compress", "deflate,1", "--erofs-min-kernel", "6.6"],
    &["--dedupe=chunks"],
];

/// Images, in all ways.
fn all_equal<'a>(images: impl Iterator<Item = &'a corpus::Image>) {
    for image in images {
        let scratch = tempfile::tempdir_in(corpus::target()).unwrap();
        let ext4 = build(image, scratch.path(), "rootfs.ext4", &["--profile", "ro"]);
        let ext4 = Mount::read_only(&ext4).unwrap();
        let mut expected = listing::list(ext4.root()).unwrap();
        expected.retain(|line| line.path != b"lost+found");
        for options in WAYS {
            let erofs = build(image, scratch.path(), "rootfs.erofs", options);
            let is_read = options.get(1).is_none_or(|algorithm| algorithm.starts_with("lz4"));
            let is_newer = ["--fragments", "--dedupe=chunks"].iter().any(|option| options.contains(option));
            if is_read && !(is_newer && options.contains(&"--compress")) {
                // Debian 12's expands no other, and knows of no clusters that files share, nor of packed ends.
                fsck_erofs(&erofs).unwrap();
            }
            let mounted = Mount::new(&erofs, "ro").unwrap();
            // Before anything is in memory.
            let read = testkit::erofs::list(&File::open(&erofs).unwrap()).unwrap();
            assert_same_pieces(ext4.root(), mounted.root(), &read);
            for (who, found) in [("reader", read), ("kernel", listing::list(mounted.root()).unwrap())] {
                let differences = listing::diff(&expected, &found);
                assert!(
                    differences.is_empty(),
                    "{} {options:?}: {who}:\n{}",
                    image.name,
                    differences.join("\n")
                );
            }
        }
    }
}

fn everyday() -> impl Iterator<Item = &'static corpus::Image> {
    corpus::IMAGES.iter().filter(|image| image.everyday)
}

#[test]
fn nginx_in_every_way() {
    all_equal(everyday().filter(|image| image.name == "nginx"));
}

/// The base is below nginx.
#[test]
fn others_in_every_way() {
    all_equal(everyday().filter(|image| !["nginx", "base"].contains(&image.name)));
}

/// Those that were made.
#[test]
#[ignore = "takes minutes, and `cargo xtask corpus python node node-zstd` first: docs/formats/erofs.md"]
fn large_ones_in_every_way() {
    let made = |image: &&corpus::Image| corpus::directory().join(image.name).join("index.json").is_file();
    let large: Vec<_> = corpus::IMAGES.iter().filter(|image| !image.everyday).filter(made).collect();
    assert!(!large.is_empty(), "none of them was made");
    all_equal(large.into_iter());
}

#[test]
fn the_same_bytes_for_everybody() {
    for options in [
        &["--compress", "lz4", "--dedupe=chunks", "--fragments"][..],
        &["--compress", "zstd,1", "--erofs-min-kernel", "6.10"],
        &["--dedupe=chunks"],
    ] {
        alike::alike(Path::new(UNLADE), corpus::find("nginx").unwrap(), ".erofs", options).unwrap();
    }
}

/// Builds an index of an image whose tarballs go to `layers`, and gives its path and the tarballs that it needs, each with
/// whether it was there before.
fn index(image: &str, place: &Path, name: &str, options: &[&str]) -> (PathBuf, Vec<(PathBuf, bool)>) {
    let rootfs = place.join(name);
    let mut build = command(UNLADE);
    build.args(["build", image, "--json", "--erofs-min-kernel", "6.4", "--erofs-index"]);
    build.arg(place.join("layers")).arg("--store").arg(place.join("store")).arg("-o").arg(&rootfs);
    let summary: serde_json::Value = serde_json::from_slice(&run(build.args(options)).unwrap()).unwrap();
    schema::conforms("build", &summary);
    let devices = summary["filesystem"]["devices"].as_array().unwrap().iter();
    let device = |device: &serde_json::Value| {
        (PathBuf::from(device["path"].as_str().unwrap()), device["reused"].as_bool().unwrap())
    };
    (rootfs, devices.map(device).collect())
}

/// What the independent reader and a kernel see in an index.
fn look(index: &Path, devices: &[(PathBuf, bool)]) -> [(&'static str, Vec<listing::Line>); 2] {
    let paths: Vec<PathBuf> = devices.iter().map(|device| device.0.clone()).collect();
    let files: Vec<File> = paths.iter().map(|path| File::open(path).unwrap()).collect();
    let sources: Vec<&dyn Source> = files.iter().map(|file| file as &dyn Source).collect();
    let read = testkit::erofs::list_with(&File::open(index).unwrap(), &sources).unwrap();
    let mounted = Mount::with_devices(index, &paths).unwrap();
    [("reader", read), ("kernel", listing::list(mounted.root()).unwrap())]
}

#[test]
fn an_index_of_the_layers_shows_the_same() {
    // Tarballs of one image are those of the next.
    let scratch = tempfile::tempdir_in(corpus::target()).unwrap();
    for image in everyday() {
        let ext4 = build(image, scratch.path(), "rootfs.ext4", &["--profile", "ro"]);
        let ext4 = Mount::read_only(&ext4).unwrap();
        let mut expected = listing::list(ext4.root()).unwrap();
        expected.retain(|line| line.path != b"lost+found");
        let (rootfs, devices) = index(&source(image), scratch.path(), "index.erofs", &["--threads", "1"]);
        assert_eq!(image.name == "nginx", devices.iter().any(|device| device.1), "{}", image.name);
        for (who, found) in look(&rootfs, &devices) {
            let differences = listing::diff(&expected, &found);
            assert!(differences.is_empty(), "{}: {who}:\n{}", image.name, differences.join("\n"));
        }
        // Again, from the tarballs, one of which is damaged.
        if let Some((path, _)) = devices.first() {
            let file = File::options().read(true).write(true).open(path).unwrap();
            file.write_all_at(b"damage", 5).unwrap();
        }
        let (again, reused) = index(&source(image), scratch.path(), "again.erofs", &["--threads", "8"]);
        assert!(fs::read(&again).unwrap() == fs::read(&rootfs).unwrap(), "{}", image.name);
        assert!(reused.iter().skip(1).all(|device| device.1), "{reused:?}");
        assert!(reused.first().is_none_or(|device| !device.1), "{reused:?}");
        for (path, _) in &reused {
            let said = run(command("sha256sum").arg(path)).unwrap();
            assert!(path.file_stem().unwrap().as_bytes() == &said[..64], "{}", path.display());
        }
    }
}

/// What no tarball holds in whole blocks is in the index itself.
#[test]
fn an_index_holds_what_lies_nowhere_else() {
    let mut sparse = header(b"sparse", b'S').gnu().set(483, b"00000020000\0");
    for (place, (offset, length)) in [(700, 5), (4097, 1000), (8192, 0)].into_iter().enumerate() {
        sparse = sparse.set(386 + 24 * place, format!("{offset:011o}\0{length:011o}\0").as_bytes());
    }
    let first = Tarball::new().file("a", b"a").file("empty", b"").file("gone", &[b'g'; 900]);
    let first = first.sized(sparse, &[b'x'; 1005]).file("b", &[b'b'; 5000]);
    // The last block is not filled.
    let second = Tarball::new().file(".wh.gone", b"").file("c", &[b'c'; 512]).file("d", &[b'd'; 300_700]);
    let mut second = second.0;
    second.truncate(second.len() - 324);
    let layout = Layout::new();
    let image = layout.image("linux/amd64", &[&first.end(), &second]);
    let image = layout.finish(&[image]);
    let scratch = tempfile::tempdir_in(corpus::target()).unwrap();
    let (rootfs, devices) = index(&image, scratch.path(), "index.erofs", &[]);
    assert_eq!(devices.len(), 2);
    let mut all = Vec::new();
    for (who, found) in look(&rootfs, &devices) {
        let names: Vec<_> =
            found.iter().map(|line| String::from_utf8_lossy(&line.path).into_owned()).collect();
        assert_eq!(names, ["", "a", "b", "c", "d", "empty", "sparse"], "{who}");
        all.push(found);
    }
    assert!(listing::diff(&all[0], &all[1]).is_empty());
    let tar = scratch.path().join("rootfs.tar");
    let mut build = command(UNLADE);
    build.args(["build", &image, "--store"]).arg(scratch.path().join("store")).arg("-o").arg(&tar);
    run(&mut build).unwrap();
    testkit::judge::unpack_tar(&tar, &scratch.path().join("unpacked")).unwrap();
    let unpacked = listing::list(&scratch.path().join("unpacked")).unwrap();
    assert!(listing::diff(&unpacked[1..], &all[0][1..]).is_empty());
    // Nobody may have let go of what was copied out of it.
    index(&image, scratch.path(), "again.erofs", &[]).1.iter().for_each(|device| assert!(device.1));
}

#[test]
fn an_index_is_not_for_everything() {
    let scratch = tempfile::tempdir_in(corpus::target()).unwrap();
    for (options, says) in [
        (&["-o", "x.erofs"][..], "blocks of other than 4096 bytes need Linux 6.4"),
        (&["-o", "x.ext4", "--erofs-min-kernel", "6.4"], "is for an EROFS filesystem"),
        (&["-o", "x.erofs", "--erofs-min-kernel", "6.4", "--compress", "lz4"], "cannot be compressed"),
        (&["-o", "x.erofs", "--erofs-min-kernel", "6.4", "--dedupe"], "cannot be shared"),
        (&["-o", "x.erofs", "--erofs-min-kernel", "6.4", "--block-size", "1024"], "blocks of 512 bytes"),
        (&["-o", "x.erofs", "--erofs-min-kernel", "6.4", "--verity"], "cannot be used with"),
    ] {
        let image = source(corpus::find("init").unwrap());
        let mut build = command(UNLADE);
        build.args(["build", &image, "--erofs-index", "layers"]).args(options).current_dir(scratch.path());
        let error = run(&mut build).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
        assert!(fs::read_dir(scratch.path()).unwrap().next().is_none());
    }
}
