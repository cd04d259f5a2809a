//! Rewritten programs, run: their trampolines made a segment, each call goes through its detour to the kernel, and
//! whatever was moved runs where it is now.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "judges are processes that work on files"
)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use common::fill::{Through, fill, slots};
use common::{files, patch, patched, trampoline};
use unlade_elf::{Kind, read};

/// A script that forks, waits, reads, writes and handles signals.
const SCRIPT: &str = "trap 'echo caught' USR1; kill -USR1 $$; echo $((6 * 7)); (exit 3); echo $?; \
                      for i in 1 2 3; do echo $i; done | (while read x; do echo got $x; done); cd /; pwd; ls /etc";

/// Writes a file, rewritten and filled if it has calls; whether it has.
fn put(from: &Path, to: &Path, through: Through) -> bool {
    let bytes = fs::read(from).unwrap();
    let patch = patch(&bytes);
    let is_rewritten = patch.is_some();
    let bytes = patch.map_or_else(|| bytes.clone(), |patch| fill(&patched(&bytes, &patch), through));
    fs::write(to, bytes).unwrap();
    fs::set_permissions(to, fs::Permissions::from_mode(0o755)).unwrap();
    is_rewritten
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_static_program_runs_a_script() {
    let scratch = tempfile::tempdir().unwrap();
    let expected = said(&Command::new("/bin/busybox").args(["sh", "-c", SCRIPT]).output().unwrap());
    assert!(expected.1.contains("caught\n42\n3\ngot 1\n"), "{expected:?}");
    for through in [Through::Itself, Through::Slot] {
        let program = scratch.path().join("busybox");
        assert!(put(Path::new("/bin/busybox"), &program, through));
        let found = said(&Command::new(program).args(["sh", "-c", SCRIPT]).output().unwrap());
        assert_eq!(found, expected);
    }
}

#[test]
fn every_detour_has_one_jump_through_the_slot() {
    let file = fs::read("/bin/busybox").unwrap();
    let patch = patch(&file).unwrap();
    let rewritten = patched(&file, &patch);
    let (_, address, code) = trampoline(&rewritten);
    assert_eq!(slots(address, code).len(), patch.changes.len());
}

/// The loader, the C library and all that others bring in, rewritten, in a directory.
struct Libraries {
    directory: tempfile::TempDir,
}

impl Libraries {
    fn new() -> Libraries {
        let directory = tempfile::tempdir().unwrap();
        let from = Path::new("/usr/lib/x86_64-linux-gnu");
        for name in ["ld-linux-x86-64.so.2", "libc.so.6"] {
            assert!(put(
                &fs::canonicalize(from.join(name)).unwrap(),
                &directory.path().join(name),
                Through::Itself
            ));
        }
        Libraries { directory }
    }

    /// Runs a program with these libraries in front of the system's.
    fn run(&self, program: &Path, arguments: &[&str]) -> Output {
        let to = self.directory.path().join("program");
        put(&fs::canonicalize(program).unwrap(), &to, Through::Itself);
        let mut command = limited();
        if read(&fs::read(program).unwrap()).unwrap().unwrap().interpreter.is_some() {
            command.arg(self.directory.path().join("ld-linux-x86-64.so.2")).arg("--library-path");
            command.arg(self.directory.path()).arg("--argv0").arg(program);
        }
        command.arg(to).args(arguments).output().unwrap()
    }
}

fn native(program: &Path, arguments: &[&str]) -> Output {
    limited().arg(program).args(arguments).output().unwrap()
}

/// Runs a program for half a minute at most, where it finds nothing and nothing to read.
fn limited() -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", "30"]).current_dir("/proc/self").stdin(Stdio::null());
    command
}

#[test]
fn a_rewritten_c_library_serves() {
    let libraries = Libraries::new();
    let python = "import os, signal, subprocess, threading, time\n\
                  signal.signal(signal.SIGUSR1, lambda *_: print('caught'))\n\
                  os.kill(os.getpid(), signal.SIGUSR1)\n\
                  found = []\n\
                  threads = [threading.Thread(target=lambda: (time.sleep(.01), found.append(1))) for _ in range(8)]\n\
                  [t.start() for t in threads]; [t.join() for t in threads]\n\
                  print(len(found), subprocess.run(['echo', 'x'], capture_output=True).stdout, os.listdir('/etc') != [])\n";
    for (program, arguments) in [
        ("/bin/bash", vec!["-c", SCRIPT]),
        ("/usr/bin/python3", vec!["-c", python]),
        ("/usr/bin/find", vec!["/usr/share/doc", "-maxdepth", "2", "-name", "c*"]),
        ("/usr/bin/tar", vec!["-cf", "-", "-C", "/etc", "--sort=name", "debian_version", "passwd"]),
    ] {
        let program = PathBuf::from(program);
        let (found, expected) = (libraries.run(&program, &arguments), native(&program, &arguments));
        assert!(expected.status.success(), "{expected:?}");
        assert_eq!(said(&found), said(&expected), "{}", program.display());
    }
}

/// Each ends as it does otherwise, and says the same if it always says the same.
#[test]
fn programs_of_the_machine_run() {
    let libraries = Libraries::new();
    let (mut ran, mut alike) = (0, 0);
    for path in files(40) {
        let file = read(&fs::read(&path).unwrap()).unwrap().unwrap();
        let is_program = file.interpreter.is_some() || file.kind == Kind::Executable;
        if !is_program || !path.starts_with("/usr/bin") {
            continue;
        }
        let expected = said(&native(&path, &["--version"]));
        let found = said(&libraries.run(&path, &["--version"]));
        assert_eq!(found.0, expected.0, "{}: {found:?}", path.display());
        // Some say the time, their number, or by which path they were called; and what several say at once comes in
        // any order.
        let lines = |text: &str| -> Vec<String> {
            let mut lines: Vec<String> = text.lines().map(str::to_string).collect();
            lines.sort();
            lines
        };
        let again = said(&native(&path, &["--version"]));
        if lines(&again.1) == lines(&expected.1) && !expected.1.contains("/usr/bin") {
            assert_eq!(lines(&found.1), lines(&expected.1), "{}", path.display());
            alike += 1;
        }
        ran += 1;
    }
    assert!(ran >= 3, "only {ran} programs");
    println!("{ran} programs, {alike} with the same to say");
}

/// Each is loaded in front of a program as it is otherwise, with all that it needs bound.
#[test]
fn libraries_of_the_machine_load() {
    let scratch = tempfile::tempdir().unwrap();
    let [plain, rewritten] = ["plain", "other"].map(|name| scratch.path().join(name));
    let load = |directory: &Path, name: &str| {
        let mut command = limited();
        command.arg("env").arg("LD_BIND_NOW=1");
        command.arg(format!("LD_PRELOAD={}/{name}", directory.display())).arg("/usr/bin/true");
        let (code, out, err) = said(&command.output().unwrap());
        (code, out, err.replace(directory.to_str().unwrap(), ""))
    };
    let mut loaded = 0;
    for path in files(40) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let is_library = path.starts_with("/usr/lib") && name.contains(".so");
        // A second C library is no way to run a program.
        if !is_library || ["libc.so", "ld-linux", "libc-"].iter().any(|start| name.starts_with(start)) {
            continue;
        }
        for directory in [&plain, &rewritten] {
            let _ = fs::remove_dir_all(directory);
            fs::create_dir(directory).unwrap();
        }
        fs::copy(&path, plain.join(name)).unwrap();
        if put(&path, &rewritten.join(name), Through::Itself) {
            assert_eq!(load(&rewritten, name), load(&plain, name), "{name}");
            loaded += 1;
        }
    }
    println!("{loaded} libraries");
}
