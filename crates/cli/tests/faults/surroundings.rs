//! Filesystems of other kinds, and environments that lack something.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use testkit::judge::e2fsck;
use testkit::tools;

use crate::scene::{Mounted, Scene, UNLADE, check_store, names};
use crate::support::{Place, Said, sha256};

#[test]
fn filesystems_of_other_kinds() {
    for kind in ["fuse2fs", "overlay", "tmpfs", "ramfs"] {
        let scene = Scene::new(300 << 10, ".ext4");
        let path = |name: &str| scene.place.path(name).to_str().unwrap().to_string();
        // Everything lies on it: the store, the scratch directory, the output.
        let all = scene.place.path("all");
        fs::create_dir(&all).unwrap();
        let mounted = match kind {
            // Knows neither nameless files nor reflinks nor punched holes.
            "fuse2fs" => {
                let image = scene.place.path("fuse.img");
                fs::File::create(&image).unwrap().set_len(96 << 20).unwrap();
                tools::run(tools::command("mke2fs").args(["-q", "-t", "ext4"]).arg(&image)).unwrap();
                tools::run(tools::command("fuse2fs").arg(&image).arg(&all)).unwrap();
                Mounted(all.clone())
            }
            "overlay" => {
                // An upper directory cannot lie on an overlay itself, as a container's may.
                let below = scene.place.path("below");
                fs::create_dir(&below).unwrap();
                let below = Mounted::new(&below, &["-t", "tmpfs", "tmpfs"]);
                for name in ["lower", "upper", "work"] {
                    fs::create_dir(below.0.join(name)).unwrap();
                }
                let layers = format!("lowerdir={0}/lower,upperdir={0}/upper,workdir={0}/work", path("below"));
                let overlay = Mounted::new(&all, &["-t", "overlay", "-o", &layers, "overlay"]);
                drop(below);
                overlay
            }
            kind => Mounted::new(&all, &["-t", kind, kind]),
        };
        for run in ["first", "second"] {
            for (format, wanted) in [(".ext4", Some(&scene.wanted)), (".tar", None), ("/", None)] {
                let output = format!("all/{run}{format}");
                let build = ["build", "oci:noise", "--store", "all/store", "-o", &output];
                let said = scene.place.done(&build);
                assert!(!said.err.contains("panicked"), "{kind}");
                if let Some(wanted) = wanted {
                    assert_eq!(&sha256(&scene.place.path(&output)), wanted, "{kind}");
                    // And again, over what is there.
                    scene.place.done(&build);
                    e2fsck(&scene.place.path(&output)).unwrap();
                }
            }
        }
        let made = ["first", "first.ext4", "first.tar", "second", "second.ext4", "second.tar", "store"];
        forgotten_by_fuse(&all);
        assert_eq!(names(&all), made, "{kind}");
        check_store(&all.join("store"), kind);
        drop(mounted);
    }
}

/// Waits until a filesystem in a process has let go of what was removed while it was open: it keeps that under a name of
/// its own until the kernel tells it that it was closed, which may be after the process that had it open is gone.
fn forgotten_by_fuse(directory: &Path) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while names(directory).iter().any(|name| name.starts_with(".fuse_hidden")) {
        assert!(Instant::now() < deadline, "{:?}", names(directory));
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn environments_that_lack_something() {
    let place = Place::new();
    fs::write(place.path("file"), "").unwrap();
    fs::create_dir(place.path("home")).unwrap();
    let file = place.path("file").display().to_string();
    let home = place.path("home").display().to_string();
    let nowhere = place.path("nowhere").display().to_string();
    let build = ["build", "oci:image", "-o", "a.ext4"];
    let stream = ["build", "oci:image", "-o", "-", "--no-store"];
    for (arguments, variables, text) in [
        (&build[..], &[][..], "there is no place for the store"),
        (&build, &[("HOME", "")], "there is no place for the store"),
        (&build, &[("HOME", "relative"), ("XDG_DATA_HOME", "relative")], "there is no place for the store"),
        (&build, &[("HOME", &file)], "file/.local/share/unlade"),
        (&build, &[("XDG_DATA_HOME", &file)], "file/unlade"),
        (&stream, &[("TMPDIR", &nowhere)], "nowhere"),
        (&stream, &[("TMPDIR", &file)], "file"),
        (&["build", "oci:image", "-o", "-", "--store", "store"], &[("TMPDIR", &nowhere)], "nowhere"),
    ] {
        let mut command = place.command(arguments);
        command.env_clear().envs(variables.iter().copied());
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?} {variables:?}: {said}");
        assert!(said.contains(text), "{arguments:?} {variables:?}: {said}");
    }
    // A home is enough; so is a store without one, or none at all.
    for (arguments, variables) in [
        (&build[..], &[("HOME", home.as_str())][..]),
        (&["build", "oci:image", "-o", "b.ext4", "--store", "store"], &[]),
        (&["build", "oci:image", "-o", "c.ext4", "--no-store"], &[]),
    ] {
        let mut command = place.command(arguments);
        command.env_clear().envs(variables.iter().copied());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    for name in ["b.ext4", "c.ext4"] {
        assert_eq!(sha256(&place.path("a.ext4")), sha256(&place.path(name)));
    }
}

#[test]
fn a_working_directory_that_is_gone() {
    let place = Place::new();
    let run = |arguments: &str| {
        let script = format!("mkdir gone && cd gone && rmdir ../gone && exec {UNLADE} build {arguments}");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).current_dir(place.path("."));
        Said::from(shell.env("UNLADE_STORE", place.path("store")).output().unwrap())
    };
    let (image, output) = (place.path("image"), place.path("a.ext4"));
    let said = run(&format!("oci:{} -o {}", image.display(), output.display()));
    assert_eq!(said.code, Some(0), "{}", said.err);
    e2fsck(&output).unwrap();
    for arguments in [format!("oci:{} -o b.ext4", image.display()), "oci:image -o b.ext4".to_string()] {
        let said = run(&arguments);
        assert_eq!(said.code, Some(1), "{}", said.err);
        assert!(said.err.starts_with("error: ") && said.err.contains("\n  because: "), "{}", said.err);
    }
}
