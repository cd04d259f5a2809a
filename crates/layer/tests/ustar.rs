//! Plain ustar, read as strictly as its strictest reader does, by GNU tar and by bsdtar.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "judges are processes that work on files"
)]

use std::io;
use std::process::Command;

use testkit::ustar::read;
use tree::{Content, Output, Piece, Span};
use unlade_layer::write::ustar::{Unfit, Writer, header};

/// An output in memory; spans are letters.
#[derive(Default)]
struct Memory(Vec<u8>);

impl Output for Memory {
    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        assert_eq!(offset, self.0.len() as u64);
        self.0.extend(bytes);
        Ok(())
    }

    fn copy(&mut self, offset: u64, span: Span) -> io::Result<()> {
        self.write(offset, &vec![b'a'; span.length as usize])
    }
}

#[test]
fn files_read_back() {
    let long = format!("{}/{}", "d".repeat(155), "n".repeat(100));
    let pieces = Content::Pieces {
        size: 10_000,
        declared: true,
        pieces: [Piece { at: 4096, span: Span { layer: 0, offset: 0, length: 5 } }].into(),
    };
    let mut memory = Memory::default();
    let mut writer = Writer::new(&mut memory);
    writer.bytes(&header(b"a", 0o755, 3).unwrap(), b"abc").unwrap();
    writer.bytes(&header(b"empty", 0o4711, 0).unwrap(), b"").unwrap();
    writer.content(&header(long.as_bytes(), 0o644, 10_000).unwrap(), &pieces).unwrap();
    writer.bytes(&header("ä\\b".as_bytes(), 0, 512).unwrap(), &[b'x'; 512]).unwrap();
    let length = writer.finish().unwrap();
    assert_eq!(length, memory.0.len() as u64);

    let found = read(&memory.0);
    let mut sparse = vec![0; 10_000];
    sparse[4096..4101].fill(b'a');
    assert_eq!(found["a"], (0o755, b"abc".into()));
    assert_eq!(found["empty"], (0o4711, Vec::new()));
    assert_eq!(found[&long], (0o644, sparse));
    assert_eq!(found["ä\\b"].1.len(), 512);

    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("x.tar");
    std::fs::write(&path, &memory.0).unwrap();
    // Other people's programs, where they are installed.
    for program in ["tar", "bsdtar"].into_iter().filter(|_| cfg!(unix)) {
        let listed = Command::new(program).arg("-tf").arg(&path).env("LC_ALL", "C.UTF-8").output().unwrap();
        assert!(listed.status.success() && listed.stderr.is_empty(), "{program}: {listed:?}");
        assert_eq!(String::from_utf8(listed.stdout).unwrap().lines().count(), found.len(), "{program}");
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let check = |path: &str, expected| assert_eq!(header(path.as_bytes(), 0, 0).err(), expected, "{path}");
    check(&"n".repeat(100), None);
    check(&"n".repeat(101), Some(Unfit::Long));
    check(&format!("{}/{}", "d".repeat(155), "n".repeat(101)), Some(Unfit::Long));
    check(&format!("{}/{}", "d".repeat(156), "n".repeat(100)), Some(Unfit::Long));
    check(&format!("{}/{}", "d".repeat(50), "n".repeat(100)), None);
    check(&format!("a/{}", "n".repeat(99)), None);
    assert_eq!(header(b"\xff", 0, 0), Err(Unfit::NotText));
    assert!(header(b"a", 0, (8 << 30) - 1).is_ok());
    assert_eq!(header(b"a", 0, 8 << 30), Err(Unfit::Large));
}
