//! Boots a rootfs in a virtual machine, with Debian's kernel and no initramfs.

use std::io;
use std::path::{Path, PathBuf};

use crate::corpus;
use crate::tools::{command, run};

/// How long a guest may take; an emulated one takes about five seconds to its init.
const SECONDS: &str = "120";

/// What becomes of the guest's writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    /// They end in the file.
    Keep,
    /// The file stays as it is.
    Discard,
}

/// The kernel that `cargo xtask fetch-kernel` unpacks.
pub fn kernel() -> PathBuf {
    corpus::target().join("boot/vmlinux")
}

/// Boots the ext4 file system in `rootfs`, running `init`, until the guest powers off; returns what its
/// console said.
///
/// The disk is an NVMe one because Debian's kernel has the drivers for that and for ext4 built in. The
/// machine is emulated, so that this works wherever QEMU does.
///
/// # Panics
///
/// When the kernel is not there; the message says how to get it.
#[allow(clippy::panic, reason = "a test without its kernel has failed")]
pub fn boot(rootfs: &Path, init: &str, writes: Writes) -> io::Result<String> {
    let kernel = kernel();
    assert!(kernel.is_file(), "no kernel to boot: `cargo xtask fetch-kernel` unpacks one");
    let snapshot = if writes == Writes::Keep { "off" } else { "on" };
    let drive = format!("if=none,id=disk,format=raw,snapshot={snapshot},file={}", rootfs.display());
    let console = run(command("timeout")
        .args(["--signal=KILL", SECONDS, "qemu-system-x86_64"])
        .args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-monitor", "none"])
        .args(["-machine", "q35", "-accel", "tcg", "-cpu", "max", "-m", "512", "-serial", "stdio"])
        .args(["-drive", &drive, "-device", "nvme,drive=disk,serial=rootfs"])
        .arg("-kernel")
        .arg(kernel)
        // A guest that panics reboots at once, and -no-reboot makes an end of that.
        .args(["-append", &format!("console=ttyS0 quiet panic=-1 root=/dev/nvme0n1 rw init={init}")])
        .stdin(std::process::Stdio::null()))?;
    Ok(String::from_utf8_lossy(&console).into_owned())
}
