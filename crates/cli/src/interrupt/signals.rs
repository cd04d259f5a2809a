//! The signals that ask a process to stop.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;

/// Has this done, in a thread of its own, when one comes, and exits with the code that it gives.
pub(super) fn await_one(stop: fn() -> i32) {
    // Beyond the limit of a file's size (`ulimit -f`) the write is to fail, with a word why. The flag is for
    // nobody: that there is a handler is what keeps the process alive.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
    // Without handlers the defaults apply: the process ends, and only temporary names may stay.
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP]) else { return };
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            std::process::exit(stop());
        }
    });
}
