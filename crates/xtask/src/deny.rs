//! cargo-deny: licences, sources, duplicate versions and known faults of the dependencies.

use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use testkit::{corpus, tools};

use crate::shell::{self, cargo};

pub(crate) fn run() -> io::Result<()> {
    install()?;
    shell::run(cargo_deny()?.args(["check", "licenses", "bans", "sources"]))?;

    // The advisory database is a git repository that not every machine reaches.
    let mut fetch = Command::new("timeout");
    fetch.arg("60").arg(program()?).args(["fetch", "db"]).current_dir(corpus::workspace());
    if fetch.stdout(Stdio::null()).stderr(Stdio::null()).status()?.success() {
        shell::run(cargo_deny()?.args(["check", "advisories"]))
    } else {
        eprintln!("warning: ADVISORIES WERE NOT CHECKED: the database is out of reach from here");
        Ok(())
    }
}

/// Builds cargo-deny unless it is there. Unoptimised: it runs for a second, and takes minutes to optimise.
pub(crate) fn install() -> io::Result<()> {
    if program().is_ok() {
        println!("all there");
        return Ok(());
    }
    let unoptimised =
        [("OPT_LEVEL", "0"), ("LTO", "off"), ("CODEGEN_UNITS", "16"), ("DEBUG", "0"), ("STRIP", "true")];
    let mut install = cargo();
    install.args(["install", "cargo-deny", "--locked", "--quiet", "--root"]).arg(tools::directory());
    install.arg("--target-dir").arg(tools::directory().join("build"));
    install.envs(unoptimised.map(|(key, value)| (format!("CARGO_PROFILE_RELEASE_{key}"), value)));
    shell::run(&mut install)?;
    std::fs::remove_dir_all(tools::directory().join("build"))
}

fn cargo_deny() -> io::Result<Command> {
    let mut command = Command::new(program()?);
    command.current_dir(corpus::workspace()).args(["--all-features", "--locked"]);
    Ok(command)
}

fn program() -> io::Result<PathBuf> {
    tools::find("cargo-deny").ok_or_else(|| io::Error::other("cargo-deny is not installed"))
}
