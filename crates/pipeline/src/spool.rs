//! Where the contents of layers lie between reading and writing.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::OnceLock;

/// One nameless file for each layer, which is the layer's content space (see `tree::Span`) byte for byte. It
/// is never flushed to the disk, and gone when the process is.
pub struct Spool {
    files: Vec<OnceLock<File>>,
}

impl Spool {
    /// A spool for this many layers, empty.
    pub(crate) fn new(layers: usize) -> Spool {
        Spool { files: (0..layers).map(|_| OnceLock::new()).collect() }
    }

    /// Makes the file for a layer, in `directory`.
    pub(crate) fn create(&self, layer: u32, directory: &Path) -> io::Result<&File> {
        let file = tempfile::tempfile_in(directory)?;
        let slot = self.files.get(layer as usize).ok_or_else(missing)?;
        // A layer that is read again, its blob having been corrupt, writes the same place anew.
        Ok(slot.get_or_init(|| file))
    }

    /// The file of a layer.
    pub(crate) fn file(&self, layer: u32) -> io::Result<&File> {
        self.files.get(layer as usize).and_then(OnceLock::get).ok_or_else(missing)
    }

    /// Bytes that the spool takes on the disk, or would if it were flushed.
    pub fn bytes(&self) -> u64 {
        let lengths = self.files.iter().filter_map(OnceLock::get).filter_map(|file| file.metadata().ok());
        lengths.map(|found| found.len()).sum()
    }
}

fn missing() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the layer's contents were not kept")
}
