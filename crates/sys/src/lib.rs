//! Calls of C libraries and of the kernel that no safe crate offers. The only crate with `unsafe` in it: small
//! functions, each of which is safe for whatever it is given.

#[cfg(windows)]
pub mod console;
#[cfg(unix)]
pub mod loops;
pub mod lz4;
#[cfg(windows)]
pub mod sparse;
#[cfg(unix)]
pub mod verity;
