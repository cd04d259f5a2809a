//! Which programs a command runs, as far as its words and first lines of scripts say.

use oci::Execution;

use super::system::{System, absolute};
use crate::error::Error;

/// Where a command is looked for if nobody says: what containers get, and what shells take.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// As much of a script as the kernel reads.
pub(super) const LINE: usize = 256;

/// What processes are told about where things are.
#[derive(Debug, Clone)]
pub(super) struct Environment {
    directory: Vec<u8>,
    path: Vec<Vec<u8>>,
    /// Directories of `LD_LIBRARY_PATH`.
    pub(super) library_path: Vec<Box<[u8]>>,
    /// Libraries of `LD_PRELOAD`.
    pub(super) preloaded: Vec<Box<[u8]>>,
}

impl Default for Environment {
    fn default() -> Environment {
        Environment::of(&Execution::default())
    }
}

impl Environment {
    /// What an image's config says.
    pub(super) fn of(execution: &Execution) -> Environment {
        let value = |name: &str| {
            let values = execution.env.iter().filter_map(|line| line.split_once('='));
            values.filter(|(found, _)| *found == name).map(|(_, value)| value).next_back()
        };
        let words = |text: Option<&str>, separators: &[char]| -> Vec<Box<[u8]>> {
            let words = text.unwrap_or_default().split(separators).filter(|word| !word.is_empty());
            words.map(|word| word.as_bytes().into()).collect()
        };
        let directory = execution.working_dir.as_bytes();
        // An empty word is the working directory.
        let path = value("PATH").unwrap_or(DEFAULT_PATH).split(':');
        Environment {
            directory: directory.into(),
            path: path.map(|word| absolute(directory, word.as_bytes())).collect(),
            library_path: words(value("LD_LIBRARY_PATH"), &[':', ';']),
            preloaded: words(value("LD_PRELOAD"), &[':', ' ']),
        }
    }

    /// The absolute path of a file that a process names.
    pub(super) fn absolute(&self, path: &[u8]) -> Vec<u8> {
        absolute(&self.directory, path)
    }

    /// The absolute path of the program that a word means, as a shell looks for it.
    pub(super) fn program(&self, word: &[u8], system: &mut impl System) -> Result<Option<Vec<u8>>, Error> {
        if word.contains(&b'/') {
            let path = self.absolute(word);
            return Ok(system.find(&path)?.map(|_| path));
        }
        for directory in self.path.iter().filter(|_| !word.is_empty()) {
            let path = [directory, &b"/"[..], word].concat();
            if system.find(&path)?.is_some_and(|found| found.is_executable) {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }
}

/// What the first line of a script runs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Interpreter<'a> {
    /// The program.
    pub(super) path: &'a [u8],
    /// The program that this one looks for, if it is `env`.
    pub(super) command: Option<&'a [u8]>,
}

/// Reads the first line of a script; `None` if the kernel takes the file for none.
pub(super) fn interpreter(start: &[u8]) -> Option<Interpreter<'_>> {
    let start = &start[..start.len().min(LINE)];
    let line = start.strip_prefix(b"#!")?;
    let line = line.split(|byte| *byte == b'\n').next()?.trim_ascii();
    let (path, argument) = line.split_at(line.iter().position(is_blank).unwrap_or(line.len()));
    let is_env = path.rsplit(|byte| *byte == b'/').next() == Some(b"env");
    let command = if is_env { command_of_env(argument.trim_ascii()) } else { None };
    (!path.is_empty()).then_some(Interpreter { path, command })
}

/// The program in `prog`, or in `-S VAR=value prog argument`.
fn command_of_env(argument: &[u8]) -> Option<&[u8]> {
    let splits = [&b"-S"[..], b"--split-string=", b"-vS"];
    let Some(text) = splits.iter().find_map(|option| argument.strip_prefix(*option)) else {
        return (!argument.is_empty() && !argument.starts_with(b"-")).then_some(argument);
    };
    let mut words = text.split(is_blank).filter(|word| !word.is_empty());
    words.find(|word| !word.starts_with(b"-") && !word.contains(&b'='))
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_lines() {
        for (line, path, command) in [
            ("#!/bin/sh\nrest", "/bin/sh", None),
            ("#! \t/bin/sh -e \nrest", "/bin/sh", None),
            ("#!/usr/bin/env python3\n", "/usr/bin/env", Some("python3")),
            ("#!/usr/bin/env -S PATH=/x perl -w\n", "/usr/bin/env", Some("perl")),
            ("#!/usr/bin/env -Snode", "/usr/bin/env", Some("node")),
            ("#!/usr/bin/env -i\n", "/usr/bin/env", None),
            ("#!/usr/bin/environment x\n", "/usr/bin/environment", None),
        ] {
            let expected = Interpreter { path: path.as_bytes(), command: command.map(str::as_bytes) };
            assert_eq!(interpreter(line.as_bytes()), Some(expected), "{line}");
        }
        for line in ["", "#", "#!", "#!\n/bin/sh", "# /bin/sh"] {
            assert_eq!(interpreter(line.as_bytes()), None, "{line}");
        }
    }
}
