//! Turns OCI images into root filesystems: the command.
//!
//! A thin shell: arguments become calls, what they return becomes text or JSON, errors become exit codes.
//! Standard output answers, standard error talks.

mod args;
mod commands;
mod duration;
mod exit;
mod interrupt;
mod password;
mod progress;
mod random_access;
mod render;
mod size;
mod template;
mod terminal;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(error) => return usage(error),
    };
    interrupt::clean_up_on_signal();
    match commands::run(args) {
        Ok(()) => exit::Code::Done.into(),
        Err(failure) => {
            render::failure(&*failure).iter().for_each(|line| terminal::tell(line));
            exit::Code::of(&*failure).into()
        }
    }
}

/// Shows the help that was asked for, or what is wrong with the arguments.
fn usage(error: clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let _ = error.print();
        return exit::Code::Done.into();
    }
    // They are quoted, may be a stranger's words, and so are made visible first: the same is wrong with them.
    let arguments = std::env::args_os().map(|argument| terminal::visible(&argument.to_string_lossy()));
    let error = args::Args::try_parse_from(arguments).err().unwrap_or(error);
    error.render().to_string().trim_end().lines().for_each(terminal::tell);
    exit::Code::Usage.into()
}
