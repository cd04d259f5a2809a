//! `unlade completions` and `man`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueHint};

/// Print a completion script for a shell
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Example:\n  unlade completions bash > ~/.local/share/bash-completion/completions/unlade"
)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

/// Write the man pages into a directory
#[derive(Debug, ClapArgs)]
pub(crate) struct Man {
    /// The directory
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) directory: PathBuf,
}
