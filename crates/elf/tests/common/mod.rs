//! Files for the tests: small ones made by code, and those of the machine.

#![allow(dead_code, reason = "each test needs some of it")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "judges are processes that work on files"
)]

pub(crate) mod fill;
pub(crate) mod follow;
pub(crate) mod image;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use unlade_elf::{Outcome, Patch, rewrite};

/// Rewrites what can be; `machine.rs` judges what cannot.
pub(crate) fn patch(bytes: &[u8]) -> Option<Patch> {
    match rewrite(bytes).unwrap() {
        Outcome::Rewritten(patch) => Some(patch),
        Outcome::Kept(_) | Outcome::Unrewritable { .. } => None,
    }
}

pub(crate) fn patched(bytes: &[u8], patch: &Patch) -> Vec<u8> {
    let mut file = bytes.to_vec();
    patch.apply(&mut file);
    file
}

/// What the trailer of a rewritten file says: the trampoline's offset, its address, its bytes.
pub(crate) fn trampoline(file: &[u8]) -> (u64, u64, &[u8]) {
    let trailer = &file[file.len() - 32..];
    assert_eq!(&trailer[..8], b"LITEBOX0");
    let [offset, address, size] =
        [8, 16, 24].map(|at| u64::from_le_bytes(trailer[at..at + 8].try_into().unwrap()));
    assert_eq!(offset + size, file.len() as u64 - 32);
    assert_eq!((offset % 4096, address % 4096), (0, 0));
    (offset, address, &file[offset as usize..file.len() - 32])
}

/// ELF files of the machine: `most` of them, evenly out of all, or as many as `UNLADE_ELF_FILES` says.
pub(crate) fn files(most: usize) -> Vec<PathBuf> {
    let most = std::env::var("UNLADE_ELF_FILES").map_or(most, |text| text.parse().unwrap());
    let mut found = Vec::new();
    for directory in ["/usr/bin", "/usr/sbin", "/usr/lib/x86_64-linux-gnu"] {
        for entry in fs::read_dir(directory).into_iter().flatten() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() && is_elf(&entry.path()) {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    let step = (found.len() / most).max(1);
    let mut chosen: Vec<PathBuf> = found.into_iter().step_by(step).take(most).collect();
    // Files that call the kernel themselves are few.
    for always in ["/usr/lib/x86_64-linux-gnu/libc.so.6", "/usr/sbin/ldconfig"] {
        chosen.push(fs::canonicalize(always).unwrap());
    }
    chosen.sort();
    chosen.dedup();
    chosen
}

fn is_elf(path: &Path) -> bool {
    use std::io::Read as _;
    let mut magic = [0; 4];
    fs::File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == *b"\x7fELF"
}

/// Runs another program, which has to succeed, and gives what it says.
pub(crate) fn run(command: &mut Command) -> String {
    let output =
        command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; see cargo xtask setup"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
