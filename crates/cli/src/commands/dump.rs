//! `unlade dump`.

use std::error::Error;
use std::fmt;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use pipeline::gpt::Table;

use super::Outcome;
use crate::args::Dump;
use crate::random_access::RandomAccess;
use crate::terminal::unanswered;

/// Shows a filesystem as text.
pub(crate) fn run(command: &Dump) -> Outcome {
    let failed = |cause: Box<dyn Error>| NotDumped { file: command.file.clone(), cause };
    let file = RandomAccess::open(&command.file).map_err(|error| failed(error.into()))?;
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let dumped = match dump(&file, &mut out) {
        Ok(false) => dump_root(file, &mut out),
        dumped => dumped.map(drop),
    };
    // What was read before a fault is shown, too.
    out.flush().map_err(unanswered)?;
    dumped.map_err(|fault| match fault {
        Fault::Output(error) => unanswered(error).into(),
        Fault::Filesystem(cause) => Box::<dyn Error>::from(failed(cause)),
    })
}

/// Shows the filesystem that the file's superblock says it is. False if there is no superblock.
fn dump(file: &RandomAccess, out: &mut dyn Write) -> Result<bool, Fault> {
    match ext4::Filesystem::open(file) {
        Err(ext4::ReadError::NotExt4) => {}
        opened => return Ok(opened?.dump(out).map(|()| true)?),
    }
    match erofs::Filesystem::open(file) {
        Err(erofs::ReadError::NotErofs) => Ok(false),
        opened => Ok(opened?.dump(out).map(|()| true)?),
    }
}

/// Shows the filesystem in a disk's root partition.
fn dump_root(disk: RandomAccess, out: &mut dyn Write) -> Result<(), Fault> {
    let table = Table::read(&disk).map_err(|error| Fault::Filesystem(error.into()))?;
    let root = table.as_ref().and_then(Table::root).map(|(root, _)| root.offset);
    match root.map(|start| dump(&disk.starting_at(start), out)).transpose()? {
        Some(true) => Ok(()),
        _ => Err(Fault::Filesystem(Box::new(Neither))),
    }
}

/// Whose fault it is that a filesystem was not shown.
enum Fault {
    Output(io::Error),
    Filesystem(Box<dyn Error>),
}

impl From<ext4::ReadError> for Fault {
    fn from(error: ext4::ReadError) -> Fault {
        match error {
            ext4::ReadError::Output(error) => Fault::Output(error),
            error => Fault::Filesystem(error.into()),
        }
    }
}

impl From<erofs::ReadError> for Fault {
    fn from(error: erofs::ReadError) -> Fault {
        match error {
            erofs::ReadError::Output(error) => Fault::Output(error),
            error => Fault::Filesystem(error.into()),
        }
    }
}

/// A file that is no filesystem of those that are shown.
#[derive(Debug)]
struct Neither;

impl fmt::Display for Neither {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("neither an ext4 nor an EROFS filesystem: there is no superblock of either")
    }
}

impl Error for Neither {}

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
