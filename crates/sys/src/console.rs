//! What asks a process on Windows to stop: Ctrl-C, Ctrl-Break, the closing of its window, the end of the session.

use std::io;
use std::process;
use std::sync::{Mutex, PoisonError};

use windows_sys::Win32::System::Console::SetConsoleCtrlHandler;
use windows_sys::core::BOOL;

/// What is done then.
static STOP: Mutex<Option<fn() -> i32>> = Mutex::new(None);

/// Has this done when the process is asked to stop, in a thread that the system makes for it. Then the process exits
/// with the code that it gives.
///
/// # Errors
///
/// What the system says if it takes no more handlers.
pub fn on_stop(stop: fn() -> i32) -> io::Result<()> {
    *STOP.lock().unwrap_or_else(PoisonError::into_inner) = Some(stop);
    // SAFETY: the function takes and gives what the system says that it does, and is there as long as the process is.
    // It runs in a thread like any other.
    match unsafe { SetConsoleCtrlHandler(Some(handler), 1) } {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Never returns: where a window is closed, the process would be ended at that moment.
unsafe extern "system" fn handler(_: u32) -> BOOL {
    // Who asks once more waits for the first, and with it for the end.
    let stop = STOP.lock().unwrap_or_else(PoisonError::into_inner);
    process::exit(stop.map_or(1, |stop| stop()))
}
