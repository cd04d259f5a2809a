//! Everything that has to hold before a change lands; what the README names, and CI runs.

use std::io;
use std::time::Instant;

use crate::shell::step;
use crate::{corpus, deny, fuzz, lint, setup, suite};

pub(crate) fn run() -> io::Result<()> {
    let start = Instant::now();
    setup::run()?;
    lint::run()?;
    step("cargo deny", deny::run)?;
    step("corpus", corpus::everyday)?;
    suite::run()?;
    step("fuzz", || fuzz::fuzz(&fuzz::TARGETS, fuzz::SHORT))?;
    println!("\nevery check and every test passed in {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}
