//! The main job on a tiny image that is made here, offline: what a newcomer runs first.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use testkit::{boot, corpus, hello, tools};

use crate::shell::{self, cargo};

pub(crate) fn run() -> io::Result<()> {
    let directory = corpus::target().join("demo");
    let layout = directory.join("hello");
    let rootfs = directory.join("rootfs.ext4");
    if layout.exists() {
        fs::remove_dir_all(&layout)?;
    }
    hello::write(&layout)?;
    shell::run(cargo().args(["build", "--quiet", "--release", "--locked", "--package", "unlade"]))?;

    let name = format!("oci:{}", shown(&layout));
    unlade(&directory, &["inspect", &name])?;
    unlade(&directory, &["build", &name, "-o", &shown(&rootfs)])?;
    unlade(&directory, &["ls", &name])?;
    if tools::find("e2fsck").is_some() {
        announce(&format!("e2fsck -fn {}", shown(&rootfs)));
        shell::run(tools::command("e2fsck").arg("-fn").arg(&rootfs))?;
    }
    if boot::kernel().is_file() && tools::find("qemu-system-x86_64").is_some() {
        announce(&format!("cargo xtask boot {}", shown(&rootfs)));
        print!("{}", boot::boot(&rootfs, "/sbin/init", boot::Writes::Discard)?);
    } else {
        println!("\nTo boot it: cargo xtask setup, then cargo xtask boot {}", shown(&rootfs));
    }
    Ok(())
}

fn unlade(directory: &Path, arguments: &[&str]) -> io::Result<()> {
    announce(&format!("unlade {}", arguments.join(" ")));
    let store = directory.join("store");
    shell::run(
        Command::new(corpus::target().join("release/unlade")).args(arguments).arg("--store").arg(store),
    )
}

fn announce(command: &str) {
    println!("\n$ {command}");
}

/// The path from where the command runs, if it lies below.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}
