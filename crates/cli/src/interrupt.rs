//! Ctrl-C: nothing half-made stays.

#[cfg_attr(not(unix), path = "interrupt/console.rs")]
mod signals;

use crate::exit::Code;

/// From now on a request to stop removes what is temporary, and then exits. What is in the store is safe at
/// any moment, and an output gets its name only when it is whole.
pub(crate) fn clean_up_on_signal() {
    signals::await_one(|| {
        pipeline::scratch::remove_all();
        crate::progress::abandon();
        crate::password::show_again();
        crate::terminal::tell("interrupted");
        Code::Interrupted as i32
    });
}
