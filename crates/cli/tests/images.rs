//! Real images through the command: what other people's tools and the kernel see must be what umoci unpacks.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use testkit::judge::{self, Mount, build, judge};
use testkit::{alike, boot, corpus, listing, tools, wear};

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
fn erofs_through_a_mount() {
    all_equal(".erofs");
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
        for format in [".ext4", ".erofs", ".tar"] {
            alike::alike(Path::new(UNLADE), corpus::find(name).unwrap(), format, &[]).unwrap();
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
    wear::grow(&rootfs, 3 << 30, wear::Growth::Mounted).unwrap();
}

#[test]
fn it_boots() {
    let scratch = tempfile::tempdir().unwrap();
    let rootfs = build(Path::new(UNLADE), corpus::find("init").unwrap(), ".ext4", scratch.path()).unwrap();
    let console = boot::boot(&rootfs, "/sbin/init", boot::Writes::Keep).unwrap();
    assert!(console.contains(corpus::BOOTED), "{console}");
    judge::e2fsck(&rootfs).unwrap();
}

#[test]
fn a_directory_by_a_user_without_rights() {
    // Everybody may enter it, as they may where a user of the command works.
    let scratch = tempfile::tempdir().unwrap();
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    let mut unprivileged = tools::command("setpriv");
    unprivileged.args([
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "--bounding-set=-all",
        "--no-new-privs",
    ]);
    unprivileged.args([UNLADE, "build", "--json", "--no-store", "-o", "rootfs/"]);
    unprivileged.arg(judge::source(corpus::find("special").unwrap())).current_dir(scratch.path());
    let summary: serde_json::Value = serde_json::from_slice(&tools::run(&mut unprivileged).unwrap()).unwrap();
    assert!(summary["unkept"]["owners"].as_u64().unwrap() > 1_000, "{summary}");
    assert!(summary["unkept"]["devices"].as_u64().unwrap() > 0, "{summary}");

    // Contents, links, modes and times are all there; what is not is written beside it.
    let other = tempfile::tempdir().unwrap();
    let as_root = build(Path::new(UNLADE), corpus::find("special").unwrap(), "/", other.path()).unwrap();
    let lines = |root: &Path| listing::list(root).unwrap();
    let (mine, wanted) = (lines(&scratch.path().join("rootfs")), lines(&as_root));
    assert_eq!(mine.len(), wanted.len());
    for (mine, wanted) in mine.iter().zip(&wanted) {
        assert_eq!((&mine.path, mine.uid, mine.mtime), (&wanted.path, 65534, wanted.mtime));
        if matches!(wanted.kind, listing::Kind::Directory | listing::Kind::File { .. }) {
            assert_eq!(mine.kind, wanted.kind, "{}", String::from_utf8_lossy(&mine.path));
            let record = mine.xattrs.get(&b"user.containers.override_stat"[..]);
            let wanted_record = format!("{}:{}:0{:o}:", wanted.uid, wanted.gid, wanted.mode);
            let recorded = record.is_some_and(|record| record.starts_with(wanted_record.as_bytes()));
            assert!(recorded || (wanted.uid, wanted.gid) == (65534, 65534), "{mine:?}");
        }
    }
}
