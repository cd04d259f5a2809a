//! A registry, as a destination.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hash::{Hasher, Mismatch};
use oci::{Descriptor, Reference};
use registry::{Client, Upload};
use store::Store;

use super::{Bring, Bundle, Error, Sink, mismatched};
use crate::event::{Event, Report};
use crate::source::Source;

/// How often it is told how far a blob is.
const INTERVAL: Duration = Duration::from_millis(100);

/// A repository.
pub(super) struct ToRegistry<'a> {
    client: Client,
    reference: &'a Reference,
    /// The repository of the same registry from which everything comes, if it does.
    from: Option<String>,
}

impl<'a> ToRegistry<'a> {
    /// Nothing is asked yet.
    pub(super) fn new(client: Client, reference: &'a Reference, source: &Source) -> ToRegistry<'a> {
        let from = match source {
            Source::Registry(source) if source.host() == reference.host() => {
                Some(source.repository().to_string())
            }
            _ => None,
        };
        ToRegistry { client, reference, from }
    }
}

impl Sink for ToRegistry<'_> {
    fn put(
        &self,
        blob: &Descriptor,
        bring: Bring<'_>,
        stop: &AtomicBool,
        report: Report<'_>,
    ) -> Result<bool, Error> {
        send(&self.client, self.reference, blob, self.from.as_deref(), bring, stop, report)
    }

    fn finish(self: Box<Self>, bundle: &Bundle, store: &Store) -> Result<Descriptor, Error> {
        let root = &bundle.root;
        if let Some(wanted) = self.reference.digest()
            && *wanted != root.digest
        {
            return Err(Error::OtherDigest { wanted: self.reference.clone(), found: root.digest });
        }
        for document in &bundle.documents {
            let by_digest = self.reference.at_digest(document.digest);
            let is_root = document.digest == root.digest;
            if is_root || !self.client.has_manifest(&by_digest)? {
                let reference = if is_root { self.reference } else { &by_digest };
                let bytes = store.document(document)?;
                self.client.put_manifest(reference, &document.media_type, &bytes)?;
            }
        }
        Ok(root.clone())
    }
}

/// Sends a blob, unless it is there, which is then said.
pub(crate) fn send(
    client: &Client,
    reference: &Reference,
    blob: &Descriptor,
    from: Option<&str>,
    bring: Bring<'_>,
    stop: &AtomicBool,
    report: Report<'_>,
) -> Result<bool, Error> {
    let Some(upload) = client.upload(reference, blob, from)? else { return Ok(true) };
    // It stays open, so that nobody can take it away in between.
    let file = bring()?.into_inner();
    send_file(upload, &file, blob, stop, report)?;
    Ok(false)
}

/// Sends a blob that lies in a file of its own.
pub(crate) fn send_file(
    upload: Upload,
    file: &File,
    blob: &Descriptor,
    stop: &AtomicBool,
    report: Report<'_>,
) -> Result<(), Error> {
    let told = Cell::new(None);
    let mut open = |offset| {
        let mut file = file;
        file.seek(SeekFrom::Start(offset))?;
        let hasher = (offset == 0).then(|| Hasher::new(blob.digest.algorithm()));
        Ok(Box::new(Outgoing { file, hasher, done: offset, blob, stop, report, told: &told })
            as Box<dyn Read + '_>)
    };
    upload.send(&mut open).map_err(|error| match error {
        registry::Error::Unreadable { what, cause } => match mismatched(cause, blob.digest) {
            Ok(corrupt) => Error::from(corrupt),
            Err(cause) => registry::Error::Unreadable { what, cause }.into(),
        },
        error => error.into(),
    })?;
    report(Event::Send { blob: blob.digest, done: blob.size, total: blob.size });
    Ok(())
}

/// A stored blob on its way out, checked once more if it is read from its start.
struct Outgoing<'a> {
    file: &'a File,
    hasher: Option<Hasher>,
    done: u64,
    blob: &'a Descriptor,
    stop: &'a AtomicBool,
    report: Report<'a>,
    told: &'a Cell<Option<Instant>>,
}

impl Read for Outgoing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::Error::other("stopped"));
        }
        let count = self.file.read(buffer)?;
        self.done += count as u64;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..count]);
        }
        let (expected, total) = (self.blob.digest, self.blob.size);
        // Whoever reads this does not ask for what is behind the last byte.
        if self.done == total
            && let Some(hasher) = self.hasher.take()
        {
            let found = hasher.finish();
            if found != expected {
                let mismatch = Mismatch::Digest { expected, found };
                return Err(io::Error::new(io::ErrorKind::InvalidData, mismatch));
            }
        }
        if self.told.get().is_none_or(|told| told.elapsed() >= INTERVAL) {
            self.told.set(Some(Instant::now()));
            (self.report)(Event::Send { blob: expected, done: self.done, total });
        }
        Ok(count)
    }
}
