//! Linux on aarch64: the standard library of Debian's compiler for that machine, gcc's cross linker, QEMU's user mode.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use testkit::tools;

use super::{Toolchain, directory, shown, variable};
use crate::{package, setup};

const TARGET: &str = "aarch64-unknown-linux-gnu";
const QEMU: &str = "/usr/bin/qemu-aarch64-static";
const NEEDED: &[(&str, &str)] = &[
    (super::CARGO, "cargo-web"),
    ("/usr/bin/rustc", "rustc-web"),
    ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
    ("/usr/aarch64-linux-gnu/include/stdio.h", "libc6-dev-arm64-cross"),
    (QEMU, "qemu-user-static"),
    ("unshare", "util-linux"),
];

/// Crates whose tests pass there. Most of the others ask for root's judges or take many minutes.
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
    "unlade-composefs",
    "unlade-elf",
    "unlade-pipeline",
];

/// Tests whose judges give files their owners, which takes root; one whose judge makes an image for the processor that
/// it runs on; and two of errors that QEMU does not pass on: of a program that is not there, and of fs-verity.
const SKIPPED: &[&str] = &[
    "attributes_pass_both_ways",
    "bsdtar_reads_ours",
    "filesystems_of_mke2fs",
    "layers_merge_as_others_unpack_them",
    "python_reads_ours",
    "other_peoples_layouts",
    "helpers_that_are_not_there",
    "where_there_is_none",
];

/// Runs what follows where the kernel hands programs for aarch64 to QEMU, and nowhere else: in namespaces of its own,
/// which a Linux of 2024 or later can give a list of such programs. Tests that start the command need that. They run as
/// somebody who may not mount: what they would mount is for this machine's tests to see.
const IN_NAMESPACE: &str = r#"set -e
mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
printf '%s' ':aarch64:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:/usr/bin/qemu-aarch64-static:F' >/proc/sys/fs/binfmt_misc/register
exec unshare --user --map-user=65534 --map-group=65534 "$@""#;

pub(super) fn toolchain() -> io::Result<Toolchain> {
    setup::packages(NEEDED)?;
    let sysroot = directory("aarch64");
    if !sysroot.exists() {
        libraries(&sysroot)?;
    }
    let mut cargo = Command::new("unshare");
    cargo.args(["--user", "--map-root-user", "--mount", "sh", "-c", IN_NAMESPACE, "sh", super::CARGO]);
    let mut cargo = super::debian(cargo);
    let flags = format!("--sysroot={}", shown(&sysroot));
    cargo
        .env(variable(TARGET, "LINKER"), "aarch64-linux-gnu-gcc")
        .env(variable(TARGET, "RUSTFLAGS"), &flags)
        .env(variable(TARGET, "RUSTDOCFLAGS"), &flags)
        .env("CC_aarch64_unknown_linux_gnu", "aarch64-linux-gnu-gcc")
        .env("AR_aarch64_unknown_linux_gnu", "aarch64-linux-gnu-ar")
        .env("QEMU_LD_PREFIX", "/usr/aarch64-linux-gnu")
        // To find out where a panic was takes half a minute there.
        .env("RUST_BACKTRACE", "0");
    let runner = vec![QEMU.to_owned(), "-L".to_owned(), "/usr/aarch64-linux-gnu".to_owned()];
    Ok(Toolchain { target: TARGET, cargo, suffix: "", runner, tested: TESTED, skipped: SKIPPED })
}

/// Makes a sysroot of this machine's compiler that has the other's libraries too, whole or not at all.
fn libraries(place: &Path) -> io::Result<()> {
    let scratch = place.with_extension("new");
    let version = tools::run(Command::new("dpkg-query").args(["-W", "-f", "${Version}", "rustc-web"]))?;
    let version = String::from_utf8_lossy(&version).into_owned();
    // 1.96 of 1.96.0+dfsg1.
    let release = version.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
    let packages = ["libstd-rust-web-dev".to_owned(), format!("libstd-rust-web-{release}")];
    let packages: Vec<String> = packages.iter().map(|name| format!("{name}:arm64={version}")).collect();
    package::unpack_foreign("arm64", &packages, &scratch)?;
    let (libraries, own) = (scratch.join("usr/lib/rustlib"), Path::new("/usr/lib/rustlib"));
    let sysroot = scratch.join("sysroot");
    fs::create_dir_all(sysroot.join("lib/rustlib"))?;
    fs::rename(libraries.join(TARGET), sysroot.join("lib/rustlib").join(TARGET))?;
    for shared in ["etc", "x86_64-unknown-linux-gnu"] {
        symlink(own.join(shared), sysroot.join("lib/rustlib").join(shared))?;
    }
    fs::rename(sysroot, place)?;
    fs::remove_dir_all(scratch)
}
