//! Where everything is that a run reads and writes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::{corpus, tools};

/// Paths of one benchmark.
#[derive(Clone)]
pub(super) struct Place {
    /// Where outputs go.
    pub(super) work: PathBuf,
    /// The program that is measured.
    pub(super) unlade: PathBuf,
    /// The image.
    pub(super) layout: PathBuf,
    /// Bytes of a filesystem that surely holds the image, for programs that have to be told.
    pub(super) size: u64,
}

impl Place {
    /// An empty one.
    pub(super) fn new(work: &Path, unlade: &Path, layout: &Path) -> io::Result<Place> {
        if work.exists() {
            fs::remove_dir_all(work)?;
        }
        fs::create_dir_all(work)?;
        let work = work.canonicalize()?;
        Ok(Place { work, unlade: unlade.to_owned(), layout: layout.to_owned(), size: 0 })
    }

    /// Half as much again as the tarballs are, in whole GiB: room for what is replaced by upper layers, for
    /// blocks that are not full, and for tables.
    pub(super) fn with_size_for(self, expanded: u64) -> Place {
        Place { size: (expanded + expanded / 2).next_multiple_of(1 << 30), ..self }
    }

    /// The same in another directory.
    pub(super) fn moved_to(&self, work: &Path) -> Place {
        Place { work: work.to_owned(), ..self.clone() }
    }

    pub(super) fn file(&self, name: &str) -> String {
        self.work.join(name).display().to_string()
    }

    pub(super) fn image(&self) -> String {
        format!("{}:latest", self.layout.display())
    }
}

/// A program of the workspace `bench`.
pub(super) fn peer(name: &str) -> String {
    corpus::target().join("bench/release").join(name).display().to_string()
}

/// Counts the names in the image's rootfs.
pub(super) fn files(place: &Place) -> io::Result<u64> {
    let image = format!("oci:{}", place.image());
    let mut list = Command::new(&place.unlade);
    list.args(["ls", "-q", &image, "--store", &place.file("store-of-ls")]);
    Ok(tools::run(&mut list)?.iter().filter(|byte| **byte == b'\n').count() as u64)
}
