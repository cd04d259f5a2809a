//! Format, clippy and documentation, each without a warning.

use std::io;

use crate::shell::{self, cargo, step};

pub(crate) fn run() -> io::Result<()> {
    step("cargo fmt", || shell::run(cargo().args(["fmt", "--all", "--check"])))?;
    step("cargo clippy", || {
        let scope = ["clippy", "--workspace", "--all-targets", "--locked", "--quiet"];
        shell::run(cargo().args(scope).args(["--", "-D", "warnings"]))
    })?;
    step("cargo doc", || {
        let scope = ["doc", "--workspace", "--no-deps", "--document-private-items", "--locked", "--quiet"];
        shell::run(cargo().args(scope).env("RUSTDOCFLAGS", "-D warnings"))
    })
}
