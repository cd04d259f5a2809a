//! Digests, readers that verify them, and digests of files as fs-verity has them.
//!
//! This crate is pure: it opens nothing.

mod digest;
mod verify;
pub mod verity;

pub use digest::{Algorithm, Digest, DigestError, Hasher};
pub use verify::{Mismatch, Verifier, verify};
pub use verity::{FileDigest, Verity};
