//! Debian's packages, unpacked and not installed: for what would start a service, or belongs to another
//! machine.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::tools;

use crate::shell;

/// Downloads a package and unpacks it into `place`, which is replaced.
pub(crate) fn unpack(package: &str, place: &Path) -> io::Result<()> {
    fs::remove_dir_all(place).or_else(ignore_missing)?;
    fs::create_dir_all(place)?;
    tools::run(Command::new("apt-get").args(["download", "-qq", package]).current_dir(place))?;
    let archive = find(place, |name| name.ends_with(".deb"))?;
    tools::run(Command::new("dpkg-deb").arg("--extract").arg(&archive).arg(place))?;
    fs::remove_file(archive)
}

/// Downloads packages of another architecture, of which this machine's own lists need not know, and unpacks them into
/// `place`, which is replaced.
pub(crate) fn unpack_foreign(architecture: &str, packages: &[String], place: &Path) -> io::Result<()> {
    fs::remove_dir_all(place).or_else(ignore_missing)?;
    fs::create_dir_all(place.join("lists/partial"))?;
    fs::create_dir_all(place.join("archives/partial"))?;
    let place = fs::canonicalize(place)?;
    let apt_get = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.arg("-qq").args(["-o", "APT::Sandbox::User=root"]);
        for known in [architecture, "amd64"] {
            command.arg("-o").arg(format!("APT::Architectures::={known}"));
        }
        command.arg("-o").arg(format!("Dir::State::Lists={}", place.join("lists").display()));
        command.arg("-o").arg(format!("Dir::Cache={}", place.join("archives").display()));
        tools::run(command.args(arguments).current_dir(&place))
    };
    apt_get(&["update"])?;
    for package in packages {
        apt_get(&["download", package])?;
        let archive = find(&place, |name| name.ends_with(".deb"))?;
        tools::run(Command::new("dpkg-deb").arg("--extract").arg(&archive).arg(&place))?;
        fs::remove_file(archive)?;
    }
    Ok(())
}

/// Downloads what the Debian package `package` is made from into `place`, which is replaced.
pub(crate) fn source(package: &str, place: &Path) -> io::Result<()> {
    fs::remove_dir_all(place).or_else(ignore_missing)?;
    fs::create_dir_all(place.join("lists/partial"))?;
    // Sources lie where the packages do, but a machine's own lists do not name them as a rule.
    let format = "deb-src $(REPO_URI) $(RELEASE) $(COMPONENT)";
    let mut targets = Command::new("apt-get");
    let lines = tools::run(targets.args([
        "indextargets",
        "--format",
        format,
        "Created-By: Packages",
        "Origin: Debian",
    ]))?;
    let place = fs::canonicalize(place)?;
    let sources = place.join("sources.list");
    fs::write(&sources, lines)?;
    let apt_get = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.arg("-qq").arg("-o").arg(format!("Dir::Etc::SourceList={}", sources.display()));
        command.args(["-o", "Dir::Etc::SourceParts=/dev/null"]);
        command.arg("-o").arg(format!("Dir::State::Lists={}", place.join("lists").display()));
        tools::run(command.args(arguments).current_dir(&place))
    };
    apt_get(&["update"])?;
    apt_get(&["source", "--download-only", package])?;
    fs::remove_dir_all(place.join("lists"))
}

/// What a package depends on first.
pub(crate) fn dependency(package: &str) -> io::Result<String> {
    let depends = tools::run(Command::new("apt-cache").args(["depends", package]))?;
    let depends = String::from_utf8_lossy(&depends).into_owned();
    let found = depends.lines().find_map(|line| line.trim().strip_prefix("Depends: "));
    found.map(str::to_owned).ok_or_else(|| io::Error::other(format!("{package} depends on nothing")))
}

/// Makes sure that apt knows its packages; a fresh machine has no lists of them.
pub(crate) fn update(package: &str) -> io::Result<()> {
    if tools::run(Command::new("apt-cache").args(["show", package])).is_ok() {
        return Ok(());
    }
    shell::run(shell::as_root("apt-get")?.args(["update", "-qq"]))
}

/// A file of `directory` with such a name.
pub(crate) fn find(directory: &Path, matches: impl Fn(&str) -> bool) -> io::Result<PathBuf> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(&matches) {
            return Ok(entry.path());
        }
    }
    Err(io::Error::other(format!("{} lacks what the package should bring", directory.display())))
}

fn ignore_missing(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}
