//! Where a rootfs is looked at.

use std::io;

/// Gives the bytes of a filesystem in a file, from any place of it.
pub trait Input {
    /// Fills `buffer` with the bytes from `offset` on. That there are fewer is an error of the kind
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof).
    fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
}

impl Input for &[u8] {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let bytes = usize::try_from(offset).ok().and_then(|offset| self.get(offset..));
        match bytes.and_then(|bytes| bytes.get(..buffer.len())) {
            Some(bytes) => buffer.copy_from_slice(bytes),
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
        Ok(())
    }
}
