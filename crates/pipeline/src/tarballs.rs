//! Layers' tarballs, expanded, in a directory: where the contents of an index stay.
//!
//! Each has its name by its diff ID, so that images share those of the layers that they have in common. One that is there
//! is read instead of the layer's blob, if it proves to be what its name says; another takes its place if not.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use erofs::Device;
use hash::Digest;
use layer::Layer;
use oci::Image;
use store::Store;

use crate::error::{Error, LayerFault};
use crate::layers::reading::{InPlace, Reading};
use crate::layers::{Shared, Task};
use crate::publish::Unpublished;
use crate::spool::Spool;

/// Tarballs of the layers of one image.
pub(crate) struct Tarballs<'a> {
    directory: &'a Path,
    /// Where bytes wait that no tarball holds as they are.
    scratch: &'a Path,
    /// By the lowest place at which the layer stands.
    known: Mutex<BTreeMap<u32, Tarball>>,
}

/// The tarball of a layer.
struct Tarball {
    diff_id: Digest,
    length: u64,
    /// None if it is there already.
    unpublished: Option<Unpublished>,
}

/// A tarball that has its name.
#[derive(Debug, Clone)]
pub struct Published {
    /// The layer's diff ID.
    pub diff_id: Digest,
    /// Where it lies.
    pub path: PathBuf,
    /// Its bytes.
    pub length: u64,
    /// Whether it was there before.
    pub reused: bool,
}

impl<'a> Tarballs<'a> {
    /// Those that are, or will be, in `directory`, which is made if need be.
    pub(crate) fn new(directory: &'a Path, scratch: &'a Path) -> Result<Tarballs<'a>, Error> {
        let fail = |cause| Error::Output { path: directory.into(), cause };
        match fs::create_dir(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(fail(error)),
            _ => Ok(Tarballs { directory, scratch, known: Mutex::default() }),
        }
    }

    /// Reads a layer's tarball if it is there, and else its blob, which leaves one. Its files' bytes stay in it; those of
    /// others go to the spool.
    pub(crate) fn read(
        &self,
        store: &Store,
        task: &Task<'_>,
        spool: &Spool,
        shared: Shared<'_>,
    ) -> Result<Layer, Error> {
        let blob = task.layer.descriptor.digest;
        let fail = |fault| Error::Layer { number: task.number, blob, fault: Box::new(fault) };
        // Who wants to know how the blob is compressed has to look at it.
        if !shared.options.strict_media_type
            && let Ok(tarball) = self.open(task.layer.diff_id)
            && let Ok(length) = tarball.metadata().map(|found| found.len())
            && let Ok(source) = tarball.try_clone()
        {
            let reading = Reading::of_tarball(task.number, task.layer, length, shared);
            match self.run(&reading, source, None, spool) {
                Ok(layer) => {
                    self.keep(task, (tarball, length, None), spool).map_err(fail)?;
                    return Ok(layer);
                }
                Err(fault @ (LayerFault::Spool(_) | LayerFault::ImageTooLarge { .. })) => {
                    return Err(fail(fault));
                }
                // The blob tells whose fault it is.
                Err(_) => {}
            }
        }
        let (reading, source) = Reading::start(store, task.number, task.layer, shared)?;
        let path = self.path(task.layer.diff_id);
        let unpublished =
            Unpublished::create(&path, 0).map_err(|cause| Error::Output { path: path.clone(), cause })?;
        let layer = self.run(&reading, source, Some(&unpublished.file), spool).map_err(fail)?;
        reading.remember_diff_id(store);
        let file = unpublished.file.try_clone().map_err(LayerFault::Tarball).map_err(fail)?;
        self.keep(task, (file, layer.tarball_length, Some(unpublished)), spool).map_err(fail)?;
        Ok(layer)
    }

    fn run(
        &self,
        reading: &Reading<'_>,
        source: File,
        copy: Option<&File>,
        spool: &Spool,
    ) -> Result<Layer, LayerFault> {
        let number = reading.number();
        let contents = spool.create(number, self.scratch).map_err(LayerFault::Spool)?;
        contents.begin().map_err(LayerFault::Spool)?;
        reading.run_in_place(source, InPlace { number: spool.tarball_of(number), copy }, contents)
    }

    fn keep(
        &self,
        task: &Task<'_>,
        (file, length, unpublished): (File, u64, Option<Unpublished>),
        spool: &Spool,
    ) -> Result<(), LayerFault> {
        spool.adopt(spool.tarball_of(task.number), (file, 0)).map_err(LayerFault::Spool)?;
        let tarball = Tarball { diff_id: *task.layer.diff_id, length, unpublished };
        if let Ok(mut known) = self.known.lock() {
            known.insert(task.number, tarball);
        }
        Ok(())
    }

    /// What an index may lead to, as the spool numbers it. All layers of `image` were read.
    pub(crate) fn devices(&self, spool: &Spool) -> Vec<Device> {
        let Ok(known) = self.known.lock() else { return Vec::new() };
        let device = |(&number, tarball): (&u32, &Tarball)| Device {
            layer: spool.tarball_of(number),
            tag: tarball.diff_id.hex().into_bytes().into(),
            length: tarball.length,
        };
        known.iter().map(device).collect()
    }

    /// Gives names to those of the devices that have none, and says where all lie, in their order.
    pub(crate) fn publish(self, devices: &[Device], image: &Image) -> Result<Vec<Published>, Error> {
        let layers = image.manifest.layers.len() as u32;
        let mut known = std::mem::take(&mut *self.known.lock().unwrap_or_else(|poison| poison.into_inner()));
        let mut published = Vec::new();
        for device in devices {
            let tarball = known.remove(&(device.layer - layers));
            let Some(Tarball { diff_id, length, unpublished }) = tarball else { continue };
            let (path, reused) = (self.path(&diff_id), unpublished.is_none());
            let done = unpublished.map_or(Ok(()), Unpublished::publish);
            done.map_err(|cause| Error::Output { path: path.clone(), cause })?;
            published.push(Published { diff_id, path, length, reused });
        }
        Ok(published)
    }

    fn path(&self, diff_id: &Digest) -> PathBuf {
        self.directory.join(format!("{}.tar", diff_id.hex()))
    }

    /// Opens a tarball that is there; nothing else than a file is one.
    fn open(&self, diff_id: &Digest) -> io::Result<File> {
        host::open_regular(&self.path(diff_id))?.ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }
}
