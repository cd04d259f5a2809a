//! Writing the tarballs that hold images: few plain files, whose names we make.

use std::fs::File;
use std::io::{self, Read, Write};

use host::FileExt;

/// Bytes of a header, and of what contents are padded to.
const BLOCK: usize = 512;
/// The longest name that a header has room for.
const NAME_MAX: usize = 100;
/// The largest size that eleven octal digits can state.
const OCTAL_MAX: u64 = (1 << 33) - 1;

/// A tarball under way. The same files in the same order give the same bytes: no clock, no owner.
pub(super) struct Tarball<'a> {
    file: &'a File,
    position: u64,
}

impl<'a> Tarball<'a> {
    /// Starts one in an empty file.
    pub(super) fn new(file: &'a File) -> Tarball<'a> {
        Tarball { file, position: 0 }
    }

    /// Adds a file that is in memory.
    pub(super) fn add_bytes(&mut self, name: &str, mut bytes: &[u8]) -> io::Result<()> {
        self.add(name, &mut bytes).map(drop)
    }

    /// Adds a file; its size is that of what comes, and is given.
    pub(super) fn add(&mut self, name: &str, content: &mut dyn Read) -> io::Result<u64> {
        if name.len() > NAME_MAX {
            let record = pax("path", name);
            self.put(&header("././@PaxHeader", b'x', record.len() as u64))?;
            self.put(&record)?;
            self.pad(record.len() as u64)?;
        }
        let start = self.position;
        self.put(&[0; BLOCK])?;
        let size = io::copy(content, &mut *self)?;
        self.pad(size)?;
        // Only now is it known how large it is.
        let name: String = name.chars().take(NAME_MAX).collect();
        self.file.write_all_at(&header(&name, b'0', size), start)?;
        Ok(size)
    }

    /// Ends the tarball.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.put(&[0; 2 * BLOCK])
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        let padding = size.next_multiple_of(BLOCK as u64) - size;
        self.put(&[0; BLOCK][..padding as usize])
    }
}

impl Write for Tarball<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all_at(bytes, self.position)?;
        self.position += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A header of `ustar` form (POSIX, `pax`, "ustar Interchange Format").
fn header(name: &str, typeflag: u8, size: u64) -> [u8; BLOCK] {
    let mut header = [0; BLOCK];
    let mut put = |offset: usize, bytes: &[u8]| header[offset..offset + bytes.len()].copy_from_slice(bytes);
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    if size <= OCTAL_MAX {
        put(124, format!("{size:011o}\0").as_bytes());
    } else {
        // As GNU tar does: the first bit is set, and a binary number follows.
        put(124, &[0x80, 0, 0, 0]);
        put(128, &size.to_be_bytes());
    }
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, &[typeflag]);
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

/// A record of an extended header: its own length, a key, a value.
fn pax(key: &str, value: &str) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    format!("{length} {key}={value}\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_say_how_long_they_are() {
        for length in 0..2_000 {
            let record = pax("path", &"x".repeat(length));
            let text = String::from_utf8(record.clone()).unwrap();
            assert_eq!(text.split(' ').next().unwrap(), record.len().to_string());
        }
    }

    #[cfg(unix)]
    #[test]
    fn other_tools_read_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let long = format!("blobs/sha512/{}", "0a".repeat(64));
        let mut tarball = Tarball::new(file.as_file());
        for (name, size) in [("empty", 0), ("a/b", 511), (long.as_str(), 513), ("block", 512)] {
            assert_eq!(tarball.add(name, &mut io::repeat(7).take(size)).unwrap(), size);
        }
        tarball.finish().unwrap();
        let mut tar = std::process::Command::new("tar");
        let listed = tar.args(["--numeric-owner", "-tvf"]).arg(file.path()).output().unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        let sizes: Vec<(u64, &str)> = listed
            .lines()
            .map(|line| line.split_ascii_whitespace().collect::<Vec<_>>())
            .map(|words| (words[2].parse().unwrap(), words[5]))
            .collect();
        assert_eq!(sizes, [(0, "empty"), (511, "a/b"), (513, long.as_str()), (512, "block")]);
        // What is too large for octal digits.
        let large = header("x", b'0', 9 << 30);
        assert_eq!((large[124], u64::from_be_bytes(large[128..136].try_into().unwrap())), (0x80, 9 << 30));
    }
}
