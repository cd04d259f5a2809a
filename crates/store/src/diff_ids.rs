//! Digests of what blobs expand to, once they were verified.
//!
//! A blob's digest says which bytes it expands to, so what was true once stays true as long as the blob is
//! checked against its digest whenever it is read.

use std::fs;

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
        // Written once, so that no reader finds a file that is being written again.
        if self.diff_id(blob) == Some(*diff_id) {
            return Ok(());
        }
        self.create_directory(&self.paths.diff_ids())?;
        let path = self.paths.diff_id(blob);
        // Not flushed: if it is lost, it is computed once more.
        fs::write(&path, diff_id.to_string()).map_err(Error::io("write", &path))
    }
}
