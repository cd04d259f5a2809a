//! Digests, readers that verify them, and hash trees as fs-verity and dm-verity have them.
//!
//! This crate is pure: it opens nothing.

mod digest;
pub mod dm_verity;
mod verify;
pub mod verity;

pub use digest::{Algorithm, Digest, DigestError, Hasher};
pub use verify::{Mismatch, Verifier, verify};
pub use verity::{FileDigest, Verity};
