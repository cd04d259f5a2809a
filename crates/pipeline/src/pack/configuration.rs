//! What glibc's loader is told by files: its cache, and the directories from which that is made.

use std::collections::BTreeSet;

use elf::loader::conf::{self, Line};

use super::system::System;
use crate::error::Error;

/// The cache.
pub(super) const CACHE: &[u8] = b"/etc/ld.so.cache";

/// Libraries that come in front of all others.
pub(super) const PRELOADED: &[u8] = b"/etc/ld.so.preload";

/// Most files and patterns of a configuration. A machine has some ten.
const FILES: usize = 10_000;

/// Most bytes of a file that a loader reads. The cache of a machine with everything on it has some hundred thousand.
const BYTES: u64 = 16 << 20;

/// Reads a small file; `None` if it is not there.
pub(super) fn read(system: &mut impl System, path: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    match system.find(path)? {
        Some(found) => system.read(found.file, BYTES).map(Some),
        None => Ok(None),
    }
}

/// The directories that `/etc/ld.so.conf` and the files that it includes name.
pub(super) fn directories(system: &mut impl System) -> Result<Vec<Box<[u8]>>, Error> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    // What is still to be read, the next one last.
    let mut left: Vec<Line> = vec![Line::Include((*b"/etc/ld.so.conf").into())];
    while let Some(line) = left.pop() {
        let pattern = match line {
            Line::Directory(directory) => {
                found.push(directory);
                continue;
            }
            Line::Include(pattern) => pattern,
        };
        let mut lines = Vec::new();
        for path in matching(system, &pattern)? {
            if seen.len() < FILES
                && seen.insert(path.clone())
                && let Some(text) = read(system, &path)?
            {
                let end = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                lines.extend(conf::parse(&text, &path[..end]));
            }
        }
        lines.truncate(FILES.saturating_sub(left.len()));
        left.extend(lines.into_iter().rev());
    }
    Ok(found)
}

/// Paths that an absolute pattern means, in order: `glob(7)`, without braces.
fn matching(system: &mut impl System, pattern: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
    let mut found = vec![Vec::new()];
    for part in pattern.split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
        if !part.iter().any(|byte| matches!(byte, b'*' | b'?' | b'[')) {
            found.iter_mut().for_each(|path| path.extend([b"/", part].concat()));
            continue;
        }
        let mut deeper = Vec::new();
        for directory in &found {
            for name in system.names(directory)? {
                let is_hidden = name.starts_with(b".") && !part.starts_with(b".");
                if !is_hidden && deeper.len() < FILES && fast_glob::glob_match(part, &*name) {
                    deeper.push([directory, &b"/"[..], &name].concat());
                }
            }
        }
        found = deeper;
    }
    Ok(found)
}
