//! Installs what the tests need, and nothing that is there already.

use std::fs;
use std::io;
use std::process::Command;

use testkit::tools;

use crate::{archives, deny, kernel, package, shell};

/// A file that a package brings, and the package. A name without a slash is a program.
const NEEDED: &[(&str, &str)] = &[
    // Making images.
    ("buildah", "buildah"),
    ("mmdebstrap", "mmdebstrap"),
    ("python3", "python3"),
    ("skopeo", "skopeo"),
    ("umoci", "umoci"),
    ("/bin/busybox", "busybox-static"),
    ("bsdtar", "libarchive-tools"),
    ("cpio", "cpio"),
    ("xz", "xz-utils"),
    ("zstd", "zstd"),
    // Judging what was built.
    ("e2fsck", "e2fsprogs"),
    ("fsck.erofs", "erofs-utils"),
    ("mkfs.erofs", "erofs-utils"),
    ("faketime", "faketime"),
    ("objdump", "binutils"),
    ("getcap", "libcap2-bin"),
    ("getfacl", "acl"),
    ("getfattr", "attr"),
    ("losetup", "mount"),
    ("veritysetup", "cryptsetup-bin"),
    ("sfdisk", "fdisk"),
    ("sgdisk", "gdisk"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("lz4", "lz4"),
    // Faults: system calls that fail, and a filesystem that knows no nameless files.
    ("strace", "strace"),
    ("fuse2fs", "fuse2fs"),
    // Logins of a registry.
    ("htpasswd", "apache2-utils"),
    ("openssl", "openssl"),
    // Measuring.
    ("time", "time"),
    // A C compiler and linker, for crates with C or assembly in them.
    ("cc", "gcc"),
    // The same for C++, in which libFuzzer is written.
    ("c++", "g++"),
    // Programs for another C library, as the machine's own.
    ("musl-gcc", "musl-tools"),
];

pub(crate) fn run() -> io::Result<()> {
    shell::step("Debian's packages", || packages(NEEDED))?;
    // A registry to pull from, and an unpacker.
    shell::step("docker-registry", || unpacked("docker-registry", &["docker-registry"]))?;
    shell::step("containerd", || unpacked("containerd", &["containerd", "ctr"]))?;
    shell::step("other people's archives", archives::install)?;
    shell::step("cargo-deny", deny::install)?;
    shell::step("kernel", kernel::run)
}

/// Puts programs of a package into the tools' directory. They are not installed, because that would start a
/// service.
fn unpacked(package: &str, programs: &[&str]) -> io::Result<()> {
    if programs.iter().all(|program| tools::find(program).is_some()) {
        println!("all there");
        return Ok(());
    }
    let scratch = tools::directory().join(package);
    package::update(package)?;
    package::unpack(package, &scratch)?;
    fs::create_dir_all(tools::directory().join("bin"))?;
    for program in programs {
        fs::rename(scratch.join("usr/bin").join(program), tools::directory().join("bin").join(program))?;
    }
    fs::remove_dir_all(scratch)
}

/// Installs the packages of those files that are not there.
pub(crate) fn packages(needed: &[(&str, &str)]) -> io::Result<()> {
    let mut missing: Vec<_> =
        needed.iter().filter(|(file, _)| !is_there(file)).map(|(_, package)| *package).collect();
    missing.dedup();
    if missing.is_empty() {
        println!("all there");
        return Ok(());
    }
    println!("installing {}", missing.join(" "));
    if tools::find("apt-get").is_none() {
        return Err(io::Error::other(format!("no apt-get here; install by hand: {}", missing.join(" "))));
    }
    apt_get(&["update", "-qq"])?;
    apt_get(&[&["install", "-qq", "--no-install-recommends"], missing.as_slice()].concat())?;
    match needed.iter().find(|(file, _)| !is_there(file)) {
        None => Ok(()),
        Some((file, package)) => Err(io::Error::other(format!("{package} is installed, but has no {file}"))),
    }
}

/// Debian's package installer, as root and without questions.
fn apt_get(arguments: &[&str]) -> io::Result<()> {
    let mut command: Command = shell::as_root("env")?;
    shell::run(command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]).args(arguments))
}

fn is_there(file: &str) -> bool {
    if file.contains('/') { std::path::Path::new(file).exists() } else { tools::find(file).is_some() }
}
