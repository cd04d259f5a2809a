//! A rootfs that was built once is taken from the store the next time.
//!
//! [`build`](crate::build()) leaves what it built in the store, if that is wanted, under the image and all else that
//! decided the bytes; [`reuse`] takes it from there. The store's file is another one than the output, since whoever
//! gets the output may write to it; where the filesystem can, they share their blocks. Every byte is compared with a
//! checksum from the time of the build on its way (`file`), so that damage ends in a build and not in a wrong rootfs.

mod file;
mod pass;

use std::fs::File;
use std::io;
use std::path::Path;

use hash::Digest;
use oci::Image;
use store::Store;

use crate::error::Error;
use crate::event::Report;
use crate::options::{Format, Options};
use crate::prebuilt::VERSION;
use crate::publish::Unpublished;
use crate::write::Job;
use file::Record;
use pass::{Fault, Pass};

/// A rootfs that was taken from the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reused {
    /// Its size in bytes, holes included.
    pub size: u64,
}

/// A rootfs that the store remembers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// How it was built: the format and the options.
    pub terms: String,
    /// Its size in bytes, holes included.
    pub size: u64,
    /// Bytes that it takes on the disk.
    pub stored_bytes: u64,
}

/// Whether a rootfs of this format can be remembered: it has to be one file.
pub fn is_rememberable(format: &Format) -> bool {
    !matches!(format, Format::Directory)
}

/// Takes the rootfs that an earlier build of the image with these options left in the store, and publishes it as
/// `path`. `None` if there is none. One that is damaged is forgotten, which `damaged` is told, and there is none either.
pub fn reuse(
    store: &Store,
    image: &Image,
    options: &Options,
    path: &Path,
    damaged: &mut dyn FnMut(),
    report: Report<'_>,
) -> Result<Option<Reused>, Error> {
    let (manifest, terms) = (image.descriptor.digest, terms(options));
    let key = key(&terms);
    let Some(kept) = store.rootfs(&manifest, &key) else { return Ok(None) };
    let mut forget = || {
        store.forget_rootfs(&manifest, &key);
        damaged();
        Ok(None)
    };
    let Some(record) = Record::read(&kept).filter(|record| record.terms == terms) else { return forget() };
    let fail = |cause| Error::Output { path: path.into(), cause };
    if let Some((frame, _)) = options.format.framed() {
        frame.check_device(path).map_err(fail)?;
    }
    let output = Unpublished::create(path, record.size).map_err(fail)?;
    match copy(&kept, &record, &output.file, report) {
        Ok(()) => {}
        Err(Fault::Write(cause)) => return Err(fail(cause)),
        Err(Fault::Read(_) | Fault::Differs) => return forget(),
    }
    output.publish().map_err(fail)?;
    store.touch(&manifest);
    store.touch_rootfs(&manifest, &key);
    Ok(Some(Reused { size: record.size }))
}

/// Leaves a rootfs that was just built in the store. `rootfs` has no name yet that anybody could change it by.
pub(crate) fn remember(job: &Job<'_>, rootfs: &File, size: u64) -> Result<(), store::Error> {
    let (manifest, terms) = (job.image.descriptor.digest, terms(job.options));
    let path = job.store.rootfs_path(&manifest, &key(&terms))?;
    write(rootfs, size, terms, &path).map_err(|source| store::Error::Io { action: "write", path, source })
}

fn write(rootfs: &File, size: u64, terms: String, path: &Path) -> io::Result<()> {
    let kept = Unpublished::create(path, 0)?;
    let cloned = host::clone_blocks(rootfs, &kept.file).is_ok();
    // What the store will have is what is to be summed up.
    let (from, into) = if cloned { (&kept.file, None) } else { (rootfs, Some(&kept.file)) };
    let checksums = Pass { from, into, flushed: false, size, report: &|_| {} }.sum_up()?;
    Record { terms, size, checksums }.append(&kept.file)?;
    // What a crash of the machine leaves of it will be found to be damaged.
    kept.publish_unflushed()
}

fn copy(kept: &File, record: &Record, output: &File, report: Report<'_>) -> Result<(), Fault> {
    // A device has no blocks to share, and is never a clone.
    let cloned = host::clone_blocks(kept, output).is_ok();
    if cloned {
        output.set_len(record.size).map_err(Fault::Write)?;
    }
    // Only what can no longer change is worth being checked, so it is the clone that is read.
    let (from, into) = if cloned { (output, None) } else { (kept, Some(output)) };
    Pass { from, into, flushed: true, size: record.size, report }.compare(&record.checksums)
}

/// What is remembered of an image.
pub fn remembered(store: &Store, image: &Image) -> Result<Vec<Remembered>, store::Error> {
    let mut found = Vec::new();
    for rootfs in store.all_rootfs()?.into_iter().filter(|rootfs| rootfs.manifest == image.descriptor.digest)
    {
        let file = store.rootfs(&rootfs.manifest, &rootfs.key);
        if let Some(Record { terms, size, .. }) = file.and_then(|file| Record::read(&file)) {
            found.push(Remembered { terms, size, stored_bytes: rootfs.bytes });
        }
    }
    Ok(found)
}

/// Whether a file of the store is a rootfs that can be taken, as far as its record says.
pub fn is_readable(kept: &File) -> bool {
    Record::read(kept).is_some()
}

/// Whether each of its bytes is as it was.
pub fn is_whole(kept: &File) -> bool {
    Record::read(kept).is_some_and(|record| {
        let pass = Pass { from: kept, into: None, flushed: false, size: record.size, report: &|_| {} };
        pass.compare(&record.checksums).is_ok()
    })
}

/// All that decides the bytes of a rootfs beside its image: as machines have it that share theirs, and what decides
/// whether there is one at all.
fn terms(options: &Options) -> String {
    let mut terms = format!("{} version={VERSION}", options.spelled());
    if options.layers.strict_media_type || options.layers.read.strict {
        terms += " strict";
    }
    if options.allow_empty {
        terms += " allow-empty";
    }
    terms
}

fn key(terms: &str) -> Digest {
    Digest::sha256(terms.as_bytes())
}
