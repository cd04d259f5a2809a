//! Windows: MinGW's linker, the standard library built from its source, Wine.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use testkit::tools;

use super::{Toolchain, directory, variable};
use crate::setup;

const TARGET: &str = "x86_64-pc-windows-gnu";
const WINE: &str = "/usr/lib/wine/wine64";
const GCC: &str = "x86_64-w64-mingw32-gcc";
const NEEDED: &[(&str, &str)] = &[
    (super::CARGO, "cargo-web"),
    ("/usr/bin/rustc", "rustc-web"),
    ("/usr/share/doc/rust-web-src", "rust-web-src"),
    (GCC, "gcc-mingw-w64-x86-64-posix"),
    (WINE, "wine64"),
];
/// Crates whose tests pass there.
const TESTED: &[&str] = &[
    "unlade-hash",
    "unlade-oci",
    "unlade-sys",
    "unlade-host",
    "unlade-registry",
    "unlade-store",
    "unlade-tree",
    "unlade-layer",
    "unlade-ext4",
    "unlade-erofs",
    "unlade-composefs",
    "unlade-elf",
    "unlade-pipeline",
    "unlade",
];
/// A library that Debian's Wine lacks.
const RANDOM: &str = include_str!("bcryptprimitives.c");

pub(super) fn toolchain() -> io::Result<Toolchain> {
    setup::packages(NEEDED)?;
    let prefix = directory("wine");
    if !prefix.exists() {
        machine(&prefix)?;
    }
    let mut cargo = super::with_library();
    cargo
        .env(variable(TARGET, "LINKER"), GCC)
        .env(variable(TARGET, "RUNNER"), WINE)
        .env("CC_x86_64_pc_windows_gnu", GCC)
        .env("AR_x86_64_pc_windows_gnu", "x86_64-w64-mingw32-ar")
        .env("WINEPREFIX", &prefix)
        .env("WINEDEBUG", "-all");
    let runner = vec![
        "env".to_owned(),
        format!("WINEPREFIX={}", prefix.display()),
        "WINEDEBUG=-all".to_owned(),
        WINE.to_owned(),
    ];
    Ok(Toolchain { target: TARGET, cargo, suffix: ".exe", runner, tested: TESTED, skipped: &[] })
}

/// Makes what Wine has for a machine, whole or not at all.
fn machine(place: &Path) -> io::Result<()> {
    let scratch = place.with_extension("new");
    if scratch.exists() {
        fs::remove_dir_all(&scratch)?;
    }
    fs::create_dir_all(&scratch)?;
    let wine = |program: &str| {
        let mut command = Command::new(program);
        command.env("WINEPREFIX", &scratch).env("WINEDEBUG", "-all");
        command
    };
    tools::run(wine(WINE).args(["wineboot", "--init"]))?;
    let source = scratch.join("bcryptprimitives.c");
    fs::write(&source, RANDOM)?;
    let library = scratch.join("drive_c/windows/system32/bcryptprimitives.dll");
    tools::run(Command::new(GCC).args(["-O2", "-shared", "-o"]).arg(library).arg(source).arg("-ladvapi32"))?;
    // Until the server has ended, the registry is not on the disk.
    tools::run(wine("/usr/lib/wine/wineserver").arg("--wait"))?;
    fs::rename(scratch, place)
}
