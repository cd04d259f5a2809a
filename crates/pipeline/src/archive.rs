//! Writing a merged tree as an archive, which a stream can take as well as a file, and which may be compressed.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use flate2::write::GzEncoder;
use layer::cpio::{self, Written};
use tree::{Output, Remark, Tree};

use crate::built::Built;
use crate::error::Error;
use crate::options::{Packing, Target};
use crate::output::StreamOutput;
use crate::publish::Unpublished;
use crate::spool::Spool;
use crate::write::{Held, Job, stream_error};

/// What kinds of archive there are.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Tar,
    Cpio,
}

impl Job<'_> {
    /// Writes the tree to its target and publishes it.
    pub(crate) fn write_archive(
        &self,
        tree: &Tree,
        contents: Held,
        (kind, packing): (Kind, Packing),
        target: &mut Target<'_>,
        built: &mut Built,
    ) -> Result<(), Error> {
        match (target, packing) {
            (Target::Stream(stream), packing) => {
                self.write_stream(tree, &contents.spool(), (kind, packing), &mut **stream, built)
            }
            (Target::Path(path), Packing::None) => self.write_file(tree, contents, kind, path, built),
            (Target::Path(path), packing) => {
                let fail = |cause| Error::Output { path: path.to_path_buf(), cause };
                let output = Unpublished::create(path, 0).map_err(fail)?;
                let mut file = BufWriter::with_capacity(1 << 20, &output.file);
                let spool = contents.spool();
                let written = self.write_stream(tree, &spool, (kind, packing), &mut file, built);
                written.map_err(|error| match error {
                    Error::Stream(cause) => fail(cause),
                    other => other,
                })?;
                drop(file);
                self.publish(output, path, built)
            }
        }
    }

    /// Writes front to back.
    fn write_stream(
        &self,
        tree: &Tree,
        spool: &Spool,
        (kind, packing): (Kind, Packing),
        stream: &mut dyn Write,
        built: &mut Built,
    ) -> Result<(), Error> {
        let total = (built.content_bytes, self.report);
        let mut stream = Counted { stream, length: 0 };
        let put = |stream: &mut dyn Write| {
            let mut output = StreamOutput::new(stream, spool).telling(total);
            let written = put(kind, tree, &mut output).map_err(stream_error)?;
            output.finish().map_err(Error::Stream)?;
            Ok::<_, Error>(written)
        };
        let written = match packing {
            Packing::None => put(&mut stream)?,
            Packing::Gzip => {
                // Without a name or a time in its header.
                let mut gzip = GzEncoder::new(&mut stream, flate2::Compression::default());
                let written = put(&mut gzip)?;
                gzip.finish().map_err(Error::Stream)?;
                written
            }
            Packing::Zstd => {
                let mut zstd = zstd(&mut stream).map_err(Error::Stream)?;
                let written = put(&mut zstd)?;
                zstd.finish().map_err(Error::Stream)?;
                written
            }
        };
        note(written, built);
        stream.flush().map_err(Error::Stream)?;
        built.output_bytes = stream.length;
        Ok(())
    }

    /// Writes a file, into which contents may come in any order.
    fn write_file(
        &self,
        tree: &Tree,
        contents: Held,
        kind: Kind,
        path: &Path,
        built: &mut Built,
    ) -> Result<(), Error> {
        let fail = |cause| Error::Output { path: path.into(), cause };
        // An archive spells its zeros out, so nothing has to be zeroed before.
        let output = Unpublished::create(path, 0).map_err(fail)?;
        let written =
            self.fill((&output.file, 0), path, contents, (0, built.content_bytes), built, |out| {
                put(kind, tree, out).map_err(|error| match error {
                    layer::Error::Io { source, .. } => fail(source),
                    other => Error::Archive(other),
                })
            })?;
        note(written, built);
        self.publish(output, path, built)
    }
}

/// One frame: Linux reads no more of an initramfs.
fn zstd<W: Write>(stream: W) -> io::Result<zstd::Encoder<'static, W>> {
    let mut encoder = zstd::Encoder::new(stream, 0)?;
    encoder.include_checksum(true)?;
    Ok(encoder)
}

/// Writes an archive, and says what came of it.
fn put(kind: Kind, tree: &Tree, out: &mut dyn Output) -> Result<Written, layer::Error> {
    match kind {
        // It holds everything.
        Kind::Tar => Ok(Written { length: layer::write(tree, out)?, dropped_xattrs: 0, clamped_times: 0 }),
        Kind::Cpio => cpio::write(tree, out),
    }
}

fn note(written: Written, built: &mut Built) {
    built.output_bytes = written.length;
    built.notes.count(Remark::TimeClamped, written.clamped_times);
    built.notes.count(Remark::XattrUnsupported, written.dropped_xattrs);
}

/// Counts what a stream gets.
struct Counted<'a> {
    stream: &'a mut dyn Write,
    length: u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.stream.write(bytes)?;
        self.length += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
