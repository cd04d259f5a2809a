//! Real images through the command: what other people's tools and the kernel see must be what umoci unpacks.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use testkit::judge::{self, Mount, build, judge};
use testkit::{alike, boot, corpus, listing, sums, tools, wear};

const UNLADE: &str = env!("CARGO_BIN_EXE_unlade");

/// Images of the everyday corpus, in all formats: ext4 and EROFS through a mount, the tarball through GNU tar.
fn all_equal(is_meant: fn(&str) -> bool) {
    for image in corpus::IMAGES.iter().filter(|image| image.everyday && is_meant(image.name)) {
        let differences = judge(Path::new(UNLADE), image, &judge::FORMATS).unwrap();
        assert!(differences.is_empty(), "{}:\n{}", image.name, differences.join("\n"));
    }
}

#[test]
fn nginx_in_every_format() {
    all_equal(|name| name == "nginx");
}

#[test]
fn all_others_in_every_format() {
    all_equal(|name| name != "nginx");
}

#[test]
fn the_same_bytes_for_everybody() {
    for name in ["special", "layers60"] {
        for format in [".ext4", ".erofs", ".tar", ".cpio.zst"] {
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

/// What a cpio archive can say of a line.
fn in_cpio(mut line: listing::Line) -> listing::Line {
    line.xattrs.clear();
    line.mtime = (line.mtime.0.clamp(0, i64::from(u32::MAX)), 0);
    line
}

#[test]
fn cpio_through_gnu_cpio_and_bsdtar() {
    for name in ["special", "layers60"] {
        let image = corpus::find(name).unwrap();
        let scratch = tempfile::tempdir_in(corpus::target()).unwrap();
        let archive = build(Path::new(UNLADE), image, ".cpio", scratch.path()).unwrap();
        let mut expected = judge::expected(image, scratch.path()).unwrap();
        expected.lines = expected.lines.into_iter().map(in_cpio).collect();
        let unpack = |script: &str| {
            let root = tempfile::tempdir_in(scratch.path()).unwrap();
            let mut unpack = tools::command("sh");
            unpack.args(["-c", script, "sh"]).arg(&archive).current_dir(root.path());
            tools::run(&mut unpack).unwrap();
            listing::list(root.path()).unwrap().into_iter().map(in_cpio).collect::<Vec<_>>()
        };
        // The root is there before it is unpacked, and bsdtar leaves its time alone.
        expected.timeless.insert(Vec::new());
        let found = unpack("bsdtar -xpf \"$1\"");
        assert_eq!(expected.differences(&found), [""; 0], "{name}: bsdtar");
        // It sets the times of directories before it fills them, and those of links not at all, which it takes one by
        // one.
        for line in &mut expected.lines {
            match line.kind {
                listing::Kind::Directory => {}
                listing::Kind::Symlink { .. } => (line.links, line.same_as) = (1, None),
                _ => continue,
            }
            expected.timeless.insert(line.path.clone());
        }
        let found = unpack("cpio -idm --quiet <\"$1\"");
        assert_eq!(expected.differences(&found), [""; 0], "{name}: cpio");
    }
}

#[test]
fn compressed_archives_are_the_plain_ones() {
    let (scratch, image) = (tempfile::tempdir().unwrap(), corpus::find("special").unwrap());
    for (format, unpack) in [(".gz", ["gzip", "-dc"]), (".zst", ["zstd", "-dc"])] {
        for kind in [".tar", ".cpio"] {
            let plain = build(Path::new(UNLADE), image, kind, scratch.path()).unwrap();
            let packed = build(Path::new(UNLADE), image, &format!("{kind}{format}"), scratch.path()).unwrap();
            let unpacked = tools::run(tools::command(unpack[0]).arg(unpack[1]).arg(&packed)).unwrap();
            assert!(unpacked == fs::read(plain).unwrap(), "{kind}{format}");
        }
    }
}

#[test]
fn it_boots_as_an_initramfs() {
    let (scratch, image) = (tempfile::tempdir().unwrap(), corpus::find("init").unwrap());
    let archive = build(Path::new(UNLADE), image, ".cpio.zst", scratch.path()).unwrap();
    let console = boot::initramfs(&archive, "/sbin/init").unwrap();
    assert!(console.contains(corpus::BOOTED), "{console}");
}

#[test]
fn it_boots_below_an_overlay() {
    let (scratch, image) = (tempfile::tempdir().unwrap(), corpus::find("init").unwrap());
    for options in [&[][..], &["--compress", "lz4", "--fragments"]] {
        let rootfs = scratch.path().join("rootfs.erofs");
        let mut build = tools::command(UNLADE);
        build.args(["build", &judge::source(image), "--no-store"]).args(options).arg("-o").arg(&rootfs);
        tools::run(&mut build).unwrap();
        let before = sums::sha256(&rootfs).unwrap();
        let console = boot::below_an_overlay(&rootfs, "/sbin/init").unwrap();
        for said in [corpus::BOOTED, "root is overlay", "root is writable"] {
            assert!(console.contains(said), "{said} is not in\n{console}");
        }
        assert_eq!(sums::sha256(&rootfs).unwrap(), before);
    }
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
