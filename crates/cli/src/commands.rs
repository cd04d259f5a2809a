//! One module for each command.

mod build;
mod cat;
mod completions;
mod composefs;
mod copy;
mod diff;
mod dump;
mod export;
mod fsck;
mod gc;
mod history;
mod images;
mod inspect;
mod login;
mod ls;
mod named;
mod pack;
mod pull;
mod push;
mod shared;
mod tag;

use std::error::Error;

use crate::args::{Args, Command};

/// What a command gives: nothing, or a chain of errors.
pub(crate) type Outcome = Result<(), Box<dyn Error>>;

/// Does what the arguments say.
pub(crate) fn run(args: Args) -> Outcome {
    match args.command {
        Command::Build(command) => build::run(&args.common, &command),
        Command::Pull(command) => pull::run(&args.common, &command),
        Command::Copy(command) => copy::run(&args.common, &command),
        Command::Push(command) => push::run(&args.common, &command),
        Command::Inspect(command) => inspect::run(&args.common, &command),
        Command::Ls(command) => ls::run(&args.common, &command),
        Command::Cat(command) => cat::run(&args.common, &command),
        Command::Diff(command) => diff::run(&args.common, &command),
        Command::Export(command) => export::run(&args.common, &command),
        Command::Pack(command) => pack::run(&args.common, &command),
        Command::Dump(command) => dump::run(&command),
        Command::Login(command) => login::login(&args.common, &command),
        Command::Logout(command) => login::logout(&args.common, &command),
        Command::Images(command) => images::run(&args.common, &command),
        Command::Tag(command) => tag::tag(&args.common, &command),
        Command::Rm(command) => tag::rm(&args.common, &command),
        Command::History(command) => history::run(&args.common, &command),
        Command::Gc(command) => gc::run(&args.common, &command),
        Command::Fsck(command) => fsck::run(&args.common, &command),
        Command::Composefs(command) => composefs::run(&args.common, &command.command),
        Command::Completions(command) => completions::completions(&command),
        Command::Man(command) => completions::man(&command),
    }
}
