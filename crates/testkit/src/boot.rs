//! Boots a rootfs in a virtual machine, with Debian's kernel.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::corpus;
use crate::tools::{command, find, run};

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

/// A file that a guest has as its `/dev/nvme0n1`.
#[derive(Clone, Copy, Debug)]
struct Disk<'a> {
    file: &'a Path,
    writes: Writes,
    /// Bytes of its sectors.
    sector: u32,
}

impl<'a> Disk<'a> {
    fn new(file: &'a Path, writes: Writes) -> Disk<'a> {
        Disk { file, writes, sector: 512 }
    }
}

/// The kernel that `cargo xtask fetch-kernel` unpacks.
pub fn kernel() -> PathBuf {
    corpus::target().join("boot/vmlinux")
}

/// Boots the ext4 file system in `rootfs`, running `init`, until the guest powers off; returns what its
/// console said.
///
/// The disk is an NVMe one because Debian's kernel has the drivers for that and for ext4 built in, so
/// that no initramfs is needed.
///
/// # Panics
///
/// When the kernel is not there; the message says how to get it.
pub fn boot(rootfs: &Path, init: &str, writes: Writes) -> io::Result<String> {
    console(Some(Disk::new(rootfs, writes)), &format!("root=/dev/nvme0n1 rw init={init}"), None)
}

/// Boots the ext4 file system in a partition of `disk`, which has sectors of so many bytes, as [`boot`] does. The kernel
/// knows the partition as `root`: it reads the table itself.
///
/// # Panics
///
/// When the kernel is not there; the message says how to get it.
pub fn partition((disk, sector): (&Path, u32), root: &str, init: &str) -> io::Result<String> {
    let disk = Disk { sector, ..Disk::new(disk, Writes::Keep) };
    console(Some(disk), &format!("root={root} rw init={init}"), None)
}

/// Boots an archive that the kernel unpacks into its first root, running `init`, until the guest powers off; returns
/// what its console said.
///
/// # Panics
///
/// When the kernel is not there; the message says how to get it.
pub fn initramfs(archive: &Path, init: &str) -> io::Result<String> {
    console(None, &format!("rdinit={init}"), Some(archive))
}

/// Runs a shell script in a guest that has the file `disk` as its `/dev/nvme0n1`; returns what its
/// console said. `programs` of this machine, by their names or paths, can be used there, besides those of busybox; of the kernel's
/// `modules` each is loaded, after those that it needs.
///
/// # Panics
///
/// When the kernel is not there; the message says how to get it.
pub fn script(disk: &Path, programs: &[&str], modules: &[&str], script: &str) -> io::Result<String> {
    let work = format!("(\n{script}\n)\necho \"exit status $?\"\npoweroff -f\n");
    let said = console_of_shell((disk, Writes::Keep), programs, modules, &work)?;
    if said.contains("exit status 0") { Ok(said) } else { Err(io::Error::other(said)) }
}

/// Boots the EROFS file system in `rootfs`, which cannot be written, below one in memory that takes what is written
/// (overlayfs), running `init`, until the guest powers off; returns what its console said.
///
/// # Panics
///
/// When the kernel is not there; the message says how to get it.
pub fn below_an_overlay(rootfs: &Path, init: &str) -> io::Result<String> {
    let work = format!(
        "set -e\nmkdir -p /lower /layer /root\nmount -t erofs -o ro /dev/nvme0n1 /lower\n\
         mount -t tmpfs layer /layer\nmkdir /layer/upper /layer/work\n\
         mount -t overlay -o lowerdir=/lower,upperdir=/layer/upper,workdir=/layer/work overlay /root\n\
         exec switch_root /root {init}\n"
    );
    console_of_shell((rootfs, Writes::Keep), &[], &["libcrc32c", "erofs", "overlay"], &work)
}

/// Lets the shell of an initramfs do something, as the guest's first process.
fn console_of_shell(
    disk: (&Path, Writes),
    programs: &[&str],
    modules: &[&str],
    work: &str,
) -> io::Result<String> {
    let scratch = tempfile::tempdir()?;
    let root = scratch.path().join("root");
    for directory in ["bin", "dev", "proc", "sys", "mnt"] {
        fs::create_dir_all(root.join(directory))?;
    }
    fs::copy("/bin/busybox", root.join("bin/busybox"))?;
    symlink("busybox", root.join("bin/sh"))?;
    for program in programs {
        copy_program(program, &root)?;
    }
    let mut load = String::new();
    for module in modules {
        let file = format!("{module}.ko");
        let found = run(command("find").arg(kernel().with_file_name("lib")).args(["-name", &file]))?;
        let place = String::from_utf8_lossy(&found).trim().to_owned();
        fs::copy(&place, root.join(&file))
            .map_err(|error| io::Error::new(error.kind(), format!("module {module}: {error}")))?;
        load += &format!("insmod /{file} || exit 1\n");
    }
    let init = format!(
        "#!/bin/sh\nexport PATH=/bin\n/bin/busybox --install -s /bin\nmount -t devtmpfs dev /dev\n\
         mount -t proc proc /proc\n{load}{work}"
    );
    fs::write(root.join("init"), init)?;
    fs::set_permissions(root.join("init"), fs::Permissions::from_mode(0o755))?;

    let initramfs = scratch.path().join("initramfs");
    let pack = format!("cd {} && find . | cpio -o -H newc --quiet", root.display());
    fs::write(&initramfs, run(command("sh").args(["-c", &pack]))?)?;
    console(Some(Disk::new(disk.0, disk.1)), "rdinit=/init", Some(&initramfs))
}

/// Starts the machine. It is emulated, so that this works wherever QEMU does.
#[allow(clippy::panic, reason = "a test without its kernel has failed")]
fn console(disk: Option<Disk<'_>>, append: &str, initramfs: Option<&Path>) -> io::Result<String> {
    let kernel = kernel();
    assert!(kernel.is_file(), "no kernel to boot: `cargo xtask fetch-kernel` unpacks one");
    let mut qemu = command("timeout");
    qemu.args(["--signal=KILL", SECONDS, "qemu-system-x86_64"])
        .args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-monitor", "none"])
        .args(["-machine", "q35", "-accel", "tcg", "-cpu", "max", "-m", "512", "-serial", "stdio"])
        .arg("-kernel")
        .arg(kernel)
        // A guest that panics reboots at once, and -no-reboot makes an end of that.
        .args(["-append", &format!("console=ttyS0 quiet panic=-1 {append}")])
        .stdin(Stdio::null());
    if let Some(Disk { file, writes, sector }) = disk {
        let snapshot = if writes == Writes::Keep { "off" } else { "on" };
        let drive = format!("if=none,id=disk,format=raw,snapshot={snapshot},file={}", file.display());
        let sectors = format!("logical_block_size={sector},physical_block_size={sector}");
        qemu.args(["-drive", &drive, "-device", &format!("nvme,drive=disk,serial=rootfs,{sectors}")]);
    }
    if let Some(initramfs) = initramfs {
        qemu.arg("-initrd").arg(initramfs);
    }
    Ok(String::from_utf8_lossy(&run(&mut qemu)?).into_owned())
}

/// Copies a program into `root/bin`, and what it is linked with to where it looks for that.
fn copy_program(program: &str, root: &Path) -> io::Result<()> {
    let place = find(program).ok_or_else(|| io::Error::other(format!("no {program} here")))?;
    let name = place.file_name().unwrap_or(place.as_os_str());
    fs::copy(&place, root.join("bin").join(name))?;
    let libraries = run(command("ldd").arg(&place))?;
    for library in String::from_utf8_lossy(&libraries).split_whitespace().filter(|word| word.starts_with('/'))
    {
        let copy = root.join(library.trim_start_matches('/'));
        fs::create_dir_all(copy.parent().unwrap_or(root))?;
        fs::copy(library, copy)?;
    }
    Ok(())
}
