//! Debian's kernel for virtual machines, unpacked and not installed, for the boot tests.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::{boot, tools};

use crate::shell;

/// The package that depends on the newest kernel.
const NEWEST: &str = "linux-image-cloud-amd64";

pub(crate) fn run() -> io::Result<()> {
    let kernel = boot::kernel();
    if kernel.is_file() {
        println!("all there");
        return Ok(());
    }
    let place = kernel.parent().ok_or_else(|| io::Error::other("the kernel has no directory"))?;
    let scratch = place.with_extension("new");
    fs::remove_dir_all(&scratch).or_else(ignore_missing)?;
    fs::create_dir_all(&scratch)?;

    let package = newest()?;
    println!("unpacking {package}");
    tools::run(Command::new("apt-get").args(["download", "-qq", &package]).current_dir(&scratch))?;
    let archive = only(&scratch, |name| name.ends_with(".deb"))?;
    tools::run(Command::new("dpkg-deb").arg("--extract").arg(&archive).arg(scratch.join("root")))?;
    let compressed = only(&scratch.join("root/boot"), |name| name.starts_with("vmlinuz-"))?;
    fs::write(scratch.join("vmlinux"), decompress(&fs::read(&compressed)?, &scratch)?)?;
    fs::remove_file(archive)?;

    fs::remove_dir_all(place).or_else(ignore_missing)?;
    fs::rename(&scratch, place)
}

/// The name of the newest kernel's package.
fn newest() -> io::Result<String> {
    let ask = || tools::run(Command::new("apt-cache").args(["depends", NEWEST]));
    let depends = ask().or_else(|_| {
        // A fresh machine has no package lists.
        shell::run(shell::as_root("apt-get")?.args(["update", "-qq"]))?;
        ask()
    })?;
    let depends = String::from_utf8_lossy(&depends).into_owned();
    let found = depends.lines().find_map(|line| line.trim().strip_prefix("Depends: "));
    found.map(str::to_owned).ok_or_else(|| io::Error::other(format!("apt knows no kernel {NEWEST}")))
}

/// The ELF kernel inside a bzImage. QEMU starts it directly, and under emulation that saves the seconds
/// which the guest would take to decompress itself. Fields: Linux `Documentation/arch/x86/boot.rst`.
fn decompress(image: &[u8], scratch: &Path) -> io::Result<Vec<u8>> {
    let damaged = || io::Error::other("the kernel is no bzImage");
    let field = |offset: usize| -> io::Result<usize> {
        let bytes =
            image.get(offset..offset + 4).and_then(|bytes| bytes.try_into().ok()).ok_or_else(damaged)?;
        usize::try_from(u32::from_le_bytes(bytes)).map_err(io::Error::other)
    };
    let setup_sects = usize::from(*image.get(0x1f1).ok_or_else(damaged)?);
    let protected_mode = (if setup_sects == 0 { 4 } else { setup_sects } + 1) * 512;
    let start = protected_mode + field(0x248)?;
    let payload = image.get(start..start + field(0x24c)?).ok_or_else(damaged)?;

    // The payload is one stream and, after it, its expanded size in four bytes.
    let file = scratch.join("payload");
    fs::write(&file, &payload[..payload.len().saturating_sub(4)])?;
    let mut decompress = match payload {
        [0xfd, b'7', b'z', b'X', b'Z', ..] => tools::command("xz"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => tools::command("zstd"),
        [0x02, 0x21, 0x4c, 0x18, ..] => tools::command("lz4"),
        [0x1f, 0x8b, ..] => tools::command("gzip"),
        _ => return Err(io::Error::other("the kernel is compressed in an unknown way")),
    };
    let elf = tools::run(decompress.arg("-dcq").stdin(fs::File::open(&file)?))?;
    fs::remove_file(&file)?;
    Ok(elf)
}

/// The one file of `directory` with such a name.
fn only(directory: &Path, matches: impl Fn(&str) -> bool) -> io::Result<PathBuf> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(&matches) {
            return Ok(entry.path());
        }
    }
    Err(io::Error::other(format!("{} lacks what the kernel package should bring", directory.display())))
}

fn ignore_missing(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}
