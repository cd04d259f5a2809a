//! How blobs come in: checked on the way, and under their name only when all is right.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::ControlFlow;

use hash::{Digest, Hasher, Mismatch};
use oci::Descriptor;

use super::part::Part;
use super::stream::{Broken, Flow, Range};
use crate::error::Error;
use crate::open::Store;

/// Is told how many bytes of a blob are there, and says whether to go on.
type Progress<'a> = &'a dyn Fn(u64) -> ControlFlow<()>;

/// Gives a blob's bytes from an offset on.
type Fetch<'a> = &'a mut dyn FnMut(u64) -> io::Result<Box<dyn Read + Send>>;

impl Store {
    /// Stores bytes that are in memory, and gives their SHA-256 digest.
    pub fn put_bytes(&self, bytes: &[u8]) -> Result<Digest, Error> {
        let digest = Digest::sha256(bytes);
        self.put_verified(&digest, bytes)?;
        Ok(digest)
    }

    /// Stores bytes that are in memory, if they are those that the digest names.
    pub fn put_document(&self, digest: &Digest, bytes: &[u8]) -> Result<(), Error> {
        hash::verify(bytes, digest, None)?;
        self.put_verified(digest, bytes)
    }

    /// Makes sure that a blob is there. `fetch` is asked for its bytes from an offset on, at most twice: if
    /// what an earlier attempt left turns out wrong at the end, everything is fetched once more.
    ///
    /// If another process or thread is fetching the blob, its work is waited for. `progress` is told the
    /// number of bytes that are there, and can break off at any time. What has arrived then is kept for the
    /// next attempt, and so it is if `fetch` or its reader fail, or the disk is full.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] for wrong bytes, of which nothing is kept; [`Error::Fetch`] with what `fetch` or
    /// its reader said; [`Error::Cancelled`]; [`Error::Io`] where the store cannot be written to.
    pub fn put(
        &self,
        descriptor: &Descriptor,
        fetch: Fetch<'_>,
        progress: Progress<'_>,
    ) -> Result<(), Error> {
        let Some(part) = self.arrive(descriptor, progress)? else { return Ok(()) };
        // A part that is too long is none of ours.
        let kept = Some(part.length()?).filter(|kept| *kept <= descriptor.size).unwrap_or(0);
        let mut outcome = resume(&part, kept, descriptor, fetch, progress);
        if kept > 0 && matches!(outcome, Err(Error::Mismatch(_))) {
            outcome = resume(&part, 0, descriptor, fetch, progress);
        }
        match outcome {
            Ok(()) => part.finish(),
            Err(error @ Error::Mismatch(_)) => part.remove().and(Err(error)),
            Err(error) => part.leave().and(Err(error)),
        }
    }

    /// Makes sure that a blob is there, taking it from `file` at `offset`. Blocks are shared with the file
    /// where the filesystem can do that; otherwise it costs one read, and one write.
    ///
    /// # Errors
    ///
    /// As [`Store::put`] has them, but nothing is kept.
    pub fn put_file(
        &self,
        descriptor: &Descriptor,
        file: &File,
        offset: u64,
        progress: Progress<'_>,
    ) -> Result<(), Error> {
        let Some(part) = self.arrive(descriptor, progress)? else { return Ok(()) };
        match copy(&part, descriptor, file, offset, progress) {
            Ok(()) => part.finish(),
            Err(error) => part.remove().and(Err(error)),
        }
    }

    fn put_verified(&self, digest: &Digest, mut bytes: &[u8]) -> Result<(), Error> {
        let descriptor = Descriptor::new(oci::MediaType::Other(String::new()), *digest, bytes.len() as u64);
        let Some(part) = self.arrive(&descriptor, &|_| ControlFlow::Continue(()))? else { return Ok(()) };
        let written = part
            .clear()
            .and_then(|()| io::copy(&mut bytes, &mut &part.file).map_err(Error::io("write", &part.path)));
        match written {
            Ok(_) => part.finish(),
            Err(error) => part.remove().and(Err(error)),
        }
    }

    /// The locked part of a blob that is to be put, or `None` if the blob is there, perhaps since just now.
    fn arrive(&self, descriptor: &Descriptor, progress: Progress<'_>) -> Result<Option<Part<'_>>, Error> {
        let there = || self.contains(&descriptor.digest, descriptor.size);
        while !there() {
            if let Some(part) = Part::lock(self, &descriptor.digest, progress)? {
                if !there() {
                    return Ok(Some(part));
                }
                part.remove()?;
            }
        }
        Ok(None)
    }
}

/// Fetches what is missing behind the first `kept` bytes of a part, and checks the whole.
fn resume(
    part: &Part<'_>,
    kept: u64,
    descriptor: &Descriptor,
    fetch: Fetch<'_>,
    progress: Progress<'_>,
) -> Result<(), Error> {
    let mut flow = flow(descriptor, progress);
    if kept == 0 {
        part.clear()?;
    } else {
        let mut before = Range { file: &part.file, position: 0, end: kept };
        flow = flow.run(&mut before, None).map_err(|broken| match broken {
            Broken::Read(error) => Error::io("read", &part.path)(error),
            broken => explain(broken, part, descriptor),
        })?;
    }
    (&part.file).seek(SeekFrom::Start(kept)).map_err(Error::io("write", &part.path))?;
    if flow.done < descriptor.size {
        let fail = |error| explain(Broken::Read(error), part, descriptor);
        let mut rest = fetch(flow.done).map_err(fail)?;
        let run = flow.run(&mut *rest, Some(&part.file));
        flow = run.map_err(|broken| explain(broken, part, descriptor))?;
    }
    check(flow, descriptor)
}

/// Copies a blob out of a file into an empty part, and checks it.
fn copy(
    part: &Part<'_>,
    descriptor: &Descriptor,
    file: &File,
    offset: u64,
    progress: Progress<'_>,
) -> Result<(), Error> {
    part.clear()?;
    let size = descriptor.size;
    let whole = offset == 0 && file.metadata().is_ok_and(|found| found.len() == size);
    let flow = flow(descriptor, progress);
    let done = if whole && host::clone_blocks(file, &part.file).is_ok() {
        // Only what can no longer change is worth being checked, so it is the clone that is read.
        flow.run(&mut Range { file: &part.file, position: 0, end: size }, None)
    } else {
        let end = offset.saturating_add(size);
        flow.run(&mut Range { file, position: offset, end }, Some(&part.file))
    };
    check(done.map_err(|broken| explain(broken, part, descriptor))?, descriptor)
}

fn flow<'a>(descriptor: &Descriptor, progress: Progress<'a>) -> Flow<'a> {
    let hasher = Hasher::new(descriptor.digest.algorithm());
    Flow { hasher, done: 0, size: descriptor.size, progress }
}

fn check(flow: Flow<'_>, descriptor: &Descriptor) -> Result<(), Error> {
    let (expected, digest) = (descriptor.size, descriptor.digest);
    if flow.done < expected {
        return Err(Mismatch::Short { digest, expected, found: flow.done }.into());
    }
    let found = flow.hasher.finish();
    if found == digest { Ok(()) } else { Err(Mismatch::Digest { expected: digest, found }.into()) }
}

fn explain(broken: Broken, part: &Part<'_>, descriptor: &Descriptor) -> Error {
    let digest = descriptor.digest;
    match broken {
        Broken::Read(source) => Error::Fetch { digest, source },
        Broken::Write(error) => Error::io("write", &part.path)(error),
        Broken::Long => Mismatch::Long { digest, expected: descriptor.size }.into(),
        Broken::Cancelled => Error::Cancelled,
    }
}
