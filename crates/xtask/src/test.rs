//! Everything that has to hold before a change lands; what the README names, and CI runs.

use std::io;
use std::thread;
use std::time::Instant;

use crate::shell::step;
use crate::{corpus, deny, fuzz, lint, setup, suite};

pub(crate) fn run() -> io::Result<()> {
    let start = Instant::now();
    // What is fetched and unpacked leaves processors to what is compiled.
    let tests = thread::scope(|scope| {
        let made = scope.spawn(|| {
            setup::run()?;
            step("corpus", corpus::everyday)
        });
        let compiled = lint::run().and_then(|()| suite::compile());
        made.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).and(compiled)
    })?;
    step("cargo deny", deny::run)?;
    suite::run(tests)?;
    step("fuzz", || fuzz::fuzz(&fuzz::TARGETS, fuzz::SHORT))?;
    println!("\nevery check and every test passed in {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}
