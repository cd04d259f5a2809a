//! What is known of a blob since it was read once: the digest of what it expands to, and the outline of the
//! layer in it. And when an image was used last.
//!
//! A blob's digest says which bytes it expands to, so what was true once stays true as long as the blob is
//! checked against its digest whenever it is read. All of this can be found out anew: it is never flushed, and
//! what is damaged or lost is as good as never known.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::SystemTime;

use hash::Digest;

use crate::error::Error;
use crate::open::Store;

impl Store {
    /// What a blob is known to expand to.
    pub fn diff_id(&self, blob: &Digest) -> Option<Digest> {
        // Anything that is no digest, a file cut short by a crash for one, is as good as nothing.
        fs::read_to_string(self.paths.diff_id(blob)).ok()?.parse().ok()
    }

    /// Remembers what a blob expands to, so that it needs not be computed again. Only for what was verified.
    pub fn remember_diff_id(&self, blob: &Digest, diff_id: &Digest) -> Result<(), Error> {
        if self.diff_id(blob) == Some(*diff_id) {
            return Ok(());
        }
        self.remember(&self.paths.diff_id(blob), diff_id.to_string().as_bytes())
    }

    /// The outline of the layer in a blob, as it was handed in. Whoever uses it has to compare it with the
    /// layer: nothing protects it here.
    pub fn outline(&self, blob: &Digest) -> Option<Vec<u8>> {
        fs::read(self.paths.outline(blob)).ok()
    }

    /// Whether there is one.
    pub fn has_outline(&self, blob: &Digest) -> bool {
        self.paths.outline(blob).exists()
    }

    /// Forgets one that turned out to be of no use.
    pub fn forget_outline(&self, blob: &Digest) {
        // In a store that cannot be written to it stays, and is found to be of no use again.
        let _ = fs::remove_file(self.paths.outline(blob));
    }

    /// Remembers the outline of the layer in a blob.
    pub fn remember_outline(&self, blob: &Digest, outline: &[u8]) -> Result<(), Error> {
        self.remember(&self.paths.outline(blob), outline)
    }

    /// Remembers that an image was used just now, so that a sweep which needs room takes others first.
    pub fn touch(&self, manifest: &Digest) {
        let path = self.paths.used(manifest);
        let open = || File::options().create(true).truncate(false).write(true).open(&path);
        let file = open().or_else(|_| fs::create_dir_all(self.paths.uses()).and_then(|()| open()));
        // In a store that cannot be written to nothing is swept either.
        let _ = file.and_then(|file| file.set_modified(SystemTime::now()));
    }

    /// When an image was used last; if nobody remembers, when it arrived. `None` if it is not there.
    pub fn last_use(&self, manifest: &Digest) -> Option<SystemTime> {
        let modified = |path: &Path| fs::symlink_metadata(path).and_then(|found| found.modified()).ok();
        modified(&self.paths.used(manifest)).or_else(|| self.arrived(manifest))
    }

    /// When a blob arrived. `None` if it is not there.
    pub fn arrived(&self, blob: &Digest) -> Option<SystemTime> {
        fs::symlink_metadata(self.paths.blob(blob)).and_then(|found| found.modified()).ok()
    }

    /// Writes a file that may be read and written by others meanwhile: the name means old bytes or new ones.
    fn remember(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        // Until it has its name it looks like what a killed process left.
        let _shared = self.share_sweep_lock();
        let directory = path.parent().unwrap_or(&self.paths.root);
        self.create_directory(directory)?;
        // As any other file of a store, and not for its maker alone as temporary ones are.
        let mut temporary = tempfile::Builder::new();
        host::permissions_for_all().map(|all| temporary.permissions(all));
        let mut file = temporary.tempfile_in(directory).map_err(Error::io("write", path))?;
        file.write_all(bytes).map_err(Error::io("write", path))?;
        file.persist(path).map_err(|error| Error::io("write", path)(error.error))?;
        Ok(())
    }
}
