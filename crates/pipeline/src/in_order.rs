//! Work that many threads do in any order, and whose results come in order.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, mpsc};
use std::thread;

/// So many results for each thread may wait until their turn comes.
const AHEAD: usize = 2;

/// Does the jobs from 0 to `count` in so many threads, and hands what comes of them to `take`, from the first on. Each
/// thread has something of its own from `start`. An error of `take` ends it; jobs that run then are still done.
pub(crate) fn in_order<S, T: Send, E>(
    count: usize,
    threads: usize,
    start: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize) -> T + Sync,
    mut take: impl FnMut(usize, T) -> Result<(), E>,
) -> Result<(), E> {
    let threads = threads.clamp(1, count.max(1));
    let gate = Gate { state: Mutex::default(), opened: Condvar::new(), count, ahead: AHEAD * threads };
    let (sender, results) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..threads {
            let (sender, gate, start, work) = (sender.clone(), &gate, &start, &work);
            scope.spawn(move || {
                // Also if this thread panics: nobody must wait for what it would have done.
                let _close = Close(gate);
                let mut own = start();
                while let Some(job) = gate.next() {
                    if sender.send((job, work(&mut own, job))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let _close = Close(&gate);
        let mut waiting = BTreeMap::new();
        let mut turn = 0;
        for (job, result) in results {
            waiting.insert(job, result);
            while let Some(result) = waiting.remove(&turn) {
                take(turn, result)?;
                turn += 1;
                gate.pass();
            }
        }
        Ok(())
    })
}

/// Gives out jobs, none too far ahead of the one whose turn it is.
struct Gate {
    state: Mutex<State>,
    opened: Condvar,
    count: usize,
    ahead: usize,
}

#[derive(Default)]
struct State {
    next: usize,
    passed: usize,
    closed: bool,
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The next job, once it may begin.
    fn next(&self) -> Option<usize> {
        let must_wait = |state: &mut State| !state.closed && state.next >= state.passed + self.ahead;
        let waited = self.opened.wait_while(self.lock(), must_wait);
        let mut state = waited.unwrap_or_else(|poisoned| poisoned.into_inner());
        if state.closed || state.next == self.count {
            return None;
        }
        state.next += 1;
        Some(state.next - 1)
    }

    fn pass(&self) {
        self.lock().passed += 1;
        self.opened.notify_all();
    }
}

/// Lets no further job begin when this is dropped.
struct Close<'a>(&'a Gate);

impl Drop for Close<'_> {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.opened.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn results_come_in_order_and_none_is_far_ahead() {
        for threads in [1, 2, 8, 100] {
            let (begun, mut taken) = (AtomicUsize::new(0), Vec::new());
            let work = |own: &mut usize, job: usize| {
                begun.fetch_add(1, Ordering::SeqCst);
                *own += 1;
                thread::sleep(Duration::from_micros((job * 7919 % 13) as u64 * 50));
                job * 2
            };
            let done: Result<(), ()> = in_order(
                200,
                threads,
                || 0,
                work,
                |job, result| {
                    assert_eq!(result, job * 2);
                    assert!(begun.load(Ordering::SeqCst) <= job + 1 + AHEAD * threads);
                    taken.push(job);
                    Ok(())
                },
            );
            assert_eq!(done, Ok(()));
            assert!(taken.into_iter().eq(0..200));
        }
    }

    #[test]
    fn an_error_ends_it() {
        let begun = AtomicUsize::new(0);
        let work = |(): &mut (), job: usize| {
            begun.fetch_add(1, Ordering::SeqCst);
            job
        };
        let done = in_order(1000, 4, || (), work, |job, _| if job == 10 { Err(job) } else { Ok(()) });
        assert_eq!(done, Err(10));
        assert!(begun.load(Ordering::SeqCst) < 100);
        assert_eq!(in_order(0, 4, || (), work, |_, _| Err(())), Ok(()));
    }
}
