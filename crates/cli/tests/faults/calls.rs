//! System calls that fail or are interrupted, signals, and readers that stop.

use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use testkit::tools;

use crate::scene::{Scene, UNFLUSHED, names};
use crate::support::Said;

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
