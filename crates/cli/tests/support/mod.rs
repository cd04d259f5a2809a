//! Running the command in a directory of its own.

#![allow(dead_code, reason = "each test file uses some of it")]

pub(crate) mod schema;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A directory with a tiny image and a store.
pub(crate) struct Place {
    directory: TempDir,
}

/// A machine's proxies, which know nothing of the hosts in tests.
pub(crate) const PROXIES: [&str; 6] =
    ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// What a run of the command said.
pub(crate) struct Said {
    /// Exit code; `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
}

impl Place {
    /// A new one, with the image `oci:image`.
    pub(crate) fn new() -> Place {
        let directory = tempfile::tempdir_in(testkit::corpus::target()).unwrap();
        testkit::hello::write(&directory.path().join("image")).unwrap();
        Place { directory }
    }

    /// A path in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The command with these arguments, not started yet.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_unlade"));
        command.args(arguments).current_dir(self.directory.path());
        command.env_remove("SOURCE_DATE_EPOCH").env("UNLADE_STORE", self.path("store"));
        command.env("HOME", self.directory.path()).env("DOCKER_CONFIG", self.path("docker"));
        for name in PROXIES {
            command.env_remove(name);
        }
        command
    }

    /// Runs the command.
    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        Said::from(self.command(arguments).output().unwrap())
    }

    /// Runs the command, which must succeed.
    #[track_caller]
    pub(crate) fn done(&self, arguments: &[&str]) -> Said {
        let said = self.run(arguments);
        assert_eq!(said.code, Some(0), "{arguments:?}: {}", said.err);
        said
    }

    /// Names in the directory, hidden ones too.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.directory.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Said {
        Said {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The sha256 of a file.
pub(crate) fn sha256(path: &Path) -> String {
    testkit::sums::sha256(path).unwrap()
}

/// Turns a name from `unlade ls` back into bytes, by the rule that `docs/schemas/ls.json` states.
pub(crate) fn unescaped(shown: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), shown.as_bytes());
    while let Some((&first, more)) = rest.split_first() {
        rest = more;
        if first != b'\\' {
            bytes.push(first);
            continue;
        }
        let (&kind, more) = rest.split_first().unwrap();
        rest = more;
        match kind {
            b'\\' => bytes.push(b'\\'),
            b'n' => bytes.push(b'\n'),
            b'r' => bytes.push(b'\r'),
            b't' => bytes.push(b'\t'),
            b'x' => {
                let (digits, more) = rest.split_at(2);
                bytes.push(u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap());
                rest = more;
            }
            other => unreachable!("\\{} in {shown}", char::from(other)),
        }
    }
    bytes
}
