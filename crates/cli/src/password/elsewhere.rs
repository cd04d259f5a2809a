//! A terminal that does not show what is typed: none here that could be told so.

use std::io;

/// While this lives, nothing is shown.
pub(super) struct Hidden(());

impl Hidden {
    /// Lets the terminal at standard input show nothing.
    pub(super) fn start() -> io::Result<Hidden> {
        let text = "what is typed cannot be hidden here; use --password-stdin";
        Err(io::Error::new(io::ErrorKind::Unsupported, text))
    }
}

/// Lets the terminal show again what is typed.
pub(crate) fn show_again() {}
