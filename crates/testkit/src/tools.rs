//! Other people's programs, which make our images and judge our output.
//!
//! A missing program fails: a check that skips itself in silence is worth nothing.

use std::env;
use std::io;
use std::path::PathBuf;
use std::process::Command;

use crate::corpus;

/// Where `cargo xtask setup` puts what it does not install into the system: `tools` in the target
/// directory.
pub fn directory() -> PathBuf {
    corpus::target().join("tools")
}

/// Where `name` is installed: on `PATH`, where Debian keeps root's programs, or in [`directory`].
pub fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into(), directory().join("bin")])
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
}

/// A command for `name`, ready for arguments.
///
/// # Panics
///
/// When the program is not installed; the message says what installs it.
#[allow(clippy::panic, reason = "a test without its judge has failed")]
pub fn command(name: &str) -> Command {
    match find(name) {
        Some(program) => Command::new(program),
        None => panic!("{name} is not installed; `cargo xtask setup` installs what the tests need"),
    }
}

/// Runs to the end and returns the standard output; anything but success is an error with what was said.
pub fn run(command: &mut Command) -> io::Result<Vec<u8>> {
    let output = command.output().map_err(|error| io::Error::other(format!("{command:?}: {error}")))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(io::Error::other(format!(
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )))
}

/// Whether this process may mount and own everything.
pub fn is_root() -> bool {
    #[cfg(unix)]
    let root = std::path::Path::new("/proc/self")
        .metadata()
        .is_ok_and(|metadata| std::os::unix::fs::MetadataExt::uid(&metadata) == 0);
    #[cfg(not(unix))]
    let root = false;
    root
}
