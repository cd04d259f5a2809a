//! Digests, and readers that verify them.
//!
//! This crate is pure: it opens nothing.

mod digest;
mod verify;

pub use digest::{Algorithm, Digest, DigestError, Hasher};
pub use verify::{Mismatch, Verifier, verify};
