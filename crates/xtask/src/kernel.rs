//! Debian's kernel for virtual machines, unpacked and not installed, for the boot tests.

use std::fs;
use std::io;
use std::path::Path;

use testkit::{boot, tools};

use crate::package;

/// The package that depends on the newest kernel.
const NEWEST: &str = "linux-image-cloud-amd64";

pub(crate) fn run() -> io::Result<()> {
    let kernel = boot::kernel();
    if kernel.is_file() {
        println!("all there");
        return Ok(());
    }
    let place = kernel.parent().ok_or_else(|| io::Error::other("the kernel has no directory"))?;
    package::update(NEWEST)?;
    let newest = package::dependency(NEWEST)?;
    println!("unpacking {newest}");
    package::unpack(&newest, place)?;
    let compressed = package::find(&place.join("boot"), |name| name.starts_with("vmlinuz-"))?;
    // Written last and under another name first, because the kernel's presence says that all is there.
    let scratch = kernel.with_extension("new");
    fs::write(&scratch, decompress(&fs::read(&compressed)?, place)?)?;
    fs::rename(&scratch, &kernel)
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
