//! Packages of programs of this machine: `ldd` says what they need, and the kernel runs them in a root in which nothing
//! else is.
//!
//! `UNLADE_PROGRAMS=1000 cargo test -p unlade --test pack host` looks at so many.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use testkit::{tools, ustar};

use super::closure::kept;
use super::support::{Place, schema};
use super::{is_marked, run_in, unpacked};

/// Packs programs, and gives what was said of it.
fn packed(place: &Place, programs: &[&str]) -> Value {
    let said = place.done(&[&["pack", "-o", "app.tar", "--json", "--host"], programs].concat());
    let summary = serde_json::from_str(&said.out).unwrap();
    schema::conforms("pack", &summary);
    summary
}

/// The libraries and the loader that `ldd` sees, with links followed. `None` for what is static, or lacks a library.
fn ldd(path: &Path) -> Option<BTreeSet<PathBuf>> {
    let output = Command::new("ldd").arg(path).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() || said.contains("not found") || said.contains("statically linked") {
        return None;
    }
    let lines = said.lines().filter_map(|line| {
        let line = line.split_once(" => ").map_or(line, |(_, path)| path).trim();
        line.starts_with('/').then(|| fs::canonicalize(line.split(" (").next().unwrap()).unwrap())
    });
    Some(lines.collect())
}

/// Programs for glibc that anybody may run, evenly out of all.
fn programs(most: usize) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for directory in ["/usr/bin", "/usr/sbin"] {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let mut magic = [0; 4];
            let read = fs::File::open(&path).and_then(|mut file| file.read_exact(&mut magic));
            if read.is_ok() && magic == *b"\x7fELF" {
                found.push(path);
            }
        }
    }
    found.sort();
    let step = (found.len() / most).max(1);
    found.into_iter().step_by(step).take(most).collect()
}

#[test]
fn host_ldd_finds_the_same() {
    let place = Place::new();
    let most = std::env::var("UNLADE_PROGRAMS").map_or(6, |text| text.parse().unwrap());
    let mut compared = 0;
    for program in programs(most) {
        let Some(expected) = ldd(&program) else { continue };
        let name = program.to_str().unwrap();
        let summary = packed(&place, &[name]);
        let real = fs::canonicalize(&program).unwrap();
        let found: BTreeSet<PathBuf> = kept(&summary)
            .into_iter()
            .filter(|(path, _)| !path.starts_with("etc/ld"))
            .map(|(path, _)| fs::canonicalize(Path::new("/").join(path)).unwrap())
            .filter(|path| *path != real)
            .collect();
        assert_eq!(found, expected, "{name}");
        compared += 1;
    }
    println!("{compared} programs");
    assert!(compared >= 3, "only {compared}");
}

#[test]
fn host_programs_run_with_nothing_else() {
    let place = Place::new();
    let summary = packed(&place, &["/usr/bin/bash", "/bin/busybox"]);
    assert_eq!((&summary["manifest"], &summary["leftOut"]), (&Value::Null, &Value::Null));
    let files = ustar::read(&fs::read(place.path("app.tar")).unwrap());
    assert_eq!(files.len(), kept(&summary).len());
    assert!(is_marked(&files["bin/busybox"].1) && !files.keys().any(|path| path.starts_with("litebox")));
    assert!(
        files.iter().all(|(path, (mode, _))| *mode == if path.starts_with("etc/") { 0o644 } else { 0o755 })
    );

    fs::write(place.path("script"), "#!/usr/bin/env -S bash -e\necho script\n").unwrap();
    let script = place.path("script");
    let programs =
        ["/usr/bin/bash", "/usr/bin/objdump", script.to_str().unwrap(), "--include", "script:etc/script"];
    let root = unpacked(&place, &[&["--host"], &programs[..]].concat());
    for (command, out) in [
        (&["/usr/bin/bash", "-c", "echo $((6 * 7))"][..], "42\n"),
        (&["/usr/bin/objdump", "--version"], "GNU objdump"),
        (&[script.to_str().unwrap()], "script\n"),
    ] {
        let run = run_in(&root, command);
        assert!(String::from_utf8_lossy(&run.stdout).starts_with(out), "{command:?}: {run:?}");
    }
}

#[test]
fn host_programs_for_musl() {
    let place = Place::new();
    let directory = place.path("m");
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("l.c"), "int number(void) { return 42; }\n").unwrap();
    let source = "#include <stdio.h>\nint number(void);\nint main(void) { printf(\"%d\\n\", number()); }\n";
    fs::write(directory.join("p.c"), source).unwrap();
    let cc =
        |words: &[&str]| tools::run(Command::new("musl-gcc").current_dir(&directory).args(words)).unwrap();
    cc(&["-shared", "-fPIC", "-o", "libnumber.so", "l.c"]);
    cc(&["-o", "program", "p.c", "-L.", "-lnumber", "-Wl,-rpath,$ORIGIN"]);
    let program = directory.join("program");
    let summary = packed(&place, &["m/program"]);
    let names: Vec<String> = kept(&summary).into_iter().map(|(path, _)| path).collect();
    let here = |name: &str| directory.join(name).to_str().unwrap()[1..].to_string();
    let mut expected = vec![
        "etc/ld-musl-x86_64.path".to_string(),
        "lib/ld-musl-x86_64.so.1".to_string(),
        here("libnumber.so"),
        here("program"),
    ];
    expected.sort();
    assert_eq!(names, expected);
    let root = unpacked(&place, &["--host", "m/program"]);
    let run = run_in(&root, &[program.to_str().unwrap()]);
    assert_eq!(String::from_utf8_lossy(&run.stdout), "42\n", "{run:?}");

    fs::remove_file(directory.join("libnumber.so")).unwrap();
    for (arguments, said) in [
        (&["m/program"][..], "1 needed file is missing\n  libnumber.so, for "),
        (&["m/l.c"], "it is neither a program nor a script"),
        (&["m"], "it is no regular file"),
        (&["m/none"], "cannot pack m/none"),
    ] {
        let failed = place.run(&[&["pack", "-o", "no.tar", "--host"], arguments].concat());
        assert!(failed.code == Some(1) && failed.err.contains(said), "{arguments:?}: {}", failed.err);
        assert!(!place.path("no.tar").exists());
    }
    for arguments in
        [&["image", "--host", "m/program"][..], &["--host", "m/program", "--entrypoint-closure"], &[]]
    {
        assert_eq!(place.run(&[&["pack"], arguments].concat()).code, Some(2), "{arguments:?}");
    }
}
