//! Other hosts: builds unlade for them on this machine, and runs what was built, emulated where need be.
//!
//! Everything comes from Debian: a compiler with the standard library's source, linkers, an emulator. So nothing depends
//! on what a rustup happens to have.

mod aarch64;
mod alike;
mod musl;
mod windows;

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::corpus::{self, workspace};

use crate::shell::{self, step};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The host
    host: Host,
    /// What is to be done for it
    #[arg(default_value = "build")]
    task: Task,
    /// More arguments for cargo, `--package unlade-tree` for one; a test takes the crates that are known to pass without
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Host {
    /// Linux on ARM: aarch64-unknown-linux-gnu, run by QEMU
    Aarch64,
    /// Linux without a C library of its own: x86_64-unknown-linux-musl, static
    Musl,
    /// Windows: x86_64-pc-windows-gnu, run by Wine
    Windows,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Task {
    /// Let the compiler look
    Check,
    /// Build the command, and compare what it makes of an image with what this machine's makes
    Build,
    /// Run tests
    Test,
}

/// Where Debian's compiler is; one of rustup's has none of its libraries.
const CARGO: &str = "/usr/bin/cargo";

/// What a host needs.
struct Toolchain {
    target: &'static str,
    /// Cargo with everything set but the subcommand.
    cargo: Command,
    /// What the program's name ends in.
    suffix: &'static str,
    /// What runs the host's programs, where this machine's kernel does not.
    runner: Vec<String>,
    /// Crates whose tests pass there.
    tested: &'static [&'static str],
    /// Tests of theirs that are left out.
    skipped: &'static [&'static str],
}

pub(crate) fn run(options: &Options) -> io::Result<()> {
    let mut toolchain = None;
    step("what it takes", || {
        toolchain = Some(match options.host {
            Host::Aarch64 => aarch64::toolchain()?,
            Host::Musl => musl::toolchain()?,
            Host::Windows => windows::toolchain()?,
        });
        Ok(())
    })?;
    let Some(mut toolchain) = toolchain else { return Ok(()) };
    let place = corpus::target().join("host").join(toolchain.target);
    let (tested, skipped) = (toolchain.tested, toolchain.skipped);
    let mut cargo = |task: &str, before: &[&str], behind: &[&str]| {
        toolchain
            .cargo
            .arg(task)
            .args(["--locked", "--target", toolchain.target, "--target-dir"])
            .arg(&place);
        shell::run(toolchain.cargo.args(before).args(&options.arguments).args(behind))
    };
    match options.task {
        Task::Check => step("cargo check", || cargo("check", &[], &[])),
        Task::Build => {
            step("cargo build", || cargo("build", &["--package", "unlade"], &[]))?;
            let release = options.arguments.iter().any(|argument| matches!(&**argument, "--release" | "-r"));
            let profile = if release { "release" } else { "debug" };
            let program =
                place.join(toolchain.target).join(profile).join(format!("unlade{}", toolchain.suffix));
            if matches!(options.host, Host::Musl) {
                step("static", || musl::check_static(&program))?;
            }
            step("the same bytes", || alike::check(&program, &toolchain.runner))
        }
        Task::Test => step("cargo test", || {
            let mut scope = vec!["--no-fail-fast"];
            if !options
                .arguments
                .iter()
                .any(|argument| argument.starts_with("-p") || argument.starts_with("--package"))
            {
                scope.extend(tested.iter().flat_map(|name| ["--package", *name]));
            }
            let mut behind = vec!["--"];
            behind.extend(skipped.iter().flat_map(|name| ["--skip", *name]));
            // Whoever has something to say to the tests chooses himself.
            let chooses = options.arguments.iter().any(|argument| argument == "--");
            cargo("test", &scope, if chooses || skipped.is_empty() { &[] } else { &behind })
        }),
    }
}

/// Debian's cargo, which builds the standard library, too. A released compiler does that only if it is told to be none.
fn with_library() -> Command {
    let mut command = debian(Command::new(CARGO));
    command.env("RUSTC_BOOTSTRAP", "1").arg("-Zbuild-std");
    command
}

/// A command that ends in Debian's cargo, and knows nothing of the one that runs this task.
fn debian(mut command: Command) -> Command {
    command.current_dir(workspace());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO") || text.starts_with("RUST") || text == "LD_LIBRARY_PATH" {
            command.env_remove(&name);
        }
    }
    if let Some(home) = std::env::var_os("CARGO_HOME") {
        command.env("CARGO_HOME", home);
    }
    command.env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin").env("RUSTC", "/usr/bin/rustc");
    command.env("RUSTDOC", "/usr/bin/rustdoc");
    command
}

/// Where things lie that are neither installed nor built by cargo.
fn directory(host: &str) -> PathBuf {
    testkit::tools::directory().join("host").join(host)
}

/// `CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER` and the like.
fn variable(target: &str, what: &str) -> String {
    format!("CARGO_TARGET_{}_{what}", target.replace('-', "_").to_uppercase())
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
