//! `unlade completions`, and the hidden `unlade man`: made from the same definitions as the help.

use std::fs;
use std::io;

use clap::CommandFactory;

use super::Outcome;
use crate::args::{Args, Completions, Man};
use crate::terminal::unanswered;

/// Prints a completion script.
pub(crate) fn completions(command: &Completions) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(command.shell, &mut Args::command(), "unlade", &mut script);
    io::Write::write_all(&mut io::stdout(), &script).map_err(unanswered)?;
    Ok(())
}

/// Writes `unlade.1`, `unlade-build.1` and so on.
pub(crate) fn man(command: &Man) -> Outcome {
    fs::create_dir_all(&command.directory)?;
    clap_mangen::generate_to(Args::command(), &command.directory)?;
    Ok(())
}
