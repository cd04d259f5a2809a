//! The tests of all crates: what `cargo test --workspace` runs, as many programs at a time as there are processors. Many
//! tests wait for a disk or for one another, and leave a processor idle if they are run one after the other.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use serde_json::Value;
use testkit::tools;

use crate::shell::{self, cargo, step};

/// Those that take longest, which would be run alone if they came last.
const FIRST: [&str; 11] = [
    "catalogue",
    "differential",
    "images",
    "compressed",
    "registry",
    "looking",
    "archives",
    "faults",
    "boot",
    "clean",
    "pack",
];

/// Those that measure, and want nothing beside them.
const ALONE: [&str; 1] = ["resources"];

/// A program with tests.
pub(crate) struct Tests {
    name: String,
    program: PathBuf,
    /// Where its package is; there it runs.
    package: PathBuf,
}

/// Compiles everything, and says which programs have tests.
pub(crate) fn compile() -> io::Result<Vec<Tests>> {
    let mut tests = Vec::new();
    step("cargo test, compiling", || {
        tests = compiled()?;
        Ok(())
    })?;
    Ok(tests)
}

/// Runs them, and the tests in the documentation.
pub(crate) fn run(tests: Vec<Tests>) -> io::Result<()> {
    let (alone, mut together): (Vec<Tests>, Vec<Tests>) =
        tests.into_iter().partition(|tests| ALONE.contains(&&*tests.name));
    together.sort_by_key(|tests| FIRST.iter().position(|first| *first == tests.name).unwrap_or(FIRST.len()));
    step("tests", || {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        run_all(together, processors)?;
        run_all(alone, 1)
    })?;
    step("tests in documentation", || {
        shell::run(cargo().args(["test", "--workspace", "--locked", "--quiet", "--doc"]))
    })
}

fn compiled() -> io::Result<Vec<Tests>> {
    let mut compile = cargo();
    compile.args(["test", "--workspace", "--locked", "--no-run", "--quiet"]);
    compile.args(["--message-format", "json-render-diagnostics"]).stderr(Stdio::inherit());
    let done = compile.output()?;
    if !done.status.success() {
        return Err(io::Error::other(format!("cargo test --no-run: {}", done.status)));
    }
    let mut found = Vec::new();
    for line in done.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let message: Value = serde_json::from_slice(line)?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let (Some(program), Some(name), Some(manifest)) =
            (text(&message["executable"]), text(&message["target"]["name"]), text(&message["manifest_path"]))
        else {
            continue;
        };
        if message["profile"]["test"] == true {
            let package = Path::new(&manifest).parent().unwrap_or(Path::new(".")).into();
            found.push(Tests { name, program: program.into(), package });
        }
    }
    Ok(found)
}

/// Runs programs, some at a time. All are run, whatever fails.
fn run_all(tests: Vec<Tests>, at_once: usize) -> io::Result<()> {
    let left = Mutex::new(VecDeque::from(tests));
    let failed = Mutex::new(Vec::new());
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while let Some(tests) = next() {
                    if let Err(error) = one(&tests) {
                        let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                        failed.push(format!("{}: {error}", tests.name));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    if failed.is_empty() { Ok(()) } else { Err(io::Error::other(failed.join("\n"))) }
}

/// Runs one program, and shows what it said if it failed, else how many tests passed.
fn one(tests: &Tests) -> io::Result<()> {
    let start = Instant::now();
    // The judges mount filesystems and unpack with owners, so the tests run as root; those that are about an unprivileged
    // user become one by themselves.
    let mut command = if tools::is_root() {
        Command::new(&tests.program)
    } else {
        let mut sudo = shell::as_root("--preserve-env")?;
        sudo.arg(&tests.program);
        sudo
    };
    let done = command.current_dir(&tests.package).stdin(Stdio::null()).output()?;
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    if !done.status.success() {
        print!("\n{}: {}\n{out}{err}", tests.program.display(), done.status);
        return Err(io::Error::other(done.status.to_string()));
    }
    let result = out.lines().rfind(|line| line.starts_with("test result")).unwrap_or_default();
    let passed =
        result.trim_start_matches("test result: ok. ").split("; finished").next().unwrap_or_default();
    let package = tests.package.file_name().unwrap_or_default().to_string_lossy();
    println!("{:6.1} s  {package} {}: {passed}", start.elapsed().as_secs_f64(), tests.name);
    Ok(())
}
