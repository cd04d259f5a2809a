//! Writing a merged tree in the format that was asked for.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use erofs::{Pressed, Sharing};
use host::Direct;
use oci::Image;
use store::Store;
use tree::{BLOCK, Output, Remark, Tree};

use crate::archive::Kind;
use crate::arrivals::Arrivals;
use crate::bed::Bed;
use crate::built::{Built, Filesystem};
use crate::directory;
use crate::error::Error;
use crate::event::Report;
use crate::frame::{Frame, Framed, Inside};
use crate::identity::Identity;
use crate::layers::{self, Contents};
use crate::options::{Erofs, Ext4, Format, Options, Target, scratch_directory};
use crate::outlines::Outlines;
use crate::output::{Bring, FileOutput, Places, Settled, copying};
use crate::press::{Done, Fault, candidates, press};
use crate::publish::Unpublished;
use crate::reuse;
use crate::share::share;
use crate::spool::Spool;
use crate::tarballs::{Published, Tarballs};

/// What is built.
pub(crate) struct Job<'a> {
    pub(crate) store: &'a Store,
    pub(crate) arrivals: &'a Arrivals,
    pub(crate) image: &'a Image,
    pub(crate) options: &'a Options,
    pub(crate) report: Report<'a>,
}

/// Where the contents of a merged tree's files are.
pub(crate) enum Held<'a> {
    /// In a spool.
    Spool(Spool),
    /// In the file that is to be the output.
    Bed(Bed),
    /// Where they go.
    Settled,
    /// In tarballs, where they stay.
    Tarballs(Spool, Tarballs<'a>),
    /// Still in the layers: outlines alone were merged.
    Layers(Outlines),
}

impl Held<'_> {
    /// Bytes that wait in the scratch directory.
    pub(crate) fn scratch_bytes(&self) -> u64 {
        match self {
            Held::Spool(spool) => spool.bytes(),
            Held::Bed(_) | Held::Settled | Held::Tarballs(..) | Held::Layers(_) => 0,
        }
    }

    fn held(&self) -> &Spool {
        match self {
            Held::Spool(spool) | Held::Tarballs(spool, _) => spool,
            Held::Bed(_) | Held::Settled => unreachable!("only ext4 filesystems are made in a bed"),
            Held::Layers(_) => unreachable!("`may_place` says which outputs can be written from the layers"),
        }
    }

    pub(crate) fn spool(self) -> Spool {
        match self {
            Held::Spool(spool) | Held::Tarballs(spool, _) => spool,
            Held::Bed(_) | Held::Settled => unreachable!("only ext4 filesystems are made in a bed"),
            Held::Layers(_) => unreachable!("`may_place` says which outputs can be written from the layers"),
        }
    }
}

impl Job<'_> {
    /// Writes the tree to its target and publishes it.
    pub(crate) fn write(
        &self,
        tree: &Tree,
        contents: Held<'_>,
        target: &mut Target<'_>,
        built: &mut Built,
    ) -> Result<(), Error> {
        match (&self.options.format, target) {
            (Format::Ext4(ext4), Target::Path(path)) => self.write_ext4(tree, contents, ext4, path, built),
            (Format::Erofs(erofs), Target::Path(path)) => match contents {
                Held::Tarballs(spool, tarballs) => {
                    self.write_index(tree, (spool, tarballs), erofs, path, built)
                }
                contents => self.write_erofs(tree, contents, erofs, path, built),
            },
            (Format::Tar(packing), target) => {
                self.write_archive(tree, contents, (Kind::Tar, *packing), target, built)
            }
            (Format::Cpio(packing), target) => {
                self.write_archive(tree, contents, (Kind::Cpio, *packing), target, built)
            }
            (Format::Directory, Target::Path(path)) => {
                self.write_directory(tree, &contents.spool(), path, built)
            }
            (Format::Ext4(_) | Format::Erofs(_) | Format::Directory, Target::Stream(_)) => {
                unreachable!("check_target refuses these")
            }
        }
    }

    fn write_ext4(
        &self,
        tree: &Tree,
        contents: Held<'_>,
        ext4: &Ext4,
        path: &Path,
        built: &mut Built,
    ) -> Result<(), Error> {
        let identity = Identity::derive(&built.manifest, &self.options.spelled());
        let uuid = ext4.uuid.unwrap_or(identity.uuid);
        let options = ext4::Options { uuid, hash_seed: identity.hash_seed, ..ext4.options.clone() };
        let layout = ext4::plan(tree, &options).map_err(Error::Ext4)?;

        let fail = |cause| Error::Output { path: path.into(), cause };
        let inside = Inside {
            size: layout.size(),
            block: options.block_size.bytes(),
            writable: options.profile != ext4::Profile::ReadOnly,
        };
        let mut framed = self.frame(ext4.frame, inside, &identity)?;
        let start = ext4.frame.start();
        let (output, contents) = match contents {
            Held::Bed(bed) => {
                let places = layout.contents().map(|(offset, span)| (start + offset, span));
                if bed.settle(places, framed.length).map_err(fail)? {
                    (bed.into_output(), Held::Settled)
                } else {
                    let (spool, bytes) = bed.into_spool().map_err(Error::Spool)?;
                    built.scratch_bytes = bytes;
                    (Unpublished::create(path, framed.length).map_err(fail)?, Held::Spool(spool))
                }
            }
            contents => (Unpublished::create(path, framed.length).map_err(fail)?, contents),
        };
        self.fill((&output.file, start), path, contents, (0, built.content_bytes), built, |out| {
            layout.write(tree, out).map_err(|error| match error {
                ext4::Error::Io(cause) => fail(cause),
                other => Error::Ext4(other),
            })
        })?;
        framed.write(&output.file, &identity, self.options.layers.threads()).map_err(fail)?;
        built.output_bytes = framed.length;
        self.publish(output, path, built)?;

        built.notes.count(Remark::TimeClamped, layout.clamped_times());
        built.notes.count(Remark::XattrUnsupported, layout.dropped_xattrs());
        built.filesystem = Some(Filesystem {
            uuid,
            size: layout.size(),
            block_size: options.block_size.bytes(),
            free_blocks: layout.free_blocks(),
            inodes: layout.inodes(),
            free_inodes: layout.free_inodes(),
            needs_kernel: None,
            devices: Vec::new(),
        });
        Ok(())
    }

    fn write_erofs(
        &self,
        tree: &Tree,
        contents: Held<'_>,
        erofs: &Erofs,
        path: &Path,
        built: &mut Built,
    ) -> Result<(), Error> {
        let identity = Identity::derive(&built.manifest, &self.options.spelled());
        let uuid = erofs.uuid.unwrap_or(identity.uuid);
        let options = erofs::Options { uuid, ..erofs.options.clone() };
        let fail = |cause| Error::Output { path: path.into(), cause };

        let start = erofs.frame.start();
        let frame = |layout: &erofs::Layout| {
            let inside = Inside { size: layout.size(), block: layout.block_size(), writable: false };
            self.frame(erofs.frame, inside, &identity)
        };
        let candidates = candidates(tree, &options, &erofs.compress_exclude).map_err(Error::Erofs)?;
        let threads = self.options.layers.threads();
        let tails_layer = options.compression.map_or(0, |_| contents.held().own_layer());
        let mut pressed = Pressed::new(&options, tails_layer);
        if options.sharing != Sharing::None {
            share(tree, contents.held(), &options, &candidates, threads, &mut pressed)
                .map_err(Error::Spool)?;
        }
        // Of files that are equal one is written.
        let bytes = built.content_bytes.saturating_sub(pressed.shared_bytes());
        let (output, layout, mut framed, pressed) = match options.compression {
            None => {
                let layout = erofs::plan_pressed(tree, pressed, &options).map_err(Error::Erofs)?;
                let framed = frame(&layout)?;
                (Unpublished::create(path, framed.length).map_err(fail)?, layout, framed, 0)
            }
            Some(compression) => {
                // The superblock's place is zero until all is written.
                let output = Unpublished::create(path, start + BLOCK).map_err(fail)?;
                let scratch = scratch_directory(self.options, &Target::Path(path));
                let done = press(
                    tree,
                    (contents.held(), &scratch),
                    (&output.file, start),
                    (&options, compression),
                    (candidates, pressed),
                    threads,
                    (self.report, bytes),
                );
                let Done { pressed, bytes } = done.map_err(|fault| match fault {
                    Fault::Spool(cause) => Error::Spool(cause),
                    Fault::Output(cause) => fail(cause),
                    Fault::Plan(cause) => Error::Erofs(cause),
                })?;
                built.scratch_bytes = built.scratch_bytes.max(contents.scratch_bytes());
                let written = pressed.size();
                let layout = erofs::plan_pressed(tree, pressed, &options).map_err(Error::Erofs)?;
                let framed = frame(&layout)?;
                output.grow(start + written, framed.length).map_err(fail)?;
                (output, layout, framed, bytes)
            }
        };
        let bytes = bytes.saturating_sub(layout.lent_bytes());
        self.fill((&output.file, start), path, contents, (pressed, bytes), built, |out| {
            layout.write(tree, out).map_err(|error| match error {
                erofs::Error::Io(cause) => fail(cause),
                other => Error::Erofs(other),
            })
        })?;
        framed.write(&output.file, &identity, self.options.layers.threads()).map_err(fail)?;
        built.output_bytes = framed.length;
        self.publish(output, path, built)?;

        describe_erofs(&layout, uuid, Vec::new(), built);
        Ok(())
    }

    /// Plans what there is around a filesystem.
    fn frame(&self, frame: Frame, inside: Inside, identity: &Identity) -> Result<Framed, Error> {
        Ok(frame.plan(inside, &self.image.config.platform, identity)?)
    }

    /// Leaves what is written in the store if that is wanted, and publishes it: in this order, since nobody can change
    /// what has no name. The disk has the output first, so that nobody waits until it has the copy as well.
    pub(crate) fn publish(&self, output: Unpublished, path: &Path, built: &mut Built) -> Result<(), Error> {
        let fail = |cause| Error::Output { path: path.into(), cause };
        if self.options.remember {
            output.file.sync_all().map_err(fail)?;
            let remembered = reuse::remember(self, &output.file, built.output_bytes);
            built.not_remembered = remembered.err().map(Arc::new);
        }
        output.publish().map_err(fail)
    }

    /// Lets a format's writer write a file from `start` on, and brings the contents to the places that it gives them.
    /// Of the contents `done` bytes are there already, of about `total`.
    pub(crate) fn fill<T>(
        &self,
        (file, start): (&File, u64),
        path: &Path,
        contents: Held<'_>,
        (done, total): (u64, u64),
        built: &mut Built,
        write: impl FnOnce(&mut dyn Output) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let fail = |cause| Error::Output { path: path.into(), cause };
        let direct = if self.reads_again() { None } else { Direct::open(file) };
        let through = |runs: &mut dyn Bring| {
            let output = FileOutput::new(file, runs, total, self.report);
            let mut output = output.starting_at(start).after(done);
            let written = write(&mut output)?;
            output.finish().map_err(fail)?;
            Ok(written)
        };
        match contents {
            // The spool is dropped before the output is flushed: its pages must not be written to the disk.
            Held::Spool(spool) | Held::Tarballs(spool, _) => copying(file, &spool, direct, through),
            Held::Bed(_) => unreachable!("it was settled"),
            Held::Settled => through(&mut Settled),
            Held::Layers(outlines) => {
                let mut runs = Vec::new();
                let written = through(&mut runs)?;
                let places =
                    Places::new(file, direct, self.image.manifest.layers.len(), runs).map_err(fail)?;
                let read = self.read_into(&places, &outlines, built);
                // What the file fails with comes back as a layer's fault, which it is not.
                read.map_err(|error| places.failed().map_or(error, fail))?;
                Ok(written)
            }
        }
    }

    /// Whether what was written is read before it is published, or is no filesystem's, whose contents lie in blocks.
    fn reads_again(&self) -> bool {
        let verity = match &self.options.format {
            Format::Ext4(ext4) => ext4.frame.verity,
            Format::Erofs(erofs) => erofs.frame.verity,
            Format::Tar(_) | Format::Cpio(_) | Format::Directory => return true,
        };
        verity || self.options.remember
    }

    /// Reads the layers, and puts their contents into their places.
    fn read_into(&self, places: &Places<'_>, outlines: &Outlines, built: &mut Built) -> Result<(), Error> {
        let Job { store, arrivals, image, options, report } = *self;
        layers::read((store, arrivals), image, &options.layers, Contents::Place(places), report, |layer| {
            outlines.check(&layer, image, &options.layers)?;
            built.notes.extend(layer.notes);
            Ok(())
        })?;
        Ok(())
    }

    fn write_directory(
        &self,
        tree: &Tree,
        spool: &Spool,
        path: &Path,
        built: &mut Built,
    ) -> Result<(), Error> {
        let written = directory::Unpublished::write(tree, spool, path, self.report)
            .map_err(|fault| Error::Directory { path: path.into(), fault })?;
        built.unkept = written.unkept;
        written.publish().map_err(|cause| Error::Output { path: path.into(), cause })
    }
}

/// Says what an EROFS filesystem has.
pub(crate) fn describe_erofs(
    layout: &erofs::Layout,
    uuid: [u8; 16],
    devices: Vec<Published>,
    built: &mut Built,
) {
    built.notes.count(Remark::XattrUnsupported, layout.dropped_xattrs());
    built.filesystem = Some(Filesystem {
        uuid,
        size: layout.size(),
        block_size: layout.block_size(),
        free_blocks: 0,
        inodes: layout.inodes(),
        free_inodes: 0,
        needs_kernel: Some(layout.needs_kernel()),
        devices,
    });
}

/// A tarball goes to a stream: what fails then is mostly the stream.
pub(crate) fn stream_error(error: layer::Error) -> Error {
    match error {
        layer::Error::Io { source, .. } => Error::Stream(source),
        other => Error::Archive(other),
    }
}
