//! Putting contents where they go while the layers are read, without a spool between.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::Mutex;

use super::{Run, reserve, write_out};

/// Where the contents of all layers go in a file.
#[derive(Debug)]
pub(crate) struct Places<'a> {
    file: &'a File,
    /// For each layer its runs, in the order of its content space.
    layers: Vec<Vec<Run>>,
    /// Why writing failed: the file's fault, and no layer's.
    failed: Mutex<Option<io::Error>>,
}

impl<'a> Places<'a> {
    /// The places that runs name, none of whose contents go to two of them, for an image of so many layers.
    ///
    /// A disk that is too small says so before any work is done.
    pub(crate) fn new(file: &'a File, layers: usize, runs: Vec<Run>) -> io::Result<Places<'a>> {
        let mut places = Places { file, layers: vec![Vec::new(); layers], failed: Mutex::default() };
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
        Placer { places: self, runs, position: 0 }
    }

    /// Why the file could not be written, if that is what failed.
    pub(crate) fn failed(self) -> Option<io::Error> {
        self.failed.into_inner().ok().flatten()
    }
}

struct Placer<'a> {
    places: &'a Places<'a>,
    /// What is still to come, or under way.
    runs: &'a [Run],
    /// Bytes of the content space so far.
    position: u64,
}

impl Write for Placer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (start, end) = (self.position, self.position + bytes.len() as u64);
        while let [run, rest @ ..] = self.runs
            && run.source.offset < end
        {
            let run_end = run.source.offset + run.source.length;
            let (from, to) = (run.source.offset.max(start), run_end.min(end));
            if from < to {
                let bytes = &bytes[(from - start) as usize..(to - start) as usize];
                let written = self.places.file.write_all_at(bytes, run.offset + (from - run.source.offset));
                written.inspect_err(|error| self.fail(error))?;
                write_out(self.places.file, run.offset + (from - run.source.offset), to - from);
            }
            if run_end > end {
                break;
            }
            self.runs = rest;
        }
        self.position = end;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Placer<'_> {
    fn fail(&self, error: &io::Error) {
        let first = error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error);
        if let Ok(mut failed) = self.places.failed.lock() {
            failed.get_or_insert(first);
        }
    }
}
