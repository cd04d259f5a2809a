//! Layers of an image into a repository, several at once. One that is there already is not read again: what it says
//! comes from its stream, in which the bytes of larger files are not.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use composefs::{INLINE_MAX, LayerWriter, Part, Parts, Present, Repository, StreamName};
use hash::{Digest, FileDigest};
use layer::Layer;
use oci::Image;
use store::Store;

use super::Options;
use crate::error::{Error, LayerFault};
use crate::event::Report;
use crate::layers::reading::Reading;
use crate::layers::{Shared, Task, tasks};

/// A layer that is in the repository.
#[derive(Clone)]
pub(super) struct Stored {
    pub(super) layer: Layer,
    pub(super) stream: FileDigest,
    /// The objects of its larger files, in the order of its tarball.
    pub(super) objects: Vec<FileDigest>,
    pub(super) is_new: bool,
}

/// Makes sure that all layers of an image are in the repository. New ones have no names yet.
pub(super) fn store_layers(
    store: &Store,
    image: &Image,
    repository: &Repository,
    options: &Options,
    report: Report<'_>,
) -> Result<Vec<Stored>, Error> {
    let tasks = tasks(image);
    let (next, stop, expanded) = (AtomicUsize::new(0), AtomicBool::new(false), AtomicU64::new(0));
    let failed = AtomicBool::new(false);
    let present = if options.verify { Present::Checked } else { Present::Trusted };
    let done: Mutex<BTreeMap<u32, Result<Stored, Error>>> = Mutex::default();
    let parallel = match options.layers.parallel {
        0 => thread::available_parallelism().map_or(1, |n| n.get()),
        parallel => parallel,
    };
    thread::scope(|scope| {
        for _ in 0..parallel.min(tasks.len()) {
            let shared = Shared { options: &options.layers, stop: &stop, expanded: &expanded, report };
            scope.spawn({
                let (tasks, next, done, failed) = (&tasks, &next, &done, &failed);
                move || {
                    while let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if failed.load(Ordering::Relaxed) {
                            return;
                        }
                        let stored = one(store, task, repository, shared, present);
                        if stored.is_err() {
                            failed.store(true, Ordering::Relaxed);
                        }
                        done.lock().unwrap_or_else(PoisonError::into_inner).insert(task.number, stored);
                    }
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    // Of several errors the one of the lowest layer.
    if let Some(failed) = done.iter().find(|(_, stored)| stored.is_err()).map(|(number, _)| *number)
        && let Some(Err(error)) = done.remove(&failed)
    {
        return Err(error);
    }
    let mut places: BTreeMap<u32, Stored> = BTreeMap::new();
    for task in &tasks {
        let Some(Ok(stored)) = done.remove(&task.number) else { continue };
        for &number in task.again.iter().chain([&task.number]) {
            let mut stored = stored.clone();
            stored.layer.number = number;
            places.insert(number, stored);
        }
    }
    let mut entries = 0;
    for (number, stored) in &places {
        entries += stored.layer.changes.len() as u64;
        if entries > options.layers.image_entries {
            let limit = options.layers.image_entries;
            let fault = Box::new(LayerFault::ImageEntries { limit });
            return Err(Error::Layer {
                number: *number,
                blob: image.manifest.layers[*number as usize].digest,
                fault,
            });
        }
    }
    Ok(places.into_values().collect())
}

fn one(
    store: &Store,
    task: &Task<'_>,
    repository: &Repository,
    shared: Shared<'_>,
    present: Present,
) -> Result<Stored, Error> {
    let oci::Layer { descriptor, diff_id } = task.layer;
    let fail = |fault| Error::Layer { number: task.number, blob: descriptor.digest, fault: Box::new(fault) };
    if let Some(known) = known(repository, task.number, diff_id, shared.options, present) {
        return Ok(known);
    }
    let (reading, blob) = Reading::start(store, task.number, task.layer, shared)?;
    let mut parts = Storing(repository.layer(present)?);
    let layer = reading.split(blob, &mut parts, INLINE_MAX).map_err(fail)?;
    let (stream, objects) = parts.0.finish()?;
    if reading.verify_diff_id {
        let _ = store.remember_diff_id(&descriptor.digest, diff_id);
    }
    Ok(Stored { layer, stream, objects, is_new: true })
}

/// Deals a layer's bytes out to a repository.
struct Storing<'r>(LayerWriter<'r>);

impl layer::Parts for Storing<'_> {
    fn inline(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.inline(bytes)
    }

    fn begin(&mut self, _size: u64) -> io::Result<()> {
        self.0.begin();
        Ok(())
    }

    fn content(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.content(bytes)
    }

    fn end(&mut self) -> io::Result<()> {
        self.0.end()
    }
}

/// Wants none of a layer's bytes.
struct Nothing;

impl layer::Parts for Nothing {
    fn inline(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn begin(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn content(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A layer that the repository has, if nothing of it is missing. One that is damaged or lacks something is stored anew,
/// and whoever reads it for that says what is wrong with it.
fn known(
    repository: &Repository,
    number: u32,
    diff_id: &Digest,
    options: &crate::layers::Options,
    present: Present,
) -> Option<Stored> {
    let stream = repository.stream(&StreamName::Layer(*diff_id)).ok()?;
    let size = |object: &FileDigest| {
        let size = repository.open_object(object).ok()?.metadata().ok()?.len();
        repository.has(object, size, present).then_some(size)
    };
    size(&stream)?;
    let opened = repository.open_stream(&stream).ok()?;
    let mut sizes = BTreeMap::new();
    for object in &opened.objects {
        sizes.insert(*object, size(object)?);
    }
    let parts = opened.parts().ok()?;
    let tarball = Hollow { parts, sizes: &sizes, inline: Vec::new(), at: 0, zeros: 0, objects: Vec::new() };
    let mut tarball = BufReader::with_capacity(1 << 20, tarball);
    let layer = layer::split(number, &mut tarball, &mut Nothing, INLINE_MAX, &options.read).ok()?;
    let whole = layer.tarball_length == opened.size;
    whole.then(|| Stored { layer, stream, objects: tarball.into_inner().objects, is_new: false })
}

/// A layer's tarball with zeros for the bytes of its larger files, which nobody looks at.
struct Hollow<'a> {
    parts: Parts<'a>,
    sizes: &'a BTreeMap<FileDigest, u64>,
    /// What is to come first, from `at` on.
    inline: Vec<u8>,
    at: usize,
    zeros: u64,
    objects: Vec<FileDigest>,
}

impl Read for Hollow<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.inline.len() && self.zeros == 0 {
            match self.parts.step().map_err(io::Error::other)? {
                None => return Ok(0),
                Some(Part::Inline(bytes)) => {
                    self.inline.clear();
                    self.inline.extend_from_slice(bytes);
                    self.at = 0;
                }
                Some(Part::Object(object)) => {
                    self.zeros = self.sizes.get(&object).copied().unwrap_or(0);
                    self.objects.push(object);
                }
            }
        }
        if self.zeros > 0 {
            let length = usize::try_from(self.zeros).unwrap_or(usize::MAX).min(into.len());
            into[..length].fill(0);
            self.zeros -= length as u64;
            return Ok(length);
        }
        let length = (&self.inline[self.at..]).read(into)?;
        self.at += length;
        Ok(length)
    }
}
