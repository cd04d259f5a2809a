//! Reading one layer.
//!
//! ```text
//! blob ─▶ verify (digest) ─▶ expand ─┬─▶ hash (diff ID)
//!                                    └─▶ layer::read ─▶ changes, spool
//! ```
//!
//! Each arrow is a bounded queue between threads, so memory does not grow with the layers, and hashing costs
//! no time where a core is free for it. A diff ID that was verified once is known by its blob's digest, and
//! not computed again.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::sync::atomic::Ordering;
use std::thread;

use hash::{Hasher, Mismatch, Verifier};
use layer::{Expander, Layer};
use store::Store;
use tree::{Change, Note, Remark};

use super::Shared;
use crate::error::LayerFault;
use crate::event::Event;
use crate::output::{sparse, write_out};
use crate::pipe::{self, Sender};

/// What the threads of one layer need to know.
pub(crate) struct Reading<'a> {
    number: u32,
    layer: oci::Layer<'a>,
    /// Not if this process checked every byte when it put the blob into the store, moments ago.
    verify_blob: bool,
    /// Not if it was found to be right before.
    pub(crate) verify_diff_id: bool,
    /// Bytes of what is read.
    length: u64,
    shared: Shared<'a>,
}

/// How a layer is read whose files' bytes stay where they are.
pub(crate) struct InPlace<'a> {
    /// The number of the layer whose content space the tarball is.
    pub(crate) number: u32,
    /// An empty file to which the tarball goes.
    pub(crate) copy: Option<&'a File>,
}

impl<'a> Reading<'a> {
    /// Opens a layer's blob, and says what of it is still to be verified.
    pub(crate) fn start(
        store: &Store,
        number: u32,
        layer: oci::Layer<'a>,
        shared: Shared<'a>,
    ) -> Result<(Reading<'a>, File), store::Error> {
        let digest = &layer.descriptor.digest;
        let known = store.diff_id(digest).is_some_and(|known| known == *layer.diff_id);
        let blob = store.open_blob(layer.descriptor)?.into_inner();
        let verify_blob = !store.is_fresh(digest);
        let length = layer.descriptor.size;
        Ok((Reading { number, layer, verify_blob, verify_diff_id: !known, length, shared }, blob))
    }

    /// The reading of what a layer's blob expands to, which lies in a file of so many bytes.
    pub(crate) fn of_tarball(
        number: u32,
        layer: oci::Layer<'a>,
        length: u64,
        shared: Shared<'a>,
    ) -> Reading<'a> {
        Reading { number, layer, verify_blob: false, verify_diff_id: true, length, shared }
    }
}

impl Reading<'_> {
    /// The layer's number.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// Lets the store know the diff ID of the blob that was read to its end: only a saving for next time, and a store that
    /// cannot be written to is no reason to fail.
    pub(crate) fn remember_diff_id(&self, store: &Store) {
        if self.verify_diff_id {
            let _ = store.remember_diff_id(&self.layer.descriptor.digest, self.layer.diff_id);
        }
    }

    /// Reads `blob` to its end; the bytes of files go to `contents`.
    pub(super) fn run(&self, blob: File, contents: impl Write) -> Result<Layer, LayerFault> {
        let read = |tarball| layer::read(self.number, tarball, contents, &self.shared.options.read);
        let (mut layer, found) = self.parse(blob, None, read)?;
        self.check_media_type(found, &mut layer)?;
        Ok(layer)
    }

    /// Reads `blob`, or the tarball in its stead, to its end; files stay in the tarball, but for those of which it holds no
    /// more than the data: these go to `contents`.
    pub(crate) fn run_in_place(
        &self,
        blob: File,
        InPlace { number, copy }: InPlace<'_>,
        contents: impl Write,
    ) -> Result<Layer, LayerFault> {
        let options = &self.shared.options.read;
        let mut contents = BufWriter::new(contents);
        let read = |tarball| layer::read_in_place((self.number, number), tarball, &mut contents, options);
        let (mut layer, found) = self.parse(blob, copy, read)?;
        contents.flush().map_err(LayerFault::Spool)?;
        // Of a tarball that is read in the blob's stead nothing is said.
        if copy.is_some() {
            self.check_media_type(found, &mut layer)?;
        }
        Ok(layer)
    }

    /// Reads `blob` to its end, and deals out its bytes; files of more than `inline_max` bytes by themselves.
    pub(crate) fn split(
        &self,
        blob: File,
        parts: &mut dyn layer::Parts,
        inline_max: u64,
    ) -> Result<Layer, LayerFault> {
        let split =
            |tarball| layer::split(self.number, tarball, parts, inline_max, &self.shared.options.read);
        let (mut layer, found) = self.parse(blob, None, split)?;
        self.check_media_type(found, &mut layer)?;
        Ok(layer)
    }

    /// Reads `blob` to the first change of which `last` says so, and gives the changes to there. The blob is
    /// verified as a whole; what it expands to is not, so its diff ID must be known.
    pub(super) fn run_until(
        &self,
        blob: File,
        contents: impl Write,
        last: impl Fn(&Change) -> bool,
    ) -> Result<Vec<Change>, LayerFault> {
        let read =
            |tarball| layer::read_until(self.number, tarball, contents, &self.shared.options.read, last);
        self.parse(blob, None, read).map(|(changes, _)| changes)
    }

    /// Lets `parse` have what a blob expands to, and says how the blob was compressed. What it expands to goes to `copy` as
    /// well.
    fn parse<T>(
        &self,
        blob: File,
        copy: Option<&File>,
        parse: impl FnOnce(pipe::Reader) -> Result<T, layer::Error>,
    ) -> Result<(T, layer::Compression), LayerFault> {
        let (to_expand, [compressed]) = Sender::with_readers();
        thread::scope(|scope| {
            let verified = scope.spawn(move || self.verify(blob, to_expand));
            let (mut to_all, [to_parse]) = Sender::with_readers();
            let hashed = self.verify_diff_id.then(|| {
                let to_hash = to_all.reader();
                scope.spawn(move || self.hash(to_hash))
            });
            let copied = copy.map(|file| {
                let to_copy = to_all.reader();
                scope.spawn(move || copy_to(file, to_copy))
            });
            let expanded = scope.spawn(move || self.expand(compressed, to_all));
            let parsed = parse(to_parse);
            // The cause before what follows from it: a blob that is not the one asked for explains all else,
            // one that does not expand explains a tarball cut short, and that another diff ID.
            join(verified)?;
            let found = join(expanded)?;
            copied.map_or(Ok(()), join)?;
            let parsed = parsed.map_err(LayerFault::Layer)?;
            hashed.map_or(Ok(()), join)?;
            Ok((parsed, found))
        })
    }

    /// Expands a blob to its end, and says how it was compressed.
    fn expand(&self, compressed: pipe::Reader, to_all: Sender) -> Result<layer::Compression, LayerFault> {
        let limits = self.shared.options.expand.clone();
        let mut expander = Expander::new(compressed, limits).map_err(LayerFault::Layer)?;
        if !self.verify_diff_id {
            expander = expander.without_checksums();
        }
        let compression = expander.compression();
        let counted = Counted { inner: expander, shared: self.shared };
        match to_all.send_all(counted, |_| {}) {
            Ok(_) => Ok(compression),
            Err(error) if error.kind() == io::ErrorKind::QuotaExceeded => {
                Err(LayerFault::ImageTooLarge { limit: self.shared.options.image_expanded })
            }
            Err(error) => Err(match error.downcast::<layer::Error>() {
                Ok(error) => LayerFault::Layer(error),
                Err(error) => LayerFault::Blob(error),
            }),
        }
    }

    /// Checks the blob against its digest and size to its end, even if nobody wants the bytes any more: only
    /// then is it known whether the blob or the layer in it is at fault.
    fn verify(&self, blob: File, to_expand: Sender) -> Result<(), LayerFault> {
        let descriptor = self.layer.descriptor;
        let mut done = 0;
        let seen = |chunk: &[u8]| {
            done += chunk.len() as u64;
            let (layer, blob, total) = (self.number, descriptor.digest, self.length);
            (self.shared.report)(Event::Read { layer, blob, done, total });
        };
        if !self.verify_blob {
            return to_expand.send_all(blob, seen).map(drop).map_err(LayerFault::Blob);
        }
        let fault = |error: io::Error| match error.downcast::<Mismatch>() {
            Ok(mismatch) => LayerFault::Corrupt(mismatch),
            Err(error) => LayerFault::Blob(error),
        };
        let mut verifier = Verifier::new(blob, descriptor.digest, Some(descriptor.size));
        let sent = to_expand.send_all(&mut verifier, seen);
        if !sent.map_err(fault)? && !self.shared.stop.load(Ordering::Relaxed) {
            let mut buffer = vec![0; 1 << 20];
            while verifier.read(&mut buffer).map_err(fault)? > 0 {}
        }
        Ok(())
    }

    fn hash(&self, mut chunks: pipe::Reader) -> Result<(), LayerFault> {
        let expected = *self.layer.diff_id;
        let mut hasher = Hasher::new(expected.algorithm());
        while let Some(chunk) = chunks.chunk() {
            hasher.update(&chunk);
        }
        let found = hasher.finish();
        if found == expected { Ok(()) } else { Err(LayerFault::DiffId { expected, found }) }
    }

    fn check_media_type(&self, found: layer::Compression, layer: &mut Layer) -> Result<(), LayerFault> {
        let oci::MediaType::Layer(stated, name) = &self.layer.descriptor.media_type else { return Ok(()) };
        let agree = matches!(
            (stated, found),
            (oci::Compression::None, layer::Compression::None)
                | (oci::Compression::Gzip, layer::Compression::Gzip)
                | (oci::Compression::Zstd, layer::Compression::Zstd)
        );
        if agree {
            return Ok(());
        }
        if self.shared.options.strict_media_type {
            return Err(LayerFault::MediaType { stated: name.clone() });
        }
        let name = name.as_bytes().into();
        layer.notes.push(Note { remark: Remark::MediaTypeDiffers, layer: self.number, entry: None, name });
        Ok(())
    }
}

/// Writes all that comes into an empty file.
fn copy_to(file: &File, mut chunks: pipe::Reader) -> Result<(), LayerFault> {
    let mut at = 0;
    while let Some(chunk) = chunks.chunk() {
        sparse::write_at(file, &chunk, at).map_err(LayerFault::Tarball)?;
        write_out(file, at, chunk.len() as u64);
        at += chunk.len() as u64;
    }
    // It may end with zeros.
    file.set_len(at).map_err(LayerFault::Tarball)
}

/// Counts what comes out of all layers, and stops when it is too much or nobody wants it any more.
struct Counted<'a, R> {
    inner: R,
    shared: Shared<'a>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let before = self.shared.expanded.fetch_add(count as u64, Ordering::Relaxed);
        if before.saturating_add(count as u64) > self.shared.options.image_expanded {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        if self.shared.stop.load(Ordering::Relaxed) {
            return Err(io::Error::other("another layer failed"));
        }
        Ok(count)
    }
}

/// Waits for a thread; its panic becomes ours.
fn join<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
