//! Stores and outputs that cannot be written, or are gone.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use testkit::tools;

use crate::scene::{Mounted, OLD, Scene, UNLADE, names, write_image};
use crate::support::{Said, sha256};

#[test]
fn read_only_store() {
    let scene = Scene::new(1 << 16, ".ext4");
    let disk = scene.place.path("disk");
    scene.put_old();
    let bound = |from: &Path| {
        let mounted = Mounted::new(&disk, &["--bind", from.to_str().unwrap()]);
        mounted.change("bind,ro");
        mounted
    };
    // An empty one cannot become a store.
    let mounted = bound(&disk);
    let said = scene.fails(&mut scene.build(), "empty").unwrap();
    assert!(said.contains("disk") && said.contains("Read-only file system"), "{said}");
    drop(mounted);
    // One that has the image serves it, by digest if nothing else can be said.
    scene.heals("filled");
    let mounted = bound(&disk);
    scene.heals("read-only");
    let layout = scene.place.path("other");
    write_image(&layout, 1 << 15);
    scene.put_old();
    let said = Said::from(
        scene
            .place
            .command(&["build", "oci:other", "--store", "disk", "-o", "out/rootfs.ext4"])
            .output()
            .unwrap(),
    );
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert!(said.err.contains("disk") && said.err.contains("Read-only file system"), "{}", said.err);
    scene.check_old("another image");
    drop(mounted);
    scene.place.done(&["build", "oci:other", "--store", "disk", "-o", "out/rootfs.ext4"]);
}

#[test]
fn store_of_somebody_else() {
    // Everybody may enter it, as they may where a user of the command works.
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    for name in ["image", "other"] {
        write_image(&directory.path().join(name), if name == "image" { 1 << 16 } else { 1 << 15 });
    }
    let run = |user: bool, arguments: &[&str]| {
        let mut command = if user {
            let mut command = tools::command("setpriv");
            let bare = ["--clear-groups", "--bounding-set=-all", "--no-new-privs", UNLADE];
            command.args(["--reuid=65534", "--regid=65534"]).args(bare);
            command
        } else {
            Command::new(UNLADE)
        };
        command.args(arguments).current_dir(directory.path()).env("HOME", "/").env_remove("UNLADE_STORE");
        Said::from(command.output().unwrap())
    };
    let build = ["build", "oci:image", "--store", "store", "-o"];
    let said = run(false, &[&build[..], &["a.ext4"]].concat());
    assert_eq!(said.code, Some(0), "{}", said.err);
    let said = run(true, &[&build[..], &["b.ext4"]].concat());
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert_eq!(sha256(&directory.path().join("a.ext4")), sha256(&directory.path().join("b.ext4")));
    for arguments in [
        &["build", "oci:other", "--store", "store", "-o", "c.ext4"][..],
        &["build", "oci:image", "--store", "/root/store", "-o", "c.ext4"],
        &["build", "oci:image", "--store", "store", "-o", "/c.ext4"],
        &["build", "oci:image", "--store", "store", "-o", "c/", "--scratch", "store"],
        &["build", "oci:image", "-o", "c.ext4"],
    ] {
        let said = run(true, arguments);
        assert_eq!(said.code, Some(1), "{arguments:?}: {}", said.err);
        assert!(said.err.contains("Permission denied"), "{arguments:?}: {}", said.err);
        assert!(said.err.contains('/') || said.err.contains("store"), "{arguments:?}: {}", said.err);
    }
    assert_eq!(names(directory.path()), ["a.ext4", "b.ext4", "image", "other", "store"]);
}

#[test]
fn output_directory_that_vanishes() {
    let scene = Scene::new(6 << 20, ".ext4");
    let start = Instant::now();
    scene.heals("undisturbed");
    let whole = start.elapsed();
    let (out, gone) = (scene.place.path("out"), scene.place.path("gone"));
    let mut failures = 0;
    for moment in 0..16 {
        scene.put_old();
        fs::remove_dir_all(scene.place.path("disk")).unwrap();
        let child = scene.build().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        thread::sleep(whole * moment / 16);
        fs::rename(&out, &gone).unwrap();
        let said = Said::from(child.wait_with_output().unwrap());
        let left = gone.join("rootfs.ext4");
        match said.code {
            Some(0) => assert_eq!(sha256(&left), scene.wanted, "moment {moment}"),
            Some(1) => {
                failures += 1;
                assert!(said.err.contains("out"), "{}", said.err);
                assert!(said.err.contains("No such file or directory"), "{}", said.err);
                assert_eq!(fs::read_to_string(&left).unwrap(), OLD, "moment {moment}");
            }
            code => panic!("moment {moment}: {code:?} {}", said.err),
        }
        fs::remove_dir_all(&gone).unwrap();
        fs::create_dir(&out).unwrap();
        scene.heals("with the directory back");
    }
    assert!(failures > 3, "{failures} of 16");
}
