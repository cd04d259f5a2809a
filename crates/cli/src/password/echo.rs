//! A terminal that does not show what is typed.

use std::io;
use std::sync::{Mutex, PoisonError};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// How the terminal was before it was told not to show what is typed.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// While this lives, nothing is shown.
pub(super) struct Hidden(());

impl Hidden {
    /// Lets the terminal at standard input show nothing.
    pub(super) fn start() -> io::Result<Hidden> {
        let before = tcgetattr(io::stdin())?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        let started = Hidden(());
        tcsetattr(io::stdin(), OptionalActions::Flush, &hidden)?;
        Ok(started)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        show_again();
    }
}

/// Lets the terminal show again what is typed, if it does not. For whoever ends the process, too.
pub(crate) fn show_again() {
    if let Some(before) = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take() {
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &before);
    }
}
