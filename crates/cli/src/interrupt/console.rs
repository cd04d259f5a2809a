//! Ctrl-C and what else asks a process on Windows to stop.

/// Has this done, in a thread of its own, when one comes, and exits with the code that it gives.
pub(super) fn await_one(stop: fn() -> i32) {
    // Without a handler the process ends, and only temporary names may stay.
    let _ = sys::console::on_stop(stop);
}
