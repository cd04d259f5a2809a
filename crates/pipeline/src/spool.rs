//! Where the contents of layers lie between reading and writing.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::sync::OnceLock;

use host::FileExt;
use tree::{BLOCK, Content, Piece, Span};

use crate::output::BUFFER;

/// Fewer bytes than this are not worth a call to let go of them.
const RELEASED_MIN: u64 = 256 << 10;

/// One nameless file for each layer, which is the layer's content space (see `tree::Span`) byte for byte. It
/// is never flushed to the disk, and gone when the process is.
pub struct Spool {
    files: Vec<OnceLock<Place>>,
    /// Whether a content may be asked for twice: if the image has a layer twice, files that came of it may
    /// share their places.
    shared: bool,
}

/// A file that has a layer's content space from some byte on.
struct Place {
    file: File,
    start: u64,
}

impl Spool {
    /// A spool for this many layers, empty, and for one that is made here.
    pub(crate) fn new(layers: usize, shared: bool) -> Spool {
        Spool { files: (0..=layers).map(|_| OnceLock::new()).collect(), shared }
    }

    /// A spool for this many layers, and for as many tarballs of theirs, of which nothing is ever let go.
    pub(crate) fn with_tarballs(layers: usize) -> Spool {
        Spool::new(2 * layers, true)
    }

    /// The number that the tarball of a layer has, in a spool with tarballs.
    pub(crate) fn tarball_of(&self, layer: u32) -> u32 {
        layer + (self.files.len() / 2) as u32
    }

    /// Takes in a file that lies elsewhere as that of a layer, from this byte on.
    pub(crate) fn adopt(&self, layer: u32, (file, start): (File, u64)) -> io::Result<()> {
        self.files.get(layer as usize).ok_or_else(missing)?.get_or_init(|| Place { file, start });
        Ok(())
    }

    /// The same, if contents may be asked for as often as one likes.
    pub(crate) fn kept(self) -> Spool {
        Spool { shared: true, ..self }
    }

    /// The number of the layer that is made here.
    pub(crate) fn own_layer(&self) -> u32 {
        (self.files.len() - 1) as u32
    }

    /// Makes the file for a layer, in `directory`.
    pub(crate) fn create<'a>(&'a self, layer: u32, directory: &'a Path) -> io::Result<Writer<'a>> {
        let file = tempfile::tempfile_in(directory).map_err(|error| located(error, directory))?;
        let slot = self.files.get(layer as usize).ok_or_else(missing)?;
        // A layer that is read again, its blob having been corrupt, writes the same place anew.
        Ok(Writer { file: &slot.get_or_init(|| Place { file, start: 0 }).file, directory })
    }

    /// The file that has these bytes, and where.
    pub(crate) fn find(&self, span: Span) -> io::Result<(&File, u64)> {
        let place = self.files.get(span.layer as usize).and_then(OnceLock::get).ok_or_else(missing)?;
        Ok((&place.file, place.start + span.offset))
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
        if let Ok((file, start)) = self.find(Span { offset: start, ..span }) {
            host::release(file, start, length);
        }
    }

    /// Reads all of `bytes` from a file's, `start` being the first; holes are zeros.
    pub(crate) fn read_content(&self, content: &Content, start: u64, bytes: &mut [u8]) -> io::Result<()> {
        let end = start + bytes.len() as u64;
        let mut filled = 0;
        let pieces = content.pieces().skip_while(|piece| piece.at + piece.span.length <= start);
        for Piece { at, span } in pieces.take_while(|piece| piece.at < end) {
            let (from, to) = (at.max(start), (at + span.length).min(end));
            let (first, last) = ((from - start) as usize, (to - start) as usize);
            bytes[filled..first].fill(0);
            let (file, place) = self.find(span)?;
            file.read_exact_at(&mut bytes[first..last], place + (from - at))?;
            filled = last;
        }
        bytes[filled..].fill(0);
        Ok(())
    }

    /// Writes a file's bytes, holes as zeros.
    pub fn write_content(&self, content: &Content, out: &mut dyn Write) -> io::Result<()> {
        if let Content::Inline(bytes) = content {
            return out.write_all(bytes);
        }
        let mut buffer = vec![0; if content.data_length() > 0 { BUFFER } else { 0 }];
        let mut position = 0;
        for piece in content.pieces() {
            io::copy(&mut io::repeat(0).take(piece.at - position), out)?;
            let (file, mut at) = self.find(piece.span)?;
            let end = at + piece.span.length;
            while at < end {
                let count = BUFFER.min(usize::try_from(end - at).unwrap_or(usize::MAX));
                file.read_exact_at(&mut buffer[..count], at)?;
                out.write_all(&buffer[..count])?;
                at += count as u64;
            }
            position = piece.at + piece.span.length;
        }
        io::copy(&mut io::repeat(0).take(content.size() - position), out).map(drop)
    }

    /// Bytes that the spool takes on the disk, or would if it were flushed.
    pub fn bytes(&self) -> u64 {
        let places = self.files.iter().filter_map(OnceLock::get);
        let lengths = places.filter_map(|place| place.file.metadata().ok());
        lengths.map(|found| found.len()).sum()
    }
}

/// Writes a layer's contents. What fails says where: the file has no name.
pub(crate) struct Writer<'a> {
    file: &'a File,
    directory: &'a Path,
}

impl Writer<'_> {
    /// Lets go of what an earlier attempt wrote.
    pub(crate) fn begin(&self) -> io::Result<()> {
        let mut file = self.file;
        file.set_len(0)?;
        file.rewind()
    }

    /// Writes at a place of the content space.
    pub(crate) fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset).map_err(|error| located(error, self.directory))
    }
}

impl Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes).map_err(|error| located(error, self.directory))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Says where, of what fails with a file that has no name.
pub(crate) fn located(error: io::Error, directory: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", directory.display()))
}

fn missing() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the layer's contents were not kept")
}
