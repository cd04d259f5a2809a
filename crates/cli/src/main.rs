//! Turns OCI images into root filesystems: the command.
//!
//! A thin shell: arguments become calls, what they return becomes text or JSON, errors become exit codes.
//! Standard output answers, standard error talks.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command prints")]

mod args;
mod commands;
mod exit;
mod interrupt;
mod progress;
mod render;
mod size;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let args = args::Args::parse();
    interrupt::clean_up_on_signal();
    match commands::run(args) {
        Ok(()) => exit::Code::Done.into(),
        Err(failure) => {
            if let Some(text) = render::failure(&*failure) {
                eprintln!("{text}");
            }
            exit::Code::of(&*failure).into()
        }
    }
}
