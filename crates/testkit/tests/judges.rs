//! The judges judge what mke2fs makes, and see what is wrong with it. They take root.
#![allow(clippy::unwrap_used, reason = "a test that fails")]

use std::fs;
use std::path::{Path, PathBuf};

use unlade_testkit::judge::{self, Mount};
use unlade_testkit::tools::{command, run};
use unlade_testkit::{listing, wear};

/// A small tree, and an ext4 file that mke2fs made of it.
fn rootfs(scratch: &Path) -> (PathBuf, PathBuf) {
    let (tree, rootfs) = (scratch.join("tree"), scratch.join("rootfs.ext4"));
    fs::create_dir_all(tree.join("dir")).unwrap();
    fs::write(tree.join("dir/file"), vec![7; 100_000]).unwrap();
    run(command("mke2fs").args(["-q", "-t", "ext4", "-d"]).arg(&tree).arg(&rootfs).arg("32M")).unwrap();
    (tree, rootfs)
}

#[test]
fn e2fsck_finds_one_wrong_byte() {
    let scratch = tempfile::tempdir().unwrap();
    let (_, rootfs) = rootfs(scratch.path());
    judge::e2fsck(&rootfs).unwrap();

    let mut bytes = fs::read(&rootfs).unwrap();
    // In the superblock.
    bytes[1024 + 4] ^= 1;
    fs::write(&rootfs, bytes).unwrap();
    judge::e2fsck(&rootfs).unwrap_err();
}

#[test]
fn a_mount_shows_the_tree() {
    let scratch = tempfile::tempdir().unwrap();
    let (tree, rootfs) = rootfs(scratch.path());
    let differences =
        listing::diff(&listing::list(&tree).unwrap(), &judge::found(&rootfs, scratch.path()).unwrap());
    // mke2fs drops nanoseconds, and nothing else of so little.
    assert!(differences.iter().all(|text| text.contains(": mtime ")), "{differences:?}");
}

#[test]
fn a_mount_ends_with_its_guard() {
    let scratch = tempfile::tempdir().unwrap();
    let (_, rootfs) = rootfs(scratch.path());
    let mount = Mount::read_only(&rootfs).unwrap();
    let point = mount.root().to_owned();
    assert!(point.join("dir/file").exists());
    drop(mount);
    assert!(!point.exists());
}

#[test]
fn a_rootfs_is_filled_and_grown() {
    let scratch = tempfile::tempdir().unwrap();
    let (_, rootfs) = rootfs(scratch.path());
    wear::fill(&rootfs).unwrap();
    wear::grow(&rootfs, 64 << 20, wear::Growth::Mounted).unwrap();
    wear::grow(&rootfs, 96 << 20, wear::Growth::Unmounted).unwrap();
    wear::fill(&rootfs).unwrap();
}
