//! Coverage-guided fuzzing: builds the targets of `fuzz/`, seeds them and runs them. docs/fuzzing.md says what
//! each of them holds.

mod seeds;

use std::collections::VecDeque;
use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use clap::Args;
use testkit::corpus::{target, workspace};

use crate::shell::{self, cargo};

/// The targets, in the order in which the data flows.
pub(crate) const TARGETS: [&str; 11] = [
    "reference",
    "documents",
    "challenge",
    "store",
    "layer",
    "apply",
    "ext4",
    "erofs",
    "dump",
    "composefs",
    "elf",
];

/// Seconds of a run among the other tests.
pub(crate) const SHORT: u32 = 5;

/// Most memory that one input may take, in MiB: far above what the limits of the targets allow.
const MEMORY_MAX: u32 = 1024;

/// Most seconds that one input may take. They take milliseconds, on a machine that does something else, too.
const INPUT_SECONDS_MAX: u32 = 20;

#[derive(Args)]
pub(crate) struct Options {
    /// Which targets; all if none is named
    #[arg(value_parser = TARGETS)]
    targets: Vec<String>,
    /// How long each of them runs
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

pub(crate) fn run(options: &Options) -> io::Result<()> {
    let named: Vec<&str> = options.targets.iter().map(String::as_str).collect();
    fuzz(if named.is_empty() { &TARGETS } else { &named }, options.seconds)
}

/// Builds and runs targets, as many at once as there are processors.
pub(crate) fn fuzz(targets: &[&str], seconds: u32) -> io::Result<()> {
    shell::step("cargo build (fuzz)", build)?;
    let left = Mutex::new(targets.iter().copied().collect::<VecDeque<_>>());
    let next = || left.lock().ok()?.pop_front();
    let work = || {
        let mut found = Vec::new();
        while let Some(target) = next() {
            let result = one(target, seconds);
            found.extend(result.err().map(|error| format!("{target}: {error}")));
        }
        found
    };
    let found: Vec<String> = thread::scope(|scope| {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let threads: Vec<_> = (0..processors).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap_or_else(|_| vec!["panicked".into()]))
            .collect()
    });
    if found.is_empty() { Ok(()) } else { Err(io::Error::other(found.join("\n"))) }
}

/// The flags that count coverage stand in `fuzz/.cargo/config.toml`, which others would replace.
fn build() -> io::Result<()> {
    let mut build = cargo();
    build.args(["build", "--release", "--locked", "--quiet"]).current_dir(workspace().join("fuzz"));
    build.arg("--target-dir").arg(place("")).env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    shell::run(&mut build)
}

/// Runs one target, from the seeds and from what earlier runs added to them.
fn one(target: &str, seconds: u32) -> io::Result<()> {
    let (seeds, corpus, finds) = (place("seeds"), place("corpus"), place("finds"));
    let [seeds, corpus, finds] = [seeds, corpus, finds].map(|place| place.join(target));
    for directory in [&corpus, &finds, &place("logs")] {
        fs::create_dir_all(directory)?;
    }
    seeds::write(target, &seeds)?;
    let log = place("logs").join(target);
    let mut fuzz = Command::new(program(target));
    fuzz.args([&corpus, &seeds]).arg(format!("-artifact_prefix={}/", finds.display()));
    fuzz.arg(format!("-max_total_time={seconds}")).arg(format!("-rss_limit_mb={MEMORY_MAX}"));
    // The store's target makes files too large on purpose, and wants to be told by the system, not to be stopped.
    fuzz.arg(format!("-timeout={INPUT_SECONDS_MAX}")).args(["-max_len=16384", "-handle_xfsz=0"]);
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        fuzz.env("TMPDIR", memory);
    }
    let status =
        fuzz.stdout(File::create(&log)?).stderr(File::options().append(true).open(&log)?).status()?;
    let said = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    if status.success() {
        let summary = said.lines().rfind(|line| line.contains("DONE")).unwrap_or_default();
        println!("{target}: {}", summary.trim_start_matches('#'));
        return Ok(());
    }
    let artifact = said.lines().filter_map(|line| line.split_once("Test unit written to ")).next_back();
    let again = artifact.map_or(String::new(), |(_, file)| {
        format!("\nagain: (cd fuzz && cargo run --release --bin {target} -- {file})")
    });
    Err(io::Error::other(format!("{status}; all it said is in {}\n{}{again}", log.display(), tail(&said))))
}

/// Where `cargo build` puts a target.
fn program(target: &str) -> PathBuf {
    place(&format!("{}-unknown-linux-gnu/release", env::consts::ARCH)).join(target)
}

fn place(name: &str) -> PathBuf {
    target().join("fuzz").join(name)
}

/// The end of a log, without the bytes of the input.
fn tail(said: &str) -> String {
    let lines: Vec<&str> = said.lines().filter(|line| line.len() < 400).collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
