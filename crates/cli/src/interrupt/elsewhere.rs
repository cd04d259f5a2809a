//! Ctrl-C and what else asks a process to stop, without signals that a thread could wait for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};

/// How often it is looked whether somebody asked.
const INTERVAL: Duration = Duration::from_millis(50);

/// Has this done, in a thread of its own, when one comes.
pub(super) fn await_one(stop: impl FnOnce() + Send + 'static) {
    let asked = Arc::new(AtomicBool::new(false));
    // Without handlers the defaults apply: the process ends, and only temporary names may stay.
    let handled =
        [SIGINT, SIGTERM].map(|signal| signal_hook::flag::register(signal, Arc::clone(&asked)).is_ok());
    if handled.contains(&true) {
        std::thread::spawn(move || {
            while !asked.load(Ordering::Relaxed) {
                std::thread::sleep(INTERVAL);
            }
            stop();
        });
    }
}
