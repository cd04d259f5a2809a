//! A file, bytes of which are read from any place.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use tree::Input;

/// A file, or what begins at some place of it.
pub(crate) struct RandomAccess {
    file: RefCell<File>,
    start: u64,
}

impl RandomAccess {
    /// Opens a file.
    pub(crate) fn open(path: &Path) -> io::Result<RandomAccess> {
        Ok(RandomAccess { file: RefCell::new(File::open(path)?), start: 0 })
    }

    /// What begins at this place of it.
    pub(crate) fn starting_at(self, start: u64) -> RandomAccess {
        RandomAccess { start, ..self }
    }
}

impl Input for RandomAccess {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let place = self.start.checked_add(offset).ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut file = self.file.borrow_mut();
        file.seek(SeekFrom::Start(place))?;
        file.read_exact(buffer)
    }
}
