//! Measures unlade against other programs and against the floor: whole processes, pairwise, in turns.
//!
//! docs/benchmarks.md says what is measured and how to read it; `--write` puts the figures there.

mod contender;
mod cost;
mod disk;
mod duel;
mod floor;
mod machine;
mod place;
mod report;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;

use testkit::registry::debian::Server;
use testkit::{corpus, tools};

use self::cost::Cost;
use self::duel::{Bout, DUELS, Duel};
use self::floor::Round;
use self::machine::Machine;
use self::place::Place;
use crate::shell::{cargo, run as finish, step};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The image of the corpus
    #[arg(long, default_value = "node")]
    image: String,
    /// How often each pair runs
    #[arg(long, value_name = "N", default_value_t = 5)]
    runs: usize,
    /// Only pairs in which a contender's name holds this (repeatable)
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// The program to measure, instead of building it from here
    #[arg(long, value_name = "PROGRAM")]
    unlade: Option<PathBuf>,
    /// Let the floor also try ISA-L, zlib-ng and OpenSSL, which need more tools to be built
    #[arg(long)]
    more_libraries: bool,
    /// Make a directory `bench-runs` here for the files; what matters is the filesystem
    #[arg(long, value_name = "DIR")]
    work: Option<PathBuf>,
    /// Do not measure how much space is taken in between
    #[arg(long)]
    no_scratch: bool,
    /// Put the figures into docs/benchmarks.md
    #[arg(long)]
    write: bool,
}

/// Where the registry has the image.
const REPOSITORY: &str = "benchmark";

/// All that was measured.
struct Measured {
    machine: Machine,
    image: Subject,
    /// unlade and the floor in turns.
    rounds: Vec<Round>,
    /// Every run of a contender, whoever it ran against.
    costs: BTreeMap<&'static str, Vec<Cost>>,
    bouts: Vec<Bout>,
    /// What a contender took of the disk.
    disk: BTreeMap<&'static str, disk::Use>,
}

/// What is built.
struct Subject {
    name: String,
    files: u64,
}

pub(crate) fn run(options: &Options) -> io::Result<()> {
    if !tools::is_root() {
        return Err(io::Error::other(
            "umoci unpacks with owners, and the disk is measured on one of its own: root",
        ));
    }
    let duels: Vec<&'static Duel> = DUELS.iter().filter(|duel| duel.is_wanted(&options.only)).collect();
    step("build", || build(options))?;

    let work = options.work.clone().unwrap_or_else(corpus::target).join("bench-runs");
    let unlade = options.unlade.clone().unwrap_or_else(|| corpus::target().join("release/unlade"));
    let layout = corpus::layout(&options.image);
    let room = Place::new(&work, &unlade, &layout)?;
    let registry = Server::start("", tempfile::tempdir_in(&room.work)?)?;
    registry.put(&room.layout, REPOSITORY, &[])?;
    let remote = format!("{}:latest", registry.name(REPOSITORY));

    let first = floor::sample(&room)?;
    let room = room.with_size_for(first.expanded_bytes);
    let contenders = contender::all(&room, &remote);
    let find = |name: &str| {
        contenders
            .iter()
            .find(|contender| contender.name == name)
            .ok_or_else(|| io::Error::other(name.to_string()))
    };

    let rounds = floor::race(&room, find(duel::COLD)?, find(duel::WARM)?, options.runs)?;
    let mut costs: BTreeMap<&'static str, Vec<Cost>> = BTreeMap::new();
    for round in &rounds {
        costs.entry(duel::COLD).or_default().push(round.cold);
        costs.entry(duel::WARM).or_default().push(round.warm);
    }
    let mut bouts = Vec::new();
    for duel in duels {
        let bout = duel::fight(duel, find(duel.ours)?, find(duel.theirs)?, options.runs)?;
        for (our, their) in &bout.runs {
            costs.entry(duel.ours).or_default().push(*our);
            costs.entry(duel.theirs).or_default().push(*their);
        }
        bouts.push(bout);
    }
    let image = Subject { name: options.image.clone(), files: place::files(&room)? };
    let disk = match options.no_scratch {
        true => BTreeMap::new(),
        false => disk::measure(&room, &remote, &costs.keys().copied().collect::<Vec<_>>())?,
    };
    drop(registry);
    fs::remove_dir_all(&work)?;

    let measured = Measured { machine: Machine::look(&corpus::target())?, image, rounds, costs, bouts, disk };
    let text = report::markdown(&measured, &command(options));
    println!("\n{text}");
    if options.write { report::write(&text) } else { Ok(()) }
}

fn build(options: &Options) -> io::Result<()> {
    if options.unlade.is_none() {
        finish(cargo().args(["build", "--release", "--locked", "--quiet", "--package", "unlade"]))?;
    }
    let bench = corpus::workspace().join("bench");
    finish(cargo().current_dir(&bench).args(["build", "--release", "--locked", "--quiet"]))?;
    if options.more_libraries {
        let features = ["--features", "isal,zlib-ng,openssl"];
        let floor = ["build", "--release", "--locked", "--quiet", "--package", "bench-floor"];
        finish(cargo().current_dir(&bench).args(floor).args(features))?;
    }
    Ok(())
}

/// The command that gives the same figures.
fn command(options: &Options) -> String {
    let more = if options.more_libraries { " --more-libraries" } else { "" };
    format!("cargo xtask bench --image {} --runs {}{more}", options.image, options.runs)
}
