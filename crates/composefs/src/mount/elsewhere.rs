//! Mounting an image: not on this host.

mod ways;

use std::io;
use std::path::Path;

use hash::FileDigest;

use crate::{Error, Repository};
pub use ways::{MountOptions, Way};

impl Repository {
    /// Mounts an image on the directory `point`, read-only. Says in which way.
    pub fn mount(&self, _: &FileDigest, point: &Path, _: &MountOptions) -> Result<Way, Error> {
        Err(Error::io("mount", point)(io::Error::new(
            io::ErrorKind::Unsupported,
            "only Linux mounts such images",
        )))
    }
}
