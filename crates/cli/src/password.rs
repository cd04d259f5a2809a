//! Passwords, from a terminal or from a pipe. None of them is ever shown.

#[cfg_attr(not(unix), path = "password/elsewhere.rs")]
mod echo;

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use crate::exit::Usage;
use echo::Hidden;
pub(crate) use echo::show_again;

/// No password is longer than this, in bytes; tokens of some cloud providers have 4 KiB.
const PASSWORD_MAX: u64 = 64 << 10;

/// The first line of standard input.
pub(crate) fn from_stdin() -> Result<String, Usage> {
    let failed = |error: io::Error| Usage(format!("cannot read the password from standard input: {error}"));
    let mut text = String::new();
    io::stdin().lock().take(PASSWORD_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > PASSWORD_MAX {
        return Err(Usage("what stands on standard input is too long for a password".into()));
    }
    let line = text.split('\n').next().unwrap_or_default();
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        return Err(Usage("there is no password on standard input".into()));
    }
    Ok(line.into())
}

/// Asks on the terminal for something that is shown while it is typed; `None` where there is no terminal.
pub(crate) fn ask_openly(question: &str) -> io::Result<Option<String>> {
    if !io::stdin().is_terminal() {
        return Ok(None);
    }
    prompt(question)?;
    line().map(Some)
}

/// Asks on the terminal for a password; `None` where there is no terminal.
pub(crate) fn ask(question: &str) -> io::Result<Option<String>> {
    if !io::stdin().is_terminal() {
        return Ok(None);
    }
    // Asked when it is hidden, so that nothing that is typed at once is shown.
    let typed = Hidden::start().and_then(|_hidden| {
        prompt(question)?;
        line()
    });
    // The end of the line was not shown either.
    let _ = writeln!(io::stderr());
    typed.map(Some)
}

fn prompt(question: &str) -> io::Result<()> {
    let mut err = io::stderr().lock();
    err.write_all(crate::terminal::visible(question).as_bytes()).and_then(|()| err.flush())
}

fn line() -> io::Result<String> {
    let mut line = String::new();
    io::stdin().lock().take(PASSWORD_MAX).read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).into())
}
