//! Disks that are full, and limits of sizes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use testkit::tools;

use crate::scene::{Mounted, Scene};
use crate::support::Said;

/// Sizes of filesystems in percent of what is to be in them: too small for the first byte, for some of them, for
/// the last, and large enough.
const SIZES: &[u64] = &[0, 1, 3, 6, 15, 30, 50, 65, 80, 95, 99, 400];

/// What a build knows of its layers beforehand.
#[derive(Clone, Copy, PartialEq)]
enum Layers {
    /// Nothing: contents go through the scratch directory.
    New,
    /// Their outlines: contents go straight to their places.
    Known,
}

/// Fills one of the directories at all sizes. Every failure names the directory; there are so many kinds of them.
fn check_full(directory: &str, format: &'static str, bytes: u64, kinds: usize, layers: Layers) {
    let scene = Scene::new(bytes as usize, format);
    if layers == Layers::Known {
        scene.heals("the first build");
    }
    let mut said = BTreeSet::new();
    for &percent in SIZES {
        let kib = (2 * bytes / 1024 * percent / 100).max(4);
        let about = format!("{directory} of {kib} KiB, {format}");
        let mounted = Mounted::tmpfs(&scene.place.path(directory), kib);
        scene.put_old();
        if layers == Layers::New {
            let _ = fs::remove_dir_all(scene.place.path("disk/unlade/outlines"));
        }
        let failure = scene.fails(&mut scene.build(), &about);
        if let Some(text) = &failure {
            assert!(text.contains("No space left on device"), "{about}: {text}");
            assert!(text.contains(directory), "{about}: {text}");
            // What differs only in digests and places is the same failure.
            said.insert(text.chars().filter(|c| !c.is_ascii_hexdigit()).collect::<String>());
        }
        assert_eq!(failure.is_none(), percent > 100, "{about}: {failure:?}");
        mounted.change("size=64m");
        if scene.format != "/" || failure.is_some() {
            scene.heals(&about);
        }
        if scene.format == "/" {
            fs::remove_dir_all(scene.output()).unwrap();
        }
    }
    assert!(said.len() >= kinds, "{directory}: {said:#?}");
}

#[test]
fn full_store() {
    check_full("disk", ".ext4", 900 << 10, 2, Layers::New);
}

#[test]
fn full_scratch_directory() {
    check_full("scratch", ".ext4", 2 << 20, 2, Layers::New);
}

#[test]
fn full_output_ext4() {
    check_full("out", ".ext4", 900 << 10, 1, Layers::New);
}

#[test]
fn full_output_tar() {
    check_full("out", ".tar", 900 << 10, 1, Layers::New);
}

#[test]
fn full_output_of_layers_that_are_known() {
    check_full("out", ".ext4", 900 << 10, 1, Layers::Known);
    check_full("out", ".tar", 900 << 10, 1, Layers::Known);
}

#[test]
fn full_output_directory() {
    check_full("out", "/", 900 << 10, 1, Layers::New);
}

#[test]
fn full_disk_that_finds_it_out_late() {
    // ext4 allocates when it writes back: some of what was written fails only when it is flushed.
    let scene = Scene::new(900 << 10, ".ext4");
    let image = scene.place.path("ext4.img");
    fs::File::create(&image).unwrap().set_len(16 << 20).unwrap();
    tools::run(tools::command("mke2fs").args(["-q", "-t", "ext4", "-m", "0"]).arg(&image)).unwrap();
    let out = scene.place.path("out");
    let _mounted = Mounted::new(&out, &["-o", "loop", image.to_str().unwrap()]);
    for free in [1 << 14, 1 << 17, 1 << 20, 3 << 19, 7 << 18] {
        let about = format!("{free} bytes free");
        scene.put_old();
        // Blocks of one byte of the name fill what is more.
        let ballast = scene.place.path("out/ballast");
        let available = |path: &Path| {
            let shown = tools::run(tools::command("df").args(["--output=avail", "-B1"]).arg(path)).unwrap();
            String::from_utf8(shown).unwrap().lines().last().unwrap().trim().parse::<u64>().unwrap()
        };
        let length = available(&out) - free;
        tools::run(tools::command("fallocate").args(["-l", &length.to_string()]).arg(&ballast)).unwrap();
        let said = Said::from(scene.build().output().unwrap());
        assert_eq!(said.code, Some(1), "{about}: {}", said.err);
        assert!(said.err.contains("out/rootfs.ext4") && said.err.contains("No space left"), "{}", said.err);
        fs::remove_file(&ballast).unwrap();
        scene.check_old(&about);
        scene.heals(&about);
    }
}

#[test]
fn limits_of_file_size() {
    for format in [".ext4", ".tar", "/"] {
        let scene = Scene::new(900 << 10, format);
        let mut failures = 0;
        for blocks in [0u64, 1, 64, 512, 1024, 1700, 1800, 2000, 4000, 1 << 21] {
            let about = format!("ulimit -f {blocks}, {format}");
            scene.put_old();
            let mut limited = Command::new("sh");
            limited.args(["-c", "ulimit -f $0; exec \"$@\"", &blocks.to_string()]);
            let build = scene.build();
            limited.arg(build.get_program()).args(build.get_args()).current_dir(scene.place.path("."));
            if let Some(text) = scene.fails(&mut limited, &about) {
                assert!(text.contains("File too large"), "{about}: {text}");
                assert!(
                    ["disk", "scratch", "out"].iter().any(|place| text.contains(place)),
                    "{about}: {text}"
                );
                failures += 1;
                scene.heals(&about);
            }
            if format == "/" {
                fs::remove_dir_all(scene.output()).unwrap();
            }
            // Every other time everything is still to be pulled.
            if failures % 2 == 0 {
                fs::remove_dir_all(scene.place.path("disk")).unwrap();
            }
        }
        assert!(failures >= 4, "{failures}");
    }
}
