//! Calls of C libraries and of the kernel that no safe crate offers. The only crate with `unsafe` in it: small
//! functions, each of which is safe for whatever it is given.

#[cfg(unix)]
pub mod loops;
pub mod lz4;
#[cfg(unix)]
pub mod verity;
