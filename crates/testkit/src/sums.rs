//! Sums of files.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use ring::digest;

/// The sha256 of a file, in hex.
pub fn sha256(place: &Path) -> io::Result<String> {
    let mut file = File::open(place)?;
    let mut context = digest::Context::new(&digest::SHA256);
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(context.finish().as_ref())),
            length => context.update(&buffer[..length]),
        }
    }
}

/// The sha256 of bytes, in hex.
pub fn sha256_of(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
