//! Fetching layers, and doing other things with blobs, several at once.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use oci::{Descriptor, Image};
use store::Store;

use super::Error;
use crate::arrivals::Arrivals;
use crate::event::{Event, Report};
use crate::source::Origin;

/// How often it is told how far a blob is.
const INTERVAL: Duration = Duration::from_millis(100);

/// Brings what the store lacks of an image from `origin` into it. The first failure stops everything.
pub(super) fn fetch(
    origin: &dyn Origin,
    (image, missing): (&Image, &[&Descriptor]),
    store: &Store,
    parallel: usize,
    arrivals: &Arrivals,
    report: Report<'_>,
) -> Result<(), Error> {
    let fetch = |blob: &Descriptor, stop: &AtomicBool| {
        fetch_one(origin, blob, store, stop, report)?;
        arrivals.arrived(&blob.digest);
        Ok(())
    };
    each(missing, parallel, arrivals.unwanted(), &fetch)
        .map_err(|(error, blob)| explain(error, blob, image))?;
    // Those that were told to stop have nothing to say, and the image is not whole.
    if arrivals.unwanted().load(Ordering::Relaxed) { Err(Error::Unwanted) } else { Ok(()) }
}

/// Does something with blobs, several at once. The first failure stops everything, as others may by `stop`, and is
/// given with its blob.
pub(crate) fn each<'a, E: Send>(
    blobs: &[&'a Descriptor],
    parallel: usize,
    stop: &AtomicBool,
    work: &(dyn Fn(&Descriptor, &AtomicBool) -> Result<(), E> + Sync),
) -> Result<(), (E, &'a Descriptor)> {
    let next = AtomicUsize::new(0);
    let failure = Mutex::new(None);
    let work = || {
        while let Some(blob) = blobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            if let Err(error) = work(blob, stop) {
                // Those that stop because they are told to have nothing to say.
                let first = !stop.swap(true, Ordering::Relaxed);
                if first && let Ok(mut failure) = failure.lock() {
                    *failure = Some((error, *blob));
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..parallel.clamp(1, blobs.len().max(1)) {
            scope.spawn(work);
        }
        work();
    });
    failure.into_inner().ok().flatten().map_or(Ok(()), Err)
}

/// Brings a blob into the store.
pub(crate) fn fetch_one(
    origin: &dyn Origin,
    descriptor: &Descriptor,
    store: &Store,
    stop: &AtomicBool,
    report: Report<'_>,
) -> Result<(), Error> {
    let (blob, total) = (descriptor.digest, descriptor.size);
    let told = Cell::new(None::<Instant>);
    let progress = |done| {
        if told.get().is_none_or(|told| told.elapsed() >= INTERVAL) {
            told.set(Some(Instant::now()));
            report(Event::Fetch { blob, done, total });
        }
        if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    origin.put(descriptor, store, &progress)?;
    report(Event::Fetch { blob, done: total, total });
    Ok(())
}

fn explain(error: Error, descriptor: &Descriptor, image: &Image) -> Error {
    let number = image.manifest.layers.iter().position(|layer| layer.digest == descriptor.digest);
    match number {
        Some(number) => Error::Layer { number, blob: descriptor.digest, cause: Box::new(error) },
        None => error,
    }
}
