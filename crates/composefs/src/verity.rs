//! fs-verity of files in a repository, where kernel and filesystem have it.

use std::fs::File;
use std::io;

use hash::{Algorithm, FileDigest};
use rustix::io::Errno;

/// As fs-verity numbers hash functions.
fn number(algorithm: Algorithm) -> u32 {
    match algorithm {
        Algorithm::Sha256 => 1,
        Algorithm::Sha512 => 2,
    }
}

/// Enables fs-verity on a file that nobody has open for writing. `false` where there is none.
pub(crate) fn enable(file: &File, algorithm: Algorithm) -> io::Result<bool> {
    let done = sys::verity::enable(file, number(algorithm), hash::verity::BLOCK as u32);
    match done {
        Ok(()) => Ok(true),
        Err(error) => match Errno::from_io_error(&error) {
            Some(Errno::NOTTY | Errno::OPNOTSUPP) => Ok(false),
            Some(Errno::EXIST) => Ok(true),
            _ => Err(error),
        },
    }
}

/// The digest that the kernel demands of a file; `None` if it demands nothing.
pub(crate) fn measure(file: &File) -> io::Result<Option<FileDigest>> {
    let Some((found, digest)) = sys::verity::measure(file)? else { return Ok(None) };
    let known = [Algorithm::Sha256, Algorithm::Sha512];
    let algorithm = known.into_iter().find(|algorithm| number(*algorithm) == u32::from(found));
    let unknown = || io::Error::other("fs-verity with an unknown hash function");
    let digest = algorithm.and_then(|algorithm| FileDigest::from_bytes(algorithm, &digest));
    digest.map(Some).ok_or_else(unknown)
}
