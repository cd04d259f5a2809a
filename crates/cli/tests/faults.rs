//! Faults of the host: full and read-only disks, limits, vanished directories, signals, odd filesystems,
//! environments without a home.
//!
//! After each: exit code 1 and an error that names the place and the cause; nothing half-written under a final
//! name; the old output as it was; and with the fault gone, the next run makes the right bytes of what is there.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use support::{Place, Said, sha256};
use testkit::image::{Layer, Tar, write_layout};
use testkit::judge::e2fsck;
use testkit::tools;

const UNLADE: &str = env!("CARGO_BIN_EXE_unlade");

/// What lies where the output is to be.
const OLD: &str = "precious";

/// What is said where the new output has its name already, and only the name's durability is in doubt.
const UNFLUSHED: &str = "it is complete and has its name, but the directory could not be flushed";

/// Bytes that do not compress.
fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..length).map(next).collect()
}

/// An image of two layers with this many bytes in each, in files of all sizes.
fn write_image(layout: &Path, bytes: usize) {
    let layers = [1, 2].map(|number| {
        let mut tar = Tar::default().directory("d", 0o755);
        let (content, mut at) = (noise(bytes, number), 0);
        for file in 0.. {
            if at == bytes {
                break;
            }
            let length = (file * file * 700 + 1).min(bytes - at);
            tar = tar.file(&format!("d/{number}-{file}"), 0o644, &content[at..at + length]);
            at += length;
        }
        Layer::gzip(&tar.finish())
    });
    write_layout(layout, "x", &layers, &json!({})).unwrap();
}

/// A place with an image, directories for all that is written, and what a build without faults gives.
struct Scene {
    place: Place,
    format: &'static str,
    wanted: String,
}

impl Scene {
    fn new(bytes: usize, format: &'static str) -> Scene {
        let place = Place::new();
        write_image(&place.path("noise"), bytes);
        for name in ["disk", "out", "scratch"] {
            fs::create_dir(place.path(name)).unwrap();
        }
        let reference = format!("reference{format}");
        place.done(&["build", "oci:noise", "-o", &reference]);
        let wanted = fingerprint(&place.path(&reference));
        Scene { place, format, wanted }
    }

    fn output(&self) -> PathBuf {
        self.place.path(&format!("out/rootfs{}", self.format))
    }

    /// The command that builds, with a store, a scratch directory and an output that can fail apart.
    fn build(&self) -> Command {
        let output = format!("out/rootfs{}", self.format);
        self.place.command(&["build", "oci:noise", "--store", "disk", "--scratch", "scratch", "-o", &output])
    }

    /// Lets an old output lie there. A directory cannot be replaced, so there is none for it.
    fn put_old(&self) {
        if self.format != "/" {
            fs::write(self.output(), OLD).unwrap();
        }
    }

    /// Nothing but the old output is where outputs are.
    #[track_caller]
    fn check_old(&self, about: &str) {
        let names = names(&self.place.path("out"));
        if self.format == "/" {
            assert_eq!(names, [] as [&str; 0], "{about}");
        } else {
            assert_eq!(names, [format!("rootfs{}", self.format)], "{about}");
            assert_eq!(fs::read_to_string(self.output()).unwrap(), OLD, "{about}");
        }
    }

    /// The output is there, is right, and nothing else is.
    #[track_caller]
    fn check_new(&self, about: &str) {
        let name = format!("rootfs{}", self.format);
        assert_eq!(names(&self.place.path("out")), [name.trim_end_matches('/')], "{about}");
        assert_eq!(fingerprint(&self.output()), self.wanted, "{about}");
        assert_eq!(names(&self.place.path("scratch")), [] as [&str; 0], "{about}");
    }

    /// Builds with a fault: it fails cleanly or, if the fault did no harm, gives the right bytes. Gives what it
    /// said if it failed.
    #[track_caller]
    fn fails(&self, command: &mut Command, about: &str) -> Option<String> {
        let said = Said::from(command.output().unwrap());
        assert!(!said.err.contains("panicked"), "{about}: {}", said.err);
        if said.code == Some(0) {
            self.check_new(about);
            return None;
        }
        assert_eq!(said.code, Some(1), "{about}: {}", said.err);
        if !said.err.contains(UNFLUSHED) {
            self.check_old(about);
        }
        check_store(&self.place.path("disk"), about);
        Some(said.err)
    }

    /// Builds without the fault, on top of what it left.
    #[track_caller]
    fn heals(&self, about: &str) {
        let said = Said::from(self.build().output().unwrap());
        assert_eq!(said.code, Some(0), "{about}: {}", said.err);
        self.check_new(about);
        check_store(&self.place.path("disk"), about);
    }
}

/// What tells one output from another.
fn fingerprint(output: &Path) -> String {
    if output.is_dir() {
        let lines = testkit::listing::list(output).unwrap();
        return lines.iter().map(|line| format!("{line}\n")).collect();
    }
    sha256(output)
}

/// Names in a directory, hidden ones too.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name != "lost+found");
    names.sort();
    names
}

/// Whatever has a blob's name is that blob.
#[track_caller]
fn check_store(store: &Path, about: &str) {
    for blob in fs::read_dir(store.join("blobs/sha256")).into_iter().flatten() {
        let path = blob.unwrap().path();
        assert_eq!(sha256(&path), path.file_name().unwrap().to_str().unwrap(), "{about}");
    }
}

/// A filesystem that is mounted until this is dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn new(point: &Path, arguments: &[&str]) -> Mounted {
        tools::run(tools::command("mount").args(arguments).arg(point)).unwrap();
        Mounted(point.into())
    }

    /// A filesystem in memory.
    fn tmpfs(point: &Path, kib: u64) -> Mounted {
        Mounted::new(point, &["-t", "tmpfs", "-o", &format!("size={kib}k"), "tmpfs"])
    }

    fn change(&self, options: &str) {
        tools::run(tools::command("mount").args(["-o", &format!("remount,{options}")]).arg(&self.0)).unwrap();
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = tools::run(tools::command("umount").arg("--lazy").arg(&self.0));
    }
}

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

/// Runs the build under strace, which lets system calls fail.
fn injected(scene: &Scene, rules: &[String]) -> Command {
    let mut strace = tools::command("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null"]).current_dir(scene.place.path("."));
    for rule in rules {
        let calls = rule.split(':').next().unwrap_or_default();
        strace.arg("-e").arg(format!("trace={calls}")).arg("-e").arg(format!("inject={rule}"));
    }
    let build = scene.build();
    strace.arg(build.get_program()).args(build.get_args());
    strace
}

#[test]
fn any_call_that_fails_once() {
    for format in [".ext4", "/"] {
        // So much that the kernel is asked to copy it.
        let scene = Scene::new(200 << 10, format);
        let mut failures = 0;
        for (call, error, most) in [
            ("pwrite64", "EIO", 4),
            ("copy_file_range", "ENOSPC", 2),
            ("fsync", "EIO", 4),
            ("fdatasync", "EIO", 6),
            ("ftruncate", "EIO", 2),
            ("rename", "EIO", 5),
            ("linkat", "EIO", 1),
            ("mkdir", "ENOSPC", 3),
            ("flock", "ENOLCK", 2),
            ("fallocate", "EIO", 2),
        ] {
            for when in 1..=most {
                let about = format!("{call} {when} fails with {error}, {format}");
                let _ = fs::remove_dir_all(scene.place.path("disk"));
                let _ = fs::remove_dir_all(scene.output());
                scene.put_old();
                let rule = format!("{call}:error={error}:when={when}");
                if let Some(text) = scene.fails(&mut injected(&scene, &[rule]), &about) {
                    failures += 1;
                    if text.contains(UNFLUSHED) {
                        scene.check_new(&about);
                        let _ = fs::remove_dir_all(scene.output());
                    }
                    let cause = match error {
                        "EIO" => "Input/output error",
                        "ENOSPC" => "No space left on device",
                        _ => "No locks available",
                    };
                    assert!(text.contains(cause), "{about}: {text}");
                    let place = ["disk", "scratch", "out"].iter().any(|place| text.contains(place));
                    assert!(place, "{about}: {text}");
                    scene.heals(&about);
                }
            }
        }
        assert!(failures >= 12, "{format}: {failures}");
    }
}

#[test]
fn interrupted_calls_are_made_again() {
    for format in [".ext4", ".erofs", ".tar", "/"] {
        let scene = Scene::new(300 << 10, format);
        scene.put_old();
        // The first ones are the dynamic loader's.
        let calls = "write,pwrite64,copy_file_range,fsync,fdatasync,ftruncate,flock";
        let rules = [format!("{calls}:error=EINTR:when=1+2")];
        let failed = scene.fails(&mut injected(&scene, &rules), format);
        assert_eq!(failed, None, "{format}");
    }
}

#[test]
fn stopped_and_continued_all_the_time() {
    let scene = Scene::new(6 << 20, ".ext4");
    let build = scene.build().stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let signals = "while kill -WINCH $0 && kill -STOP $0 && kill -CONT $0; do :; done 2>/dev/null";
    let mut bully = Command::new("sh").args(["-c", signals, &build.id().to_string()]).spawn().unwrap();
    let said = Said::from(build.wait_with_output().unwrap());
    bully.wait().unwrap();
    assert_eq!(said.code, Some(0), "{}", said.err);
    scene.check_new("signals");
}

#[test]
fn readers_that_take_little_or_stop() {
    let scene = Scene::new(300 << 10, ".tar");
    let arguments = ["build", "oci:noise", "-o", "-", "-q"];
    let mut child = scene.place.command(&arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut pipe = child.stdout.take().unwrap();
    let (mut streamed, mut buffer) = (Vec::new(), vec![0; 7_001]);
    loop {
        let count = pipe.read(&mut buffer).unwrap();
        if count == 0 {
            break;
        }
        streamed.extend(&buffer[..count]);
        thread::sleep(Duration::from_millis(1));
    }
    assert!(child.wait().unwrap().success());
    assert_eq!(hash::Digest::sha256(&streamed).hex(), scene.wanted);
    for enough in [0, 1, 512, 10_000, 400_000] {
        let mut child =
            scene.place.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut pipe = child.stdout.take().unwrap();
        pipe.read_exact(&mut vec![0; enough]).unwrap();
        drop(pipe);
        let said = Said::from(child.wait_with_output().unwrap());
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{enough}");
    }
    assert!(names(&scene.place.path(".")).iter().all(|name| !name.starts_with('.')), "nothing is left");
}

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
        assert_eq!(names(&all), made, "{kind}");
        check_store(&all.join("store"), kind);
        drop(mounted);
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
