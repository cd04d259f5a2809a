//! Real images as compressed EROFS filesystems, and as one in which equal files are there once: what a kernel shows is what
//! it shows of the ext4 filesystem of the same image, wherever one begins to read.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use testkit::judge::{Mount, fsck_erofs, source};
use testkit::listing::{self, Kind};
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

/// All algorithms, what the oldest kernels read, and equal files once.
const WAYS: [&[&str]; 5] = [
    &["--compress", "lz4"],
    &["--compress", "lz4hc,3", "--erofs-min-kernel", "5.4"],
    &["--compress", "zstd,1", "--dedupe", "--erofs-min-kernel", "6.10"],
    &["--compress", "deflate,1", "--erofs-min-kernel", "6.6"],
    &["--dedupe"],
];

/// Images of the everyday corpus, in all ways.
fn all_equal(is_meant: fn(&str) -> bool) {
    for image in corpus::IMAGES.iter().filter(|image| image.everyday && is_meant(image.name)) {
        let scratch = tempfile::tempdir_in(corpus::target()).unwrap();
        let ext4 = build(image, scratch.path(), "rootfs.ext4", &["--profile", "ro"]);
        let ext4 = Mount::read_only(&ext4).unwrap();
        let mut expected = listing::list(ext4.root()).unwrap();
        expected.retain(|line| line.path != b"lost+found");
        for options in WAYS {
            let erofs = build(image, scratch.path(), "rootfs.erofs", options);
            if options == ["--dedupe"] || options[1].starts_with("lz4") {
                // Debian 12's expands no other, and knows of no clusters that files share.
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

#[test]
fn nginx_in_every_way() {
    all_equal(|name| name == "nginx");
}

/// The base is below nginx.
#[test]
fn others_in_every_way() {
    all_equal(|name| !["nginx", "base"].contains(&name));
}

#[test]
fn the_same_bytes_for_everybody() {
    for options in
        [&["--compress", "lz4", "--dedupe"][..], &["--compress", "zstd,1", "--erofs-min-kernel", "6.10"]]
    {
        alike::alike(Path::new(UNLADE), corpus::find("nginx").unwrap(), ".erofs", options).unwrap();
    }
}
