//! Ctrl-C: nothing half-made stays.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;

use crate::exit::Code;

/// From now on a request to stop removes what is temporary, and then exits. What is in the store is safe at
/// any moment, and an output gets its name only when it is whole.
pub(crate) fn clean_up_on_signal() {
    // Beyond the limit of a file's size (`ulimit -f`) the write is to fail, with a word why. The flag is for
    // nobody: that there is a handler is what keeps the process alive.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
    // Without handlers the defaults apply: the process ends, and only temporary names may stay.
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP]) else { return };
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            pipeline::scratch::remove_all();
            crate::progress::abandon();
            crate::password::show_again();
            crate::terminal::tell("interrupted");
            std::process::exit(Code::Interrupted as i32);
        }
    });
}
