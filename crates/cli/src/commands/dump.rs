//! `unlade dump`.

use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use ext4::{Filesystem, ReadError};
use tree::Input;

use super::Outcome;
use crate::args::Dump;
use crate::terminal::unanswered;

/// Shows a filesystem as text.
pub(crate) fn run(command: &Dump) -> Outcome {
    let failed = |cause: Box<dyn Error>| NotDumped { file: command.file.clone(), cause };
    let file = RandomAccess::open(&command.file).map_err(|error| failed(error.into()))?;
    let filesystem = Filesystem::open(&file).map_err(|error| failed(error.into()))?;
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let dumped = filesystem.dump(&mut out);
    // What was read before a fault is shown, too.
    out.flush().map_err(unanswered)?;
    dumped.map_err(|error| match error {
        ReadError::Output(error) => unanswered(error).into(),
        error => Box::<dyn Error>::from(failed(error.into())),
    })
}

/// A file, bytes of which are read from any place.
struct RandomAccess(RefCell<File>);

impl RandomAccess {
    fn open(path: &Path) -> io::Result<RandomAccess> {
        Ok(RandomAccess(RefCell::new(File::open(path)?)))
    }
}

impl Input for RandomAccess {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut file = self.0.borrow_mut();
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(buffer)
    }
}

/// A file that was not shown, or not to its end.
#[derive(Debug)]
struct NotDumped {
    file: PathBuf,
    cause: Box<dyn Error>,
}

impl fmt::Display for NotDumped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot show {}", self.file.display())
    }
}

impl Error for NotDumped {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.cause)
    }
}
