//! What composefs's own tools make of the same input. Building them takes about half an hour, so it is no part of
//! `cargo xtask test`: their results are kept, and the tests compare with those.

use std::fmt::Write;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;
use testkit::corpus::workspace;
use testkit::dumps;
use testkit::tools;

use crate::shell::{self, cargo, step};

/// The published crate whose program all of composefs's tools are links to.
const PACKAGE: &str = "composefs-ctl@0.9.4";

/// How many random trees are compared here, and of how many the results are kept.
const TREES: u64 = 400;
const KEPT: u64 = 60;

#[derive(Args)]
pub(crate) struct Options {
    /// Use this cfsctl instead of building one
    #[arg(long, value_name = "FILE")]
    cfsctl: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> io::Result<()> {
    let cfsctl = match &options.cfsctl {
        Some(given) => fs::canonicalize(given)?,
        None => built()?,
    };
    let links = tempfile::tempdir()?;
    let mkcomposefs = links.path().join("mkcomposefs");
    std::os::unix::fs::symlink(&cfsctl, &mkcomposefs)?;
    step("images of random trees", || random(&mkcomposefs))?;
    step("comparing", || {
        shell::run(cargo().args(["test", "-p", "unlade-erofs", "--test", "composefs"]))?;
        // One after the other: the first renews what the second compares with.
        let judge = ["test", "-p", "unlade", "--test", "composefs", "--", "--ignored"];
        shell::run(cargo().env("CFSCTL", &cfsctl).env("UPDATE_GOLDENS", "1").args(judge))?;
        shell::run(cargo().args(["test", "-p", "unlade", "--test", "composefs"]))
    })
}

/// Where the program is, once it was built.
pub(crate) fn program() -> PathBuf {
    root().join("bin/cfsctl")
}

fn root() -> PathBuf {
    tools::directory().join("composefs-ctl")
}

/// The program, built first if it is not there.
fn built() -> io::Result<PathBuf> {
    let (root, program) = (root(), program());
    if !program.is_file() {
        step("building cfsctl", || {
            shell::run(cargo().args(["install", "--locked", PACKAGE, "--root"]).arg(&root))
        })?;
    }
    Ok(program)
}

/// Renews the kept digests of images of random trees, after all of them were compared.
fn random(mkcomposefs: &Path) -> io::Result<()> {
    let golden = workspace().join("crates/erofs/tests/goldens/composefs-random.txt");
    let digests = |trees: u64| -> io::Result<String> {
        let mut lines = String::new();
        for seed in 0..trees {
            let text = dumps::random(seed);
            for version in ["0", "1"] {
                let digest = digest(mkcomposefs, &text, version)?;
                let _ = writeln!(lines, "{seed} {version} {}", digest.trim());
            }
        }
        Ok(lines)
    };
    fs::write(&golden, digests(TREES)?)?;
    shell::run(cargo().args(["test", "-p", "unlade-erofs", "--test", "composefs", "bytes_of_the_tools"]))?;
    let kept: String = fs::read_to_string(&golden)?.split_inclusive('\n').take(2 * KEPT as usize).collect();
    fs::write(&golden, kept)
}

/// The digest of the image that `mkcomposefs` makes of a text.
fn digest(mkcomposefs: &Path, text: &str, version: &str) -> io::Result<String> {
    let mut command = Command::new(mkcomposefs);
    command.args(["--from-file", "--print-digest-only", "--min-version", version, "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(text.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        String::from_utf8(output.stdout).map_err(io::Error::other)
    } else {
        Err(io::Error::other(format!("mkcomposefs: {}", output.status)))
    }
}
