//! Trees for composefs images out of other things than an image of OCI: a tarball, a directory of the host. Objects are
//! named, and not written anywhere.

#[cfg_attr(not(unix), path = "input/elsewhere.rs")]
mod directory;

use std::io::{self, BufRead};
use std::path::PathBuf;

use erofs::composefs::Files;
use hash::{Algorithm, FileDigest, Verity};
use tree::{Notes, Tree};

pub use directory::of_directory;

/// Why something is no tree.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The tarball is malformed, or beyond a limit.
    #[error("the tarball")]
    Tarball(#[source] layer::Error),
    /// The tarball makes no sense.
    #[error("the tarball")]
    Tree(#[source] tree::Error),
    /// A file of the directory cannot be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file became another one meanwhile.
    #[error("{} changes while it is read", path.display())]
    Changes {
        /// The file.
        path: PathBuf,
    },
}

/// The tree of a tarball that is read to its end. Files of up to `inline_max` bytes will be in the image itself.
pub fn of_tarball(tarball: impl BufRead, algorithm: Algorithm, inline_max: u64) -> Result<Files, InputError> {
    let mut parts = Measuring { algorithm, file: None, objects: Vec::new() };
    let layer = layer::split(0, tarball, &mut parts, inline_max, &layer::ReadOptions::default())
        .map_err(InputError::Tarball)?;
    let mut tree = Tree::default();
    tree.apply(0, layer.changes, &mut Notes::default()).map_err(InputError::Tree)?;
    let objects = super::objects(&tree, &[parts.objects]);
    Ok(Files { tree, objects })
}

/// Computes the digests of files, and keeps nothing else.
struct Measuring {
    algorithm: Algorithm,
    file: Option<Verity>,
    objects: Vec<FileDigest>,
}

impl layer::Parts for Measuring {
    fn inline(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn begin(&mut self, _: u64) -> io::Result<()> {
        self.file = Some(Verity::new(self.algorithm));
        Ok(())
    }

    fn content(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            file.update(bytes);
        }
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        self.objects.extend(self.file.take().map(Verity::finish));
        Ok(())
    }
}
