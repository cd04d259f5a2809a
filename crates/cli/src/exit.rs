//! Exit codes.

use std::error::Error;
use std::io::ErrorKind;
use std::process::ExitCode;

/// What the process says at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// It worked.
    Done = 0,
    /// It did not.
    Failed = 1,
    /// The arguments make no sense. clap exits with the same.
    Usage = 2,
    /// The store was checked, and something was found.
    Findings = 3,
    /// The image, tag or platform does not exist.
    NotFound = 4,
    /// Somebody has to log in, or may not.
    Denied = 5,
    /// Another process has what is needed, and did not let go in time.
    Locked = 6,
    /// Ctrl-C, or a request to terminate.
    Interrupted = 130,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> ExitCode {
        ExitCode::from(code as u8)
    }
}

/// Arguments that only make no sense together with others, or with what was found.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Usage {}

/// What a check found and could not mend: no failure of the command, but nothing to be silent about.
#[derive(Debug)]
pub(crate) struct Findings {
    /// What was checked.
    pub(crate) of: &'static str,
    pub(crate) count: usize,
}

impl std::fmt::Display for Findings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Findings { of, count } = self;
        let s = if *count == 1 { "" } else { "s" };
        write!(f, "the {of} is not clean: {count} finding{s}")
    }
}

impl Error for Findings {}

impl Code {
    /// Finds in a chain of errors what it means for whoever called.
    pub(crate) fn of(failure: &(dyn Error + 'static)) -> Code {
        let mut link = Some(failure);
        while let Some(error) = link {
            if error.is::<Usage>() {
                return Code::Usage;
            }
            if error.is::<Findings>() {
                return Code::Findings;
            }
            if is_broken_pipe(error) {
                return Code::Done;
            }
            if let Some(code) = render::code_of(error) {
                return code;
            }
            link = error.source();
        }
        Code::Failed
    }
}

/// Whoever read our output has seen enough: that is a success.
pub(crate) fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

use crate::render;
