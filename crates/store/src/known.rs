//! What is known of a blob since it was read once: the digest of what it expands to, and the outline of the
//! layer in it.
//!
//! A blob's digest says which bytes it expands to, so what was true once stays true as long as the blob is
//! checked against its digest whenever it is read. All of this can be found out anew: it is never flushed, and
//! what is damaged or lost is as good as never known.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

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

    /// Writes a file that may be read and written by others meanwhile: the name means old bytes or new ones.
    fn remember(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        let directory = path.parent().unwrap_or(&self.paths.root);
        self.create_directory(directory)?;
        // As any other file of a store, and not for its maker alone as temporary ones are.
        let mut file = tempfile::Builder::new()
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(directory)
            .map_err(Error::io("write", path))?;
        file.write_all(bytes).map_err(Error::io("write", path))?;
        file.persist(path).map_err(|error| Error::io("write", path)(error.error))?;
        Ok(())
    }
}
