//! An image on its way into the store: what a pull tells those who read layers while others are still coming.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use hash::Digest;
use oci::{Descriptor, Image};

use crate::pull;

/// What of an image is there.
pub(crate) struct Arrivals {
    state: Mutex<State>,
    changed: Condvar,
    /// Set once nobody wants what is still to come.
    unwanted: AtomicBool,
}

struct State {
    /// Once it is known which image is meant.
    image: Option<Image>,
    /// The blobs that the store lacks.
    coming: BTreeSet<Digest>,
    end: Option<End>,
}

/// How a pull ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Complete,
    Failed,
}

/// The pull failed: it knows why.
pub(crate) struct NotComing;

impl Arrivals {
    /// Of an image that is about to be pulled.
    pub(crate) fn awaited() -> Arrivals {
        Arrivals::with_end(None)
    }

    /// Of an image that is in the store.
    pub(crate) fn complete() -> Arrivals {
        Arrivals::with_end(Some(End::Complete))
    }

    fn with_end(end: Option<End>) -> Arrivals {
        let state = State { image: None, coming: BTreeSet::new(), end };
        Arrivals { state: Mutex::new(state), changed: Condvar::new(), unwanted: AtomicBool::new(false) }
    }

    /// Pulls, and lets those who wait know of the end.
    pub(crate) fn during<T>(
        &self,
        pull: impl FnOnce(&Arrivals) -> Result<T, pull::Error>,
    ) -> Result<T, pull::Error> {
        /// Also a panic is an end.
        struct Fallen<'a>(&'a Arrivals);
        impl Drop for Fallen<'_> {
            fn drop(&mut self) {
                self.0.change(|state| state.end = state.end.or(Some(End::Failed)));
            }
        }
        let fallen = Fallen(self);
        let done = pull(self)?;
        fallen.0.change(|state| state.end = Some(End::Complete));
        Ok(done)
    }

    /// It is known which image is meant, and what the store lacks of it.
    pub(crate) fn resolved(&self, image: &Image, missing: &[&Descriptor]) {
        self.change(|state| {
            state.coming = missing.iter().map(|blob| blob.digest).collect();
            state.image = Some(image.clone());
        });
    }

    /// A blob is in the store.
    pub(crate) fn arrived(&self, blob: &Digest) {
        self.change(|state| {
            state.coming.remove(blob);
        });
    }

    /// Waits until it is known which image is meant. `None` if that will never be.
    pub(crate) fn image(&self) -> Option<Image> {
        let state = self.wait(|state| state.image.is_some() || state.end.is_some());
        state.image.clone()
    }

    /// Takes the first of `wanted` that is in the store, and waits if none is. `None` if none is left, none will come,
    /// or `stop` is set.
    pub(crate) fn take<T>(
        &self,
        wanted: &Mutex<Vec<T>>,
        blob: impl Fn(&T) -> Digest,
        stop: &AtomicBool,
    ) -> Option<T> {
        let mut taken = None;
        drop(self.wait(|state| {
            let mut wanted = wanted.lock().unwrap_or_else(PoisonError::into_inner);
            if wanted.is_empty() || stop.load(Ordering::Relaxed) {
                return true;
            }
            let here = wanted.iter().position(|item| !state.coming.contains(&blob(item)));
            taken = here.map(|place| wanted.remove(place));
            taken.is_some() || state.end.is_some()
        }));
        taken
    }

    /// Waits for the end of the pull: until its tag is written, the image is not the store's.
    pub(crate) fn finish(&self) -> Result<(), NotComing> {
        match self.wait(|state| state.end.is_some()).end {
            Some(End::Complete) => Ok(()),
            _ => Err(NotComing),
        }
    }

    /// Whether the pull has ended, and not well.
    pub(crate) fn has_failed(&self) -> bool {
        self.wait(|_| true).end == Some(End::Failed)
    }

    /// Lets those who wait look again at what they wait for.
    pub(crate) fn wake(&self) {
        self.change(|_| {});
    }

    /// Set once nobody wants the rest: the pull stops.
    pub(crate) fn unwanted(&self) -> &AtomicBool {
        &self.unwanted
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    fn wait(&self, mut is_over: impl FnMut(&State) -> bool) -> MutexGuard<'_, State> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.changed.wait_while(state, |state| !is_over(state)).unwrap_or_else(PoisonError::into_inner)
    }
}
