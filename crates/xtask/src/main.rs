//! Tasks of the repository: `cargo xtask TASK`. One file per task.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a task talks to the person who runs it")]

mod archives;
mod bench;
mod boot;
mod cfsctl;
mod corpus;
mod demo;
mod deny;
mod fuzz;
mod host;
mod judge;
mod kernel;
mod lint;
mod listing;
mod package;
mod setup;
mod shell;
mod suite;
mod test;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Tasks of the repository")]
enum Task {
    /// Do the main job on a tiny image that is made here, offline
    Demo,
    /// Install what the tests need, then run every check and every test
    Test,
    /// Install what the tests need: Debian's packages, cargo-deny, a kernel to boot
    Setup,
    /// Check format, clippy and the documentation
    Lint,
    /// Check licences, sources, duplicate versions and advisories of the dependencies
    Deny,
    /// Make the real images that tests and benchmarks use
    Corpus(corpus::Options),
    /// Build every image and compare the files with another unpacker's (root)
    Judge(judge::Options),
    /// Build composefs's own tools (half an hour), compare with them, and renew what is kept of their results
    Cfsctl(cfsctl::Options),
    /// List all that a directory tree holds, one name per line
    ManifestOf {
        /// The root of the tree
        directory: PathBuf,
    },
    /// Say in what two rootfs differ: directories, .tar or .ext4 files (root)
    Compare {
        /// One
        left: PathBuf,
        /// The other
        right: PathBuf,
    },
    /// Build for another host, and run what was built: static musl, aarch64, Windows
    Host(host::Options),
    /// Unpack Debian's cloud kernel for the boot tests
    FetchKernel,
    /// Send strangers' inputs to what reads them, guided by coverage
    Fuzz(fuzz::Options),
    /// Measure unlade against other programs and against the floor (root)
    Bench(bench::Options),
    /// Boot an ext4 rootfs under QEMU and print what its console says
    Boot(boot::Options),
}

fn main() -> ExitCode {
    let done = match Task::parse() {
        Task::Demo => demo::run(),
        Task::Test => test::run(),
        Task::Setup => setup::run(),
        Task::Lint => lint::run(),
        Task::Deny => deny::run(),
        Task::Corpus(options) => corpus::run(&options),
        Task::Judge(options) => judge::run(&options),
        Task::Cfsctl(options) => cfsctl::run(&options),
        Task::ManifestOf { directory } => listing::print(&directory),
        Task::Compare { left, right } => listing::compare(&left, &right),
        Task::Host(options) => host::run(&options),
        Task::FetchKernel => kernel::run(),
        Task::Fuzz(options) => fuzz::run(&options),
        Task::Bench(options) => bench::run(&options),
        Task::Boot(options) => boot::run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // A reader that has seen enough, as in `cargo xtask manifest-of DIR | head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}
