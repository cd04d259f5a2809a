//! Other people's test archives, out of packages that Debian has published: those of Go, Python and libarchive.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use testkit::tools;

use crate::package;

/// Puts what is missing into `archives` in the tools' directory.
pub(crate) fn install() -> io::Result<()> {
    package::update("golang-src")?;
    for (name, unpack) in
        [("go", go as fn(&Path) -> io::Result<()>), ("python", python), ("libarchive", libarchive)]
    {
        let place = tools::directory().join("archives").join(name);
        if !place.is_dir() {
            let scratch = place.with_extension("unpacking");
            unpack(&scratch)?;
            fs::rename(scratch, place)?;
        }
    }
    Ok(())
}

/// The newest Go's sources.
fn go(place: &Path) -> io::Result<()> {
    package::unpack(&package::dependency("golang-src")?, place)
}

/// The tests of the Python that is there.
fn python(place: &Path) -> io::Result<()> {
    package::unpack(&format!("lib{}-testsuite", package::dependency("python3")?), place)
}

/// libarchive's tests are in no package but in its sources, spelled in letters and some of them compressed.
fn libarchive(place: &Path) -> io::Result<()> {
    package::source("libarchive", place)?;
    let sources = package::find(place, |name| name.contains(".orig.tar.") && !name.ends_with(".asc"))?;
    let mut tar = tools::command("tar");
    tar.arg("-C")
        .arg(place)
        .args(["--wildcards", "--transform=s,.*/,,", "-xf"])
        .arg(&sources)
        .arg("*/test/*.uu");
    tools::run(&mut tar)?;
    for entry in fs::read_dir(place)? {
        let path = entry?.path();
        if let Some((name, compressed)) = path.file_name().and_then(|name| name.to_str()).and_then(archive) {
            let bytes = decoded(&fs::read(&path)?);
            let bytes = if compressed { expanded(&bytes)? } else { bytes };
            fs::write(place.join(format!("{name}.tar")), bytes)?;
        }
        // The sources' own archives are none of a test.
        fs::remove_file(path)?;
    }
    Ok(())
}

/// The name of a tarball that a file of letters spells, and whether gzip has to expand it; other formats, and other
/// compressions, are not wanted.
fn archive(name: &str) -> Option<(&str, bool)> {
    let name = name.strip_suffix(".uu")?;
    let (name, compressed) = match name.strip_suffix(".Z").or_else(|| name.strip_suffix(".gz")) {
        Some(name) => (name, true),
        None => (name, false),
    };
    let tar = name.strip_suffix(".tar");
    let other = || [".ustar", ".pax"].iter().any(|end| name.ends_with(end)).then_some(name);
    tar.or_else(other).map(|name| (name, compressed))
}

/// Decodes uuencode's letters: a line has the number of its bytes in front, and four letters for three bytes.
fn decoded(text: &[u8]) -> Vec<u8> {
    let lines = text.split(|&b| b == b'\n').skip_while(|line| !line.starts_with(b"begin ")).skip(1);
    let six = |letter: Option<&u8>| letter.map_or(0, |&letter| u32::from(letter.wrapping_sub(b' ') & 0x3f));
    let mut bytes = Vec::new();
    for line in lines.take_while(|line| *line != b"end") {
        let Some((length, letters)) = line.split_first() else { continue };
        let end = bytes.len() + six(Some(length)) as usize;
        for four in letters.chunks(4) {
            let three = (0..4).fold(0, |bits, at| bits << 6 | six(four.get(at)));
            bytes.extend_from_slice(&three.to_be_bytes()[1..]);
        }
        bytes.truncate(end);
    }
    bytes
}

/// Expands what gzip knows, which is compress's format as well.
fn expanded(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut file = tempfile::tempfile()?;
    io::Write::write_all(&mut file, bytes)?;
    io::Seek::rewind(&mut file)?;
    let mut gzip: Command = tools::command("gzip");
    tools::run(gzip.arg("-dc").stdin(Stdio::from(file)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters() {
        let text = b"about it\nbegin 644 cat\n#0V%T\n`\nend\nmore";
        assert_eq!(decoded(text), b"Cat");
        assert_eq!(decoded(b"begin 644 x\n$0V%T(0``\n \nend\n"), b"Cat!");
    }

    #[test]
    fn names() {
        for (name, wanted) in [
            ("test_a.tar.uu", Some(("test_a", false))),
            ("test_a.tar.Z.uu", Some(("test_a", true))),
            ("test_a.pax.Z.uu", Some(("test_a.pax", true))),
            ("test_a.ustar.uu", Some(("test_a.ustar", false))),
            ("test_a.tar.lz4.uu", None),
            ("test_a.zip.uu", None),
            ("libarchive.orig.tar.xz", None),
        ] {
            assert_eq!(archive(name), wanted, "{name}");
        }
    }
}
