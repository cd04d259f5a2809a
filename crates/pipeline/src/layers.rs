//! Reading an image's layers: every byte verified, in parallel, handed over in order.
//!
//! Here the layers are dealt out to threads and put back into their order; `reading` reads one.

pub(crate) mod reading;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;

use hash::Digest;
use layer::{Layer, Outline, ReadOptions};
use oci::Image;
use store::Store;
use tree::Change;

use crate::arrivals::{Arrivals, NotComing};
use crate::bed::Bed;
use crate::error::{Error, LayerFault};
use crate::event::Report;
use crate::output::{BUFFER, Gathering, Places};
use crate::spool::Spool;
use crate::tarballs::Tarballs;
use reading::Reading;

/// How many bytes all layers of an image may expand to together: four times what one may, so that many small
/// bombs do not do what a large one cannot.
pub const IMAGE_MAX: u64 = 1 << 40;

/// How many entries all layers of an image may have together, each as often as it stands in the manifest: four
/// times what one may have, for the same reason. Entries are what memory is spent on.
pub const IMAGE_ENTRIES_MAX: u64 = 4 * layer::tar::ENTRIES_MAX;

/// How the layers of an image are read.
#[derive(Debug, Clone)]
pub struct Options {
    /// What is kept, dropped and refused.
    pub read: ReadOptions,
    /// How far a blob may expand.
    pub expand: layer::compression::Limits,
    /// Most bytes that all layers may expand to together; [`IMAGE_MAX`].
    pub image_expanded: u64,
    /// Most entries that all layers may have together; [`IMAGE_ENTRIES_MAX`].
    pub image_entries: u64,
    /// How many layers are read at once, and how many threads compress; 0 for as many as there are processors.
    pub parallel: usize,
    /// Whether a blob that is compressed in another way than its media type says is refused.
    pub strict_media_type: bool,
}

impl Options {
    /// How many threads there are to be.
    pub(crate) fn threads(&self) -> usize {
        match self.parallel {
            0 => thread::available_parallelism().map_or(1, |n| n.get()),
            parallel => parallel,
        }
    }
}

impl Default for Options {
    fn default() -> Options {
        Options {
            read: ReadOptions::default(),
            expand: layer::compression::Limits::default(),
            image_expanded: IMAGE_MAX,
            image_entries: IMAGE_ENTRIES_MAX,
            parallel: 0,
            strict_media_type: false,
        }
    }
}

/// What happens to the contents of files.
#[derive(Clone, Copy)]
pub(crate) enum Contents<'a> {
    /// They go to a spool in this directory.
    Keep(&'a Path),
    /// They go to a bed.
    Lay(&'a Bed),
    /// They go to their places.
    Place(&'a Places<'a>),
    /// They stay in the layers' tarballs.
    Stay(&'a Tarballs<'a>),
    /// Nobody will ask for them.
    Drop,
}

/// One layer to be read, for every place that it has in the image.
pub(crate) struct Task<'a> {
    pub(crate) number: u32,
    pub(crate) layer: oci::Layer<'a>,
    /// The places above the first in which the same blob stands again.
    pub(crate) again: Vec<u32>,
}

/// Reads all layers of `image` out of `store`, and calls `each` with one after the other, from the bottom.
/// The first error in that order ends it. A layer is read as soon as it is there, also if others are not yet.
pub(crate) fn read(
    (store, arrivals): (&Store, &Arrivals),
    image: &Image,
    options: &Options,
    contents: Contents<'_>,
    report: Report<'_>,
    mut each: impl FnMut(Layer) -> Result<(), Error>,
) -> Result<Spool, Error> {
    let tasks = tasks(image);
    let spool = match contents {
        Contents::Stay(_) => Spool::with_tarballs(image.manifest.layers.len()),
        _ => Spool::new(image.manifest.layers.len(), is_repeated(image)),
    };
    let parallel = options.threads().min(tasks.len());
    let left = Mutex::new(tasks);
    let stop = AtomicBool::new(false);
    let expanded = AtomicU64::new(0);
    let (sender, results) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..parallel {
            let sender = sender.clone();
            let (left, spool) = (&left, &spool);
            let shared = Shared { options, stop: &stop, expanded: &expanded, report };
            scope.spawn(move || {
                let blob = |task: &Task<'_>| task.layer.descriptor.digest;
                while let Some(task) = arrivals.take(left, blob, shared.stop) {
                    let done = read_task(store, &task, contents, spool, shared);
                    if sender.send((task, done)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let handed_over = hand_over(results, options.image_entries, &mut each);
        stop.store(true, Ordering::Relaxed);
        arrivals.wake();
        handed_over
    })?;
    arrivals.finish().map_err(|NotComing| Error::NotPulled)?;
    Ok(spool)
}

/// Lists each blob once, the largest first: one that comes last would be read alone, while processors idle.
pub(crate) fn tasks(image: &Image) -> Vec<Task<'_>> {
    let mut tasks: Vec<Task<'_>> = Vec::new();
    let mut known: BTreeMap<(Digest, Digest), usize> = BTreeMap::new();
    for (number, layer) in (0..).zip(image.layers()) {
        let place = *known.entry((layer.descriptor.digest, *layer.diff_id)).or_insert(tasks.len());
        match tasks.get_mut(place) {
            Some(task) => task.again.push(number),
            None => tasks.push(Task { number, layer, again: Vec::new() }),
        }
    }
    tasks.sort_by_key(|task| Reverse(task.layer.descriptor.size));
    tasks
}

/// Whether a blob stands in the image twice.
pub(crate) fn is_repeated(image: &Image) -> bool {
    tasks(image).len() < image.manifest.layers.len()
}

/// The lowest place at which the layer stands that stands at `number`, too.
pub(crate) fn first_place(image: &Image, number: u32) -> u32 {
    let mut layers = image.layers();
    let layer = image.layers().nth(number as usize);
    let same = |other: oci::Layer<'_>| {
        layer.is_some_and(|layer| {
            (layer.descriptor.digest, layer.diff_id) == (other.descriptor.digest, other.diff_id)
        })
    };
    layers.position(same).map_or(number, |first| first as u32)
}

/// Brings results that come in any order into the order of the layers.
fn hand_over(
    results: mpsc::Receiver<(Task<'_>, Result<Layer, Error>)>,
    entries_max: u64,
    each: &mut impl FnMut(Layer) -> Result<(), Error>,
) -> Result<(), Error> {
    // By the first place; each is kept once, and copied only when its turn comes again.
    let mut waiting: BTreeMap<u32, Result<Layer, Error>> = BTreeMap::new();
    let mut first_places: BTreeMap<u32, u32> = BTreeMap::new();
    let mut left: BTreeMap<u32, usize> = BTreeMap::new();
    let (mut next, mut entries) = (0, 0u64);
    for (task, result) in results {
        let places = 1 + task.again.len();
        if let Ok(layer) = &result {
            entries = entries.saturating_add(layer.changes.len() as u64 * places as u64);
            if entries > entries_max {
                let fault = Box::new(LayerFault::ImageEntries { limit: entries_max });
                return Err(Error::Layer { number: task.number, blob: task.layer.descriptor.digest, fault });
            }
        }
        waiting.insert(task.number, result);
        left.insert(task.number, places);
        first_places.extend(task.again.iter().chain([&task.number]).map(|&place| (place, task.number)));
        while let Some(first) = first_places.remove(&next) {
            let places = left.entry(first).or_default();
            *places -= 1;
            let layer = match waiting.get(&first) {
                Some(Ok(layer)) if *places > 0 => Layer { number: next, ..layer.clone() },
                _ => match waiting.remove(&first) {
                    Some(layer) => Layer { number: next, ..layer? },
                    None => unreachable!("a layer is kept until its last place"),
                },
            };
            each(layer)?;
            next += 1;
        }
    }
    // The workers stopped early: the error that made them stop is the first that is left.
    waiting.into_values().find_map(Result::err).map_or(Ok(()), Err)
}

/// What all layers of an image have in common while they are read.
#[derive(Clone, Copy)]
pub(crate) struct Shared<'a> {
    pub(crate) options: &'a Options,
    /// Set once nobody wants the rest.
    pub(crate) stop: &'a AtomicBool,
    /// Bytes that came out of all layers so far.
    pub(crate) expanded: &'a AtomicU64,
    pub(crate) report: Report<'a>,
}

fn read_task(
    store: &Store,
    task: &Task<'_>,
    contents: Contents<'_>,
    spool: &Spool,
    shared: Shared<'_>,
) -> Result<Layer, Error> {
    let descriptor = task.layer.descriptor;
    let fail = |fault| Error::Layer { number: task.number, blob: descriptor.digest, fault: Box::new(fault) };
    if let Contents::Stay(tarballs) = contents {
        // An outline says of files where they lie in a content space, which these do not.
        return tarballs.read(store, task, spool, shared);
    }
    let (reading, blob) = Reading::start(store, task.number, task.layer, shared)?;
    let layer = match contents {
        Contents::Drop | Contents::Stay(_) => reading.run(blob, io::sink()),
        Contents::Lay(bed) => buffered(&reading, blob, Gathering::new(bed.of_layer(task.number))),
        Contents::Place(places) => buffered(&reading, blob, Gathering::new(places.of_layer(task.number))),
        Contents::Keep(directory) => match spool.create(task.number, directory) {
            Ok(file) => buffered(&reading, blob, BufWriter::with_capacity(BUFFER, file)),
            Err(error) => Err(LayerFault::Spool(error)),
        },
    };
    let layer = layer.map_err(fail)?;
    reading.remember_diff_id(store);
    if !store.has_outline(&descriptor.digest) {
        let outline = Outline::of(&layer, &shared.options.read);
        let _ = store.remember_outline(&descriptor.digest, &outline.pack());
    }
    Ok(layer)
}

/// Reads the `number`th layer of an image as far as its content space reaches to `end`, and gives the changes to
/// there. The blob is verified to its end.
pub(crate) fn read_to(
    store: &Store,
    image: &Image,
    number: u32,
    end: u64,
    contents: impl Write,
    options: &Options,
    report: Report<'_>,
) -> Result<Vec<Change>, Error> {
    let layer =
        image.layers().nth(number as usize).expect("whoever has a place in a layer got it from the image");
    let (stop, expanded) = (AtomicBool::new(false), AtomicU64::new(0));
    let shared = Shared { options, stop: &stop, expanded: &expanded, report };
    let (reading, blob) = Reading::start(store, number, layer, shared)?;
    // A diff ID is that of all bytes.
    let last = |change: &Change| {
        !reading.verify_diff_id && change.content_end().is_some_and(|reached| reached >= end)
    };
    let mut contents = BufWriter::with_capacity(BUFFER, contents);
    let read = reading.run_until(blob, &mut contents, last);
    let read = read.and_then(|changes| contents.flush().map(|()| changes).map_err(LayerFault::Spool));
    read.map_err(|fault| Error::Layer { number, blob: layer.descriptor.digest, fault: Box::new(fault) })
}

/// Reads a layer whose contents go out in large writes, through `contents` that gathers them.
fn buffered(reading: &Reading<'_>, blob: File, mut contents: impl Write) -> Result<Layer, LayerFault> {
    let layer = reading.run(blob, &mut contents)?;
    contents.flush().map_err(LayerFault::Spool)?;
    Ok(layer)
}
