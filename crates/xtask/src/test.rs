//! Everything that has to hold before a change lands; what the README names, and CI runs.

use std::env;
use std::io;
use std::time::Instant;

use testkit::tools;

use crate::shell::{self, cargo, step};
use crate::{corpus, deny, fuzz, lint, setup};

pub(crate) fn run() -> io::Result<()> {
    let start = Instant::now();
    setup::run()?;
    lint::run()?;
    step("cargo deny", deny::run)?;
    step("corpus", corpus::everyday)?;
    step("cargo test, compiling", || tests(&["--no-run", "--quiet"]))?;
    step("cargo test", || tests(&[]))?;
    step("fuzz", || fuzz::fuzz(&fuzz::TARGETS, fuzz::SHORT))?;
    println!("\nevery check and every test passed in {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// The judges mount file systems and unpack with owners, so the tests run as root; those that are about
/// an unprivileged user become one by themselves.
fn tests(arguments: &[&str]) -> io::Result<()> {
    let mut test = cargo();
    test.args(["test", "--workspace", "--locked"]).args(arguments);
    if !tools::is_root() {
        let runner = format!("CARGO_TARGET_{}_UNKNOWN_LINUX_GNU_RUNNER", env::consts::ARCH.to_uppercase());
        test.env(runner, "sudo --preserve-env");
    }
    shell::run(&mut test)
}
