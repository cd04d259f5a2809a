//! What the caller decides about a build.

use std::io::{Error as IoError, ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::directory;
use crate::error::Error;
use crate::layers;
use crate::publish::{self, Unpublished};

/// What the caller decides about a build.
#[derive(Debug, Clone)]
pub struct Options {
    /// What is written.
    pub format: Format,
    /// How the layers are read.
    pub layers: layers::Options,
    /// No time in the rootfs is later than this, in seconds since 1970.
    pub latest_mtime: Option<i64>,
    /// Where contents wait to be written.
    pub scratch: Scratch,
    /// Whether an image without any file is built rather than refused.
    pub allow_empty: bool,
}

impl Options {
    /// All that decides the bytes of the output beside the image, as text.
    pub(crate) fn spelled(&self) -> String {
        // What only bounds or speeds up the reading does not change what is read.
        let read = &self.layers.read;
        let kept = [
            !read.drop_devices,
            read.keep_overlay_xattrs,
            read.keep_selinux,
            read.keep_rootless_xattrs,
            read.keep_lazy_pull_metadata,
        ];
        format!("{:?} kept {kept:?} latest {:?}", self.format, self.latest_mtime)
    }
}

/// Where contents wait to be written, in a build that does not know its layers yet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Scratch {
    /// Beside the output, so that they can be reflinked; where temporary files go if that is no place for them.
    #[default]
    Beside,
    /// In this directory.
    In(PathBuf),
    /// Nowhere: the layers are read twice. Not for a directory, a stream, a device, or an image that has a
    /// layer twice; their contents wait as by default.
    Nowhere,
}

/// What a rootfs is written as.
#[derive(Debug, Clone)]
pub enum Format {
    /// An ext4 filesystem.
    Ext4(Ext4),
    /// A tarball.
    Tar,
    /// A directory of the host.
    Directory,
}

/// What the caller decides about an ext4 filesystem.
#[derive(Debug, Clone, Default)]
pub struct Ext4 {
    /// All but the identifiers.
    pub options: ext4::Options,
    /// The UUID, if it is not to be derived.
    pub uuid: Option<[u8; 16]>,
}

/// Where a rootfs goes.
pub enum Target<'a> {
    /// A file, a block device, or for [`Format::Directory`] a directory.
    Path(&'a Path),
    /// Anything that takes bytes in order.
    Stream(&'a mut dyn Write),
}

/// Refuses what cannot work before any work is done.
pub(crate) fn check_target(options: &Options, target: &Target<'_>) -> Result<(), Error> {
    let invalid = |text: &str| IoError::new(ErrorKind::InvalidInput, text);
    match (&options.format, target) {
        (Format::Tar, Target::Stream(_)) => Ok(()),
        (Format::Ext4(_) | Format::Directory, Target::Stream(_)) => {
            Err(Error::Stream(invalid("only a tarball can be written front to back")))
        }
        (Format::Directory, Target::Path(path)) => {
            directory::check_free(path).map_err(|cause| Error::Output { path: path.to_path_buf(), cause })
        }
        (Format::Ext4(_) | Format::Tar, Target::Path(path)) => {
            let checked = Unpublished::check(path).map(|_is_device| ());
            checked.map_err(|cause| Error::Output { path: path.to_path_buf(), cause })
        }
    }
}

/// Whether contents can be put into their places in any order. Not on a device: what is written there in place
/// must not look like a filesystem before it is one, and the writer puts its mark last.
pub(crate) fn may_place(options: &Options, target: &Target<'_>) -> Result<bool, Error> {
    match (&options.format, target) {
        (Format::Ext4(_) | Format::Tar, Target::Path(path)) => {
            let device = Unpublished::check(path);
            device.map(|device| !device).map_err(|cause| Error::Output { path: path.to_path_buf(), cause })
        }
        (Format::Directory, _) | (_, Target::Stream(_)) => Ok(false),
    }
}

/// Where contents wait: where the caller says, else beside a file that is written, else where temporary
/// files go.
pub(crate) fn scratch_directory(options: &Options, target: &Target<'_>) -> PathBuf {
    match (&options.scratch, target) {
        (Scratch::In(directory), _) => directory.clone(),
        (_, Target::Path(path)) if !path.starts_with("/dev") => publish::directory_of(path).into(),
        _ => std::env::temp_dir(),
    }
}
