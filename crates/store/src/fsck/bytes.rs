//! The blobs themselves: names, sizes and every byte.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Read};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use hash::{Algorithm, Digest, Hasher, Mismatch};

use super::finding::{Finding, chain};
use super::{Depth, Needed, Options};
use crate::error::Error;
use crate::images::list;
use crate::open::Store;

/// Bytes that are read and hashed at once.
const CHUNK: usize = 1 << 20;

/// Looks for things among the blobs that are none.
pub(super) fn check_names(store: &Store, findings: &mut Vec<Finding>) -> Result<(), Error> {
    let directories =
        [Algorithm::Sha256, Algorithm::Sha512].map(|algorithm| (algorithm, store.paths.blobs(algorithm)));
    for entry in directories[0].1.parent().map_or(Ok(Vec::new()), list)? {
        if directories.iter().all(|(algorithm, _)| entry.file_name() != *algorithm.name()) {
            findings.push(Finding::Stray { path: entry.path() });
        }
    }
    for (algorithm, directory) in directories {
        for entry in list(&directory)? {
            let path = entry.path();
            let name = entry.file_name().to_str().map(|hex| format!("{}:{hex}", algorithm.name()));
            match name.and_then(|name| name.parse().ok()) {
                None => findings.push(Finding::Stray { path }),
                Some(digest) if entry.file_type().is_ok_and(|found| !found.is_file()) => {
                    findings.push(Finding::NotAFile { digest, path });
                }
                Some(_) => {}
            }
        }
    }
    Ok(())
}

/// Compares blobs with their names and with what is said of them, several at once.
pub(super) fn check(
    store: &Store,
    mut blobs: Vec<(Digest, u64)>,
    needed: &BTreeMap<Digest, Needed>,
    options: &Options<'_>,
    verified: &mut BTreeSet<Digest>,
) -> Vec<Finding> {
    // The largest first: one that comes last would be read alone, while processors idle.
    blobs.sort_by_key(|(digest, size)| (std::cmp::Reverse(*size), *digest));
    let total: u64 = blobs.iter().map(|(_, size)| size).sum();
    let (next, done) = (AtomicUsize::new(0), AtomicU64::new(0));
    let findings = Mutex::new(Vec::new());
    let work = || {
        let mut buffer = vec![0; CHUNK];
        while let Some((digest, size)) = blobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut read = |count: u64| {
                let before = done.fetch_add(count, Ordering::Relaxed);
                (options.progress)(before + count, total);
            };
            let depth = if options.verified.contains(digest) { Depth::References } else { options.depth };
            let found = check_one(store, digest, *size, needed, depth, &mut buffer, &mut read);
            if let (Some(finding), Ok(mut findings)) = (found, findings.lock()) {
                findings.push(finding);
            }
        }
    };
    let threads = match options.depth {
        Depth::Bytes => thread::available_parallelism().map_or(1, |n| n.get()).min(blobs.len()),
        Depth::References => 1,
    };
    thread::scope(|scope| {
        for _ in 1..threads.max(1) {
            scope.spawn(work);
        }
        work();
    });
    let findings = findings.into_inner().unwrap_or_default();
    if options.depth == Depth::Bytes {
        let bad: BTreeSet<Digest> = findings.iter().filter_map(Finding::digest).collect();
        verified.extend(blobs.iter().map(|(digest, _)| *digest).filter(|digest| !bad.contains(digest)));
    }
    findings
}

fn check_one(
    store: &Store,
    digest: &Digest,
    size: u64,
    needed: &BTreeMap<Digest, Needed>,
    depth: Depth,
    buffer: &mut [u8],
    read: &mut dyn FnMut(u64),
) -> Option<Finding> {
    let names = || needed.get(digest).map(|needed| needed.names.clone()).unwrap_or_default();
    let stated = needed.get(digest).and_then(|needed| needed.size);
    let (digest, expected) = (*digest, stated.unwrap_or(size));
    let mismatch = match depth {
        Depth::References if size < expected => Some(Mismatch::Short { digest, expected, found: size }),
        Depth::References if size > expected => Some(Mismatch::Long { digest, expected }),
        Depth::References => None,
        Depth::Bytes => match digest_of(store, &digest, buffer, read) {
            Ok(found) if found == digest => None,
            Ok(_) if size < expected => Some(Mismatch::Short { digest, expected, found: size }),
            Ok(_) if size > expected => Some(Mismatch::Long { digest, expected }),
            Ok(found) => Some(Mismatch::Digest { expected: digest, found }),
            // Another process removed it.
            Err(Error::Missing { .. }) => return None,
            Err(Error::NotAFile { path }) => return Some(Finding::NotAFile { digest, path }),
            Err(error) => return Some(Finding::Unreadable { digest, cause: chain(&error) }),
        },
    };
    match (mismatch, stated) {
        (Some(mismatch), _) => Some(Finding::Corrupt { digest, mismatch, names: names() }),
        (None, Some(stated)) if stated != size => {
            Some(Finding::WrongSize { digest, stated, found: size, names: names() })
        }
        (None, _) => None,
    }
}

fn digest_of(
    store: &Store,
    digest: &Digest,
    buffer: &mut [u8],
    read: &mut dyn FnMut(u64),
) -> Result<Digest, Error> {
    let mut file = store.open_file(digest)?;
    let mut hasher = Hasher::new(digest.algorithm());
    loop {
        match file.read(buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(count) => {
                hasher.update(&buffer[..count]);
                read(count as u64);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io("read", &store.paths.blob(digest))(error)),
        }
    }
}
