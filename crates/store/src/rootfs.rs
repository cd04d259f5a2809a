//! Rootfs that were built from images of the store, remembered for whoever builds the same again.
//!
//! Each is a file under the image's manifest and a key for everything else that decided its bytes. What is in the
//! file is its maker's matter, and so is to check it: like all that is known, it is never flushed and can be had
//! anew. It goes with its image, and before it if room is needed.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::SystemTime;

use hash::Digest;

use crate::error::Error;
use crate::format::unflat_pair;
use crate::images::list;
use crate::open::Store;

/// A rootfs that is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rootfs {
    /// The manifest of the image that it was built from.
    pub manifest: Digest,
    /// What stands for how it was built.
    pub key: Digest,
    /// Where it is.
    pub path: PathBuf,
    /// Bytes that it takes on the disk; those that it shares with other files count as well.
    pub bytes: u64,
    /// When it was made or used last.
    pub used: Option<SystemTime>,
}

impl Store {
    /// Opens a rootfs that is remembered. Its bytes are not verified.
    pub fn rootfs(&self, manifest: &Digest, key: &Digest) -> Option<File> {
        // What cannot be opened, a link for one, is as good as nothing.
        host::open_regular(&self.paths.rootfs(manifest, key)).ok()?
    }

    /// Where a rootfs is to be put to be remembered. Whoever puts it there renames it, whole, from beside that name,
    /// where he holds it by a lock.
    pub fn rootfs_path(&self, manifest: &Digest, key: &Digest) -> Result<PathBuf, Error> {
        self.create_directory(&self.paths.all_rootfs())?;
        let path = self.paths.rootfs(manifest, key);
        // A link would be followed, and is nothing of ours.
        if fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink()) {
            fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        }
        Ok(path)
    }

    /// Remembers that a rootfs was used just now.
    pub fn touch_rootfs(&self, manifest: &Digest, key: &Digest) {
        // In a store that cannot be written to nothing is swept either.
        let _ = host::touch(&self.paths.rootfs(manifest, key));
    }

    /// Forgets one that turned out to be of no use.
    pub fn forget_rootfs(&self, manifest: &Digest, key: &Digest) {
        // In a store that cannot be written to it stays, and is found to be of no use again.
        let _ = fs::remove_file(self.paths.rootfs(manifest, key));
    }

    /// All that are remembered, those of one image behind one another.
    pub fn all_rootfs(&self) -> Result<Vec<Rootfs>, Error> {
        let mut all = Vec::new();
        for entry in list(&self.paths.all_rootfs())? {
            // It may be gone since the directory was read.
            if let Some((manifest, key)) = unflat_pair(&entry.file_name())
                && let Ok(found) = entry.metadata()
                && found.is_file()
            {
                let bytes = host::stored_bytes(&found);
                all.push(Rootfs { manifest, key, path: entry.path(), bytes, used: found.modified().ok() });
            }
        }
        all.sort_by_key(|rootfs| (rootfs.manifest, rootfs.key));
        Ok(all)
    }

    /// Files among them that no running process holds and that are none: what killed processes left.
    pub(crate) fn rootfs_leftovers(&self) -> Result<Vec<PathBuf>, Error> {
        let mut left = Vec::new();
        for entry in list(&self.paths.all_rootfs())? {
            if unflat_pair(&entry.file_name()).is_none()
                && entry.file_type().is_ok_and(|found| found.is_file())
                && File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok())
            {
                left.push(entry.path());
            }
        }
        Ok(left)
    }
}
