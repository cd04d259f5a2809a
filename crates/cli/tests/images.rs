//! Real images through the command: what other people's tools and the kernel see must be what umoci unpacks.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use testkit::judge::{Mount, build, judge};
use testkit::{alike, boot, corpus, wear};

const UNLADE: &str = env!("CARGO_BIN_EXE_unlade");

/// Every image of the everyday corpus, in one format.
fn all_equal(format: &str) {
    for image in corpus::IMAGES.iter().filter(|image| image.everyday) {
        let differences = judge(Path::new(UNLADE), image, format).unwrap();
        assert!(differences.is_empty(), "{} as {format:?}:\n{}", image.name, differences.join("\n"));
    }
}

#[test]
fn ext4_through_a_mount() {
    all_equal(".ext4");
}

#[test]
fn tar_through_gnu_tar() {
    all_equal(".tar");
}

#[test]
fn directory_as_it_is() {
    all_equal("/");
}

#[test]
fn the_same_bytes_for_everybody() {
    for name in ["special", "layers60"] {
        for format in [".ext4", ".tar"] {
            alike::alike(Path::new(UNLADE), corpus::find(name).unwrap(), format).unwrap();
        }
    }
}

#[test]
fn nginx_is_as_it_was_packed() {
    let scratch = tempfile::tempdir().unwrap();
    let rootfs = build(Path::new(UNLADE), corpus::find("nginx").unwrap(), ".ext4", scratch.path()).unwrap();
    let mount = Mount::read_only(&rootfs).unwrap();
    let found = |path: &str| fs::symlink_metadata(mount.root().join(path)).unwrap();
    let conf = found("etc/nginx/nginx.conf");
    assert_eq!((conf.uid(), conf.gid()), (0, 0));
    assert_eq!(found("usr/sbin/nginx").mode() & 0o7777, 0o755);
}

#[test]
fn a_guest_fills_and_grows_it() {
    let scratch = tempfile::tempdir().unwrap();
    let rootfs = build(Path::new(UNLADE), corpus::find("special").unwrap(), ".ext4", scratch.path()).unwrap();
    wear::fill(&rootfs).unwrap();
    wear::grow(&rootfs, 1 << 30, wear::Growth::Unmounted).unwrap();
}

#[test]
fn it_boots() {
    let scratch = tempfile::tempdir().unwrap();
    let rootfs = build(Path::new(UNLADE), corpus::find("init").unwrap(), ".ext4", scratch.path()).unwrap();
    let console = boot::boot(&rootfs, "/sbin/init", boot::Writes::Keep).unwrap();
    assert!(console.contains(corpus::BOOTED), "{console}");
    testkit::judge::e2fsck(&rootfs).unwrap();
}
