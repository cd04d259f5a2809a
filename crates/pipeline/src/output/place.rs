//! Putting contents where they go while the layers are read, without a spool between.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Mutex;

use host::{Direct, FileExt};

use super::{Run, reserve, write_out};
use crate::sieve::Sieve;

/// Where the contents of all layers go in a file.
#[derive(Debug)]
pub(crate) struct Places<'a> {
    file: &'a File,
    direct: Option<Direct>,
    /// For each layer its runs, in the order of its content space.
    layers: Vec<Vec<Run>>,
    /// Why writing failed: the file's fault, and no layer's.
    failed: Mutex<Option<io::Error>>,
}

impl<'a> Places<'a> {
    /// The places that runs name, none of whose contents go to two of them, for an image of so many layers.
    ///
    /// A disk that is too small says so before any work is done.
    pub(crate) fn new(
        file: &'a File,
        direct: Option<Direct>,
        layers: usize,
        runs: Vec<Run>,
    ) -> io::Result<Places<'a>> {
        let mut places = Places { file, direct, layers: vec![Vec::new(); layers], failed: Mutex::default() };
        for run in runs {
            let Some(layer) = places.layers.get_mut(run.source.layer as usize) else { continue };
            reserve(file, run.offset, run.source.length)?;
            layer.push(run);
        }
        places.layers.iter_mut().for_each(|runs| runs.sort_unstable_by_key(|run| run.source.offset));
        Ok(places)
    }

    /// Takes a layer's content space, byte for byte from its start, and puts what has a place there.
    pub(crate) fn of_layer(&self, layer: u32) -> impl Write {
        let runs = self.layers.get(layer as usize).map_or(&[][..], Vec::as_slice);
        Sieve::new(
            runs,
            |run: &Run| run.source,
            |run, at, bytes| self.put(bytes, run.offset + at).inspect_err(|error| self.fail(error)),
        )
    }

    fn put(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let done = self.direct.as_ref().map_or(Ok(0), |direct| direct.write_at(bytes, offset))?;
        let (bytes, offset) = (&bytes[done..], offset + done as u64);
        self.file.write_all_at(bytes, offset)?;
        write_out(self.file, offset, bytes.len() as u64);
        Ok(())
    }

    /// Why the file could not be written, if that is what failed.
    pub(crate) fn failed(self) -> Option<io::Error> {
        self.failed.into_inner().ok().flatten()
    }

    fn fail(&self, error: &io::Error) {
        let first = error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error);
        if let Ok(mut failed) = self.failed.lock() {
            failed.get_or_insert(first);
        }
    }
}
