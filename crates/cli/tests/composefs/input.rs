//! Images of what lies elsewhere than in a repository.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use testkit::image::Tar;
use testkit::judge::unpack_tar;
use testkit::tools;

use super::place;

/// A directory of the host with what a directory can have.
fn directory(root: &Path) {
    let tar = Tar::default()
        .directory("usr", 0o750)
        .file("usr/empty", 0o600, b"")
        .file("usr/small", 0o4755, &[b's'; 64])
        .file("usr/large", 0o644, &[b'l'; 65])
        .symlink("bin", "usr/bin")
        .finish();
    fs::create_dir_all(root).unwrap();
    fs::write(root.with_extension("tar"), &tar).unwrap();
    unpack_tar(&root.with_extension("tar"), root).unwrap();
    fs::hard_link(root.join("usr/large"), root.join("again")).unwrap();
    symlink("nowhere", root.join("dangling")).unwrap();
    fs::create_dir(root.join("odd \u{fe}\\name")).unwrap();
    let set = ["-n", "user.note", "-v", "a value"];
    tools::run(tools::command("setfattr").args(set).arg(root.join("usr/small"))).unwrap();
    for (name, kind) in [("null", &["c", "1", "3"][..]), ("fifo", &["p"])] {
        tools::run(tools::command("mknod").arg(root.join(name)).args(kind)).unwrap();
    }
    fs::set_permissions(root, fs::Permissions::from_mode(0o1755)).unwrap();
}

#[test]
fn a_directory_is_the_tarball_of_it() {
    let place = place();
    let root = place.path("root");
    directory(&root);
    let pack = ["--create", "--sort=name", "--format=pax", "--xattrs", "--numeric-owner"];
    let mut tar = tools::command("tar");
    tar.args(pack).arg("--file").arg(place.path("all.tar")).arg("--directory").arg(&root).arg(".");
    tools::run(&mut tar).unwrap();
    let id = |input: &str| place.done(&["composefs", "compute-id", input]).out;
    assert_eq!(
        place.done(&["composefs", "dump", "root"]).out,
        place.done(&["composefs", "dump", "all.tar"]).out
    );
    assert_eq!(id("root"), id("all.tar"));
    let written = place.done(&["composefs", "create-image", "root", "-o", "image.cfs"]).out;
    assert_eq!(written, id("root"));
    assert_eq!(id("image.cfs"), id("root"));
    let through = format!("cat all.tar | {} composefs compute-id -", env!("CARGO_BIN_EXE_unlade"));
    let piped = tools::run(tools::command("sh").args(["-c", &through]).current_dir(place.path(""))).unwrap();
    assert_eq!(String::from_utf8(piped).unwrap(), id("root"));
}

#[test]
#[ignore = "needs cfsctl: cargo xtask cfsctl"]
fn mkcomposefs_makes_the_same_of_a_directory() {
    let place = place();
    directory(&place.path("root"));
    let program = std::env::var_os("CFSCTL").expect("`cargo xtask cfsctl` says where it is");
    for version in ["0", "1"] {
        let mut theirs = std::process::Command::new(&program);
        theirs.args(["mkcomposefs", "--hardlinks", "--print-digest-only", "--min-version", version]);
        let theirs = String::from_utf8(tools::run(theirs.arg(place.path("root"))).unwrap()).unwrap();
        let ours = place.done(&["composefs", "compute-id", "root", "--image-version", version]).out;
        assert_eq!(ours, theirs, "version {version}");
    }
}

#[test]
fn a_tarball_is_not_taken_into_memory() {
    let place = place();
    // Twice as large as what may be taken.
    let big = tools::command("sh")
        .args(["-c", "mkdir big && truncate -s 512M big/zeros && tar --create --file big.tar big"])
        .current_dir(place.path(""))
        .status();
    assert!(big.unwrap().success());
    let limited =
        format!("ulimit -v 262144; exec {} composefs compute-id big.tar", env!("CARGO_BIN_EXE_unlade"));
    let mut shell = tools::command("sh");
    tools::run(shell.args(["-c", &limited]).current_dir(place.path(""))).unwrap();
}

#[test]
fn damage_is_mended_by_pulling() {
    let place = place();
    super::pull(&place);
    let repo = place.path("repo");
    let before = super::everything(&repo);
    let objects: Vec<_> =
        before.keys().filter(|path| path.starts_with("objects") && path.components().count() == 3).collect();
    assert!(objects.len() > 8);
    let damage = |object: &Path| {
        let mut bytes = fs::read(repo.join(object)).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(repo.join(object), bytes).unwrap();
    };
    let pull = ["composefs", "pull", "--repo", "repo", "oci:two", "two", "--verify"];
    for object in &objects {
        damage(object);
        place.done(&pull);
        super::clean(&place);
    }
    objects.iter().for_each(|object| damage(object));
    place.done(&pull);
    super::clean(&place);
    assert_eq!(super::everything(&repo), before);
}
