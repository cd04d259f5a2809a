//! A static program for any Linux: musl, and LLVM's unwinder, since that of Debian's gcc takes glibc for granted.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use testkit::tools;

use super::{Toolchain, directory, shown, variable};
use crate::{package, setup};

const TARGET: &str = "x86_64-unknown-linux-musl";
const NEEDED: &[(&str, &str)] = &[
    (super::CARGO, "cargo-web"),
    ("/usr/bin/rustc", "rustc-web"),
    ("/usr/share/doc/rust-web-src", "rust-web-src"),
    ("musl-gcc", "musl-tools"),
    ("readelf", "binutils"),
];
/// Crates whose tests pass there.
const TESTED: &[&str] = &["unlade-host", "unlade-tree"];
/// The package with the unwinder.
const UNWINDER: &str = "libunwind-16-dev";
/// What is added to it.
const FPRINTF: &str = include_str!("fprintf.c");

pub(super) fn toolchain() -> io::Result<Toolchain> {
    setup::packages(NEEDED)?;
    let libraries = directory("musl");
    if !libraries.join("libunwind.a").exists() {
        unwinder(&libraries)?;
    }
    let mut cargo = super::with_library();
    let flags = "-Ctarget-feature=+crt-static -Crelocation-model=static -Clink-self-contained=no";
    cargo
        .env(variable(TARGET, "LINKER"), "musl-gcc")
        .env("CC_x86_64_unknown_linux_musl", "musl-gcc")
        .env(variable(TARGET, "RUSTFLAGS"), format!("{flags} -Lnative={}", shown(&libraries)));
    Ok(Toolchain { target: TARGET, cargo, suffix: "", runner: Vec::new(), tested: TESTED, skipped: &[] })
}

/// Puts the unwinder into `place`, whole or not at all.
fn unwinder(place: &Path) -> io::Result<()> {
    let scratch = place.with_extension("new");
    package::update(UNWINDER)?;
    package::unpack(UNWINDER, &scratch)?;
    let archive = scratch.join("libunwind.a");
    fs::rename(scratch.join("usr/lib/llvm-16/lib/libunwind.a"), &archive)?;
    let (source, object) = (scratch.join("fprintf.c"), scratch.join("fprintf.o"));
    fs::write(&source, FPRINTF)?;
    tools::run(Command::new("musl-gcc").args(["-O2", "-fPIC", "-c"]).arg(source).arg("-o").arg(&object))?;
    tools::run(Command::new("ar").arg("r").arg(&archive).arg(object))?;
    fs::create_dir_all(place)?;
    fs::rename(archive, place.join("libunwind.a"))?;
    fs::remove_dir_all(scratch)
}

/// Refuses a program that needs a loader or a library.
pub(super) fn check_static(program: &Path) -> io::Result<()> {
    let said =
        tools::run(Command::new("readelf").args(["--program-headers", "--dynamic", "--wide"]).arg(program))?;
    let said = String::from_utf8_lossy(&said);
    match said.lines().find(|line| line.contains("INTERP") || line.contains("NEEDED")) {
        Some(line) => Err(io::Error::other(format!("{} is not static: {}", program.display(), line.trim()))),
        None => Ok(()),
    }
}
