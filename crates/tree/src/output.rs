//! Where a finished rootfs goes.

use std::io;

use crate::Span;

/// Takes the bytes of an output file. Offsets are in bytes from its start; what is never put reads as zeros.
///
/// Whoever implements it knows where the layers' contents are kept, so that a copy can be a reflink or stay
/// inside the kernel.
pub trait Output {
    /// Puts `bytes` at `offset`.
    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Puts the bytes that `span` names at `offset`.
    fn copy(&mut self, offset: u64, span: Span) -> io::Result<()>;
}
