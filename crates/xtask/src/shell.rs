//! Running other programs: as they are, or as root.

use std::env;
use std::ffi::OsString;
use std::io;
use std::process::Command;
use std::time::Instant;

use testkit::corpus::workspace;
use testkit::tools;

/// The cargo that runs this task.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.current_dir(workspace());
    command
}

/// A command that runs as root: as it is for root, else through sudo.
pub(crate) fn as_root(program: &str) -> io::Result<Command> {
    if tools::is_root() {
        return Ok(Command::new(program));
    }
    let sudo = tools::find("sudo").ok_or_else(|| {
        io::Error::other(format!("{program} has to run as root: run this as root or install sudo"))
    })?;
    let mut command = Command::new(sudo);
    command.arg(program);
    Ok(command)
}

/// Runs with the terminal's output; anything but success is an error.
pub(crate) fn run(command: &mut Command) -> io::Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.status().map_err(|error| io::Error::other(format!("{program}: {error}")))?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("{program}: {status}"))) }
}

/// Does one step of a task under a heading, and says how long it took.
pub(crate) fn step(name: &str, work: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    println!("\n== {name}");
    let start = Instant::now();
    work().map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))?;
    println!("== {name}: {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}
