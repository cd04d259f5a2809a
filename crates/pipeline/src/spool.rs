//! Where the contents of layers lie between reading and writing.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::OnceLock;

use rustix::fs::FallocateFlags;
use tree::{BLOCK, Span};

/// Fewer bytes than this are not worth a call to let go of them.
const RELEASED_MIN: u64 = 256 << 10;

/// One nameless file for each layer, which is the layer's content space (see `tree::Span`) byte for byte. It
/// is never flushed to the disk, and gone when the process is.
pub struct Spool {
    files: Vec<OnceLock<File>>,
    /// Whether a content may be asked for twice: if the image has a layer twice, files that came of it may
    /// share their places.
    shared: bool,
}

impl Spool {
    /// A spool for this many layers, empty.
    pub(crate) fn new(layers: usize, shared: bool) -> Spool {
        Spool { files: (0..layers).map(|_| OnceLock::new()).collect(), shared }
    }

    /// Makes the file for a layer, in `directory`.
    pub(crate) fn create<'a>(&'a self, layer: u32, directory: &'a Path) -> io::Result<Writer<'a>> {
        let file = tempfile::tempfile_in(directory).map_err(|error| located(error, directory))?;
        let slot = self.files.get(layer as usize).ok_or_else(missing)?;
        // A layer that is read again, its blob having been corrupt, writes the same place anew.
        Ok(Writer { file: slot.get_or_init(|| file), directory })
    }

    /// The file of a layer.
    pub(crate) fn file(&self, layer: u32) -> io::Result<&File> {
        self.files.get(layer as usize).and_then(OnceLock::get).ok_or_else(missing)
    }

    /// Lets go of bytes that were copied and that nobody will ask for again. Otherwise the kernel begins to
    /// write them to the disk once there are many, and the end of the build waits for that: with 1.5 GB of
    /// content, two of five seconds.
    pub(crate) fn release(&self, span: Span) {
        // Only whole blocks: the rest of one may belong to a copy that is still to come.
        let start = span.offset.next_multiple_of(BLOCK);
        let length = (span.offset + span.length).saturating_sub(start) / BLOCK * BLOCK;
        if self.shared || length < RELEASED_MIN {
            return;
        }
        if let Ok(file) = self.file(span.layer) {
            // Only a saving: not every filesystem can.
            let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            let _ = rustix::fs::fallocate(file, punch, start, length);
        }
    }

    /// Bytes that the spool takes on the disk, or would if it were flushed.
    pub fn bytes(&self) -> u64 {
        let lengths = self.files.iter().filter_map(OnceLock::get).filter_map(|file| file.metadata().ok());
        lengths.map(|found| found.len()).sum()
    }
}

/// Writes a layer's contents. What fails says where: the file has no name.
pub(crate) struct Writer<'a> {
    file: &'a File,
    directory: &'a Path,
}

impl Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes).map_err(|error| located(error, self.directory))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn located(error: io::Error, directory: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", directory.display()))
}

fn missing() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the layer's contents were not kept")
}
