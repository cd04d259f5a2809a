//! A file that is a spool first and the output then.
//!
//! While layers are read nobody knows yet where contents go, since those above may drop them, and metadata need room
//! whose size is that of the whole tree. But an ext4 filesystem keeps contents in the order of the layers, in whole
//! blocks. So they are written into the file that is to be the output, each layer from a place of its own on, as
//! far from the others as it may grow. Once the tree is planned the *host's* filesystem is asked to move them, up and
//! down its list of extents, which takes it a tenth of a millisecond each and copies nothing.
//!
//! So every byte goes to the disk once, while the rest is still being read (`docs/decisions/013-bed.md`).

mod moves;

use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use host::{Direct, FileExt};
use oci::Image;
use tree::{BLOCK, Span};

use crate::error::Error;
use crate::layers::{self, is_repeated};
use crate::options::{Format, Options, Scratch, Target};
use crate::publish::{self, Unpublished};
use crate::spool::{Spool, located};
use moves::Move;

/// Most bytes, holes included, that a bed has before anything is moved: half of what a file of ext4 may have.
const LENGTH_MAX: u64 = 1 << 43;

/// Most moves: if there are more, the image's layers have replaced so many files here and there that their contents are
/// copied instead. Each makes the list of extents longer that all others go through.
const MOVES_MAX: usize = 4096;

/// Most room that is taken at a time, in bytes: the filesystem then has long extents, and several may write at a time.
const AHEAD_MAX: u64 = 32 << 20;

/// The file.
#[derive(Debug)]
pub(crate) struct Bed {
    output: Unpublished,
    /// Where the output will be, for errors.
    directory: PathBuf,
    direct: Direct,
    /// Where each layer's content space is.
    places: Vec<Range<u64>>,
    too_short: AtomicBool,
}

impl Bed {
    /// Makes the bed for an image's output, if there can be one: for an ext4 filesystem in a file that lies in one itself,
    /// of which nothing is read again.
    pub(crate) fn make(options: &Options, image: &Image, target: &Target<'_>) -> Result<Option<Bed>, Error> {
        let (Format::Ext4(ext4), Target::Path(path)) = (&options.format, target) else { return Ok(None) };
        let fits = ext4.options.block_size.bytes() == BLOCK as u32
            && matches!(options.scratch, Scratch::Beside)
            && !ext4.frame.verity
            && !options.remember
            && !is_repeated(image);
        let places = places(image, &options.layers);
        let length = places.last().map_or(0, |last| last.end);
        if !fits || length == 0 || length > LENGTH_MAX {
            return Ok(None);
        }
        Bed::in_file(path, places, length).map_err(|cause| Error::Output { path: path.to_path_buf(), cause })
    }

    fn in_file(path: &Path, places: Vec<Range<u64>>, length: u64) -> io::Result<Option<Bed>> {
        if Unpublished::check(path)? {
            return Ok(None);
        }
        let output = Unpublished::create(path, 0)?;
        match Direct::open(&output.file) {
            Some(direct) if output.is_nameless() && host::make_movable(&output.file, length)? => {
                let directory = publish::directory_of(path).into();
                Ok(Some(Bed { output, directory, direct, places, too_short: AtomicBool::new(false) }))
            }
            _ => Ok(None),
        }
    }

    /// Takes a layer's content space, byte for byte from its start.
    pub(crate) fn of_layer(&self, layer: u32) -> impl Write {
        let place = self.places.get(layer as usize).cloned().unwrap_or_default();
        Writer { bed: self, at: place.start, reserved: place.start, place }
    }

    /// Whether a layer had more contents than were expected of it.
    pub(crate) fn is_too_short(&self) -> bool {
        self.too_short.load(Ordering::Relaxed)
    }

    /// Moves contents to where they go in a file of so many bytes, and says whether that can be. If not, they are still
    /// where they were.
    pub(crate) fn settle(
        &self,
        contents: impl Iterator<Item = (u64, Span)>,
        length: u64,
    ) -> io::Result<bool> {
        let runs = moves::runs(contents, |layer| self.places.get(layer as usize).map(|place| place.start));
        let Some((end, moves)) = runs.and_then(|runs| moves::plan(&runs, MOVES_MAX)) else {
            return Ok(false);
        };
        let file = &self.output.file;
        file.set_len(end)?;
        for step in moves {
            match step {
                Move::Insert { at, length } => host::insert(file, at, length)?,
                Move::TakeOut { at, length } => host::take_out(file, at, length)?,
                Move::Clear { at, length } => host::clear(file, at, length)?,
            }
        }
        file.set_len(length)?;
        Ok(true)
    }

    /// The file, with contents where they go.
    pub(crate) fn into_output(self) -> Unpublished {
        self.output
    }

    /// The contents where they were, to be copied, and how many bytes they take.
    pub(crate) fn into_spool(self) -> io::Result<(Spool, u64)> {
        let spool = Spool::new(self.places.len(), false);
        for (layer, place) in (0..).zip(&self.places) {
            spool.adopt(layer, (self.output.file.try_clone()?, place.start))?;
        }
        Ok((spool, host::stored_bytes(&self.output.file.metadata()?)))
    }
}

/// Gives each layer as much room as its contents take at most: in a tarball the shortest file takes 1 KiB, and a block here.
/// Only tarballs with files that are nearly all holes may have more, which is found out when they do.
fn places(image: &Image, options: &layers::Options) -> Vec<Range<u64>> {
    let mut end = 0u64;
    let place = |layer: oci::Layer<'_>| {
        let most = options.expand.most(layer.descriptor.size).saturating_mul(BLOCK / 1024);
        let start = end;
        end = start.saturating_add(most).checked_next_multiple_of(BLOCK).unwrap_or(u64::MAX);
        start..end
    };
    image.layers().map(place).collect()
}

/// Writes a layer's contents into the bed.
struct Writer<'a> {
    bed: &'a Bed,
    place: Range<u64>,
    at: u64,
    /// Up to where room was taken.
    reserved: u64,
}

impl Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (file, next) = (&self.bed.output.file, self.at + bytes.len() as u64);
        if next > self.place.end {
            self.bed.too_short.store(true, Ordering::Relaxed);
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if next > self.reserved {
            // As much again as there is: an image may have many short layers.
            let ahead = (self.at - self.place.start).min(AHEAD_MAX);
            let reserved = (next + ahead).min(self.place.end);
            // What is taken here may be more than is needed: that there is not as much is no error.
            let _ = host::reserve(file, self.reserved, reserved - self.reserved);
            self.reserved = reserved;
        }
        let written = self.bed.direct.write_at(bytes, self.at).and_then(|done| {
            // What cannot go past the page cache.
            file.write_all_at(&bytes[done..], self.at + done as u64)
        });
        written.map_err(|error| located(error, &self.bed.directory))?;
        self.at = next;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Writer<'_> {
    /// Gives back what was taken and not needed: other layers may need it.
    fn drop(&mut self) {
        if self.at < self.reserved {
            host::release(&self.bed.output.file, self.at, self.reserved - self.at);
        }
    }
}
