//! Splitstreams: bytes with the larger files in them replaced by references to objects. Pure: nothing is opened here.
//!
//! What is in a stream and where is written down in `docs/formats/composefs.md`.

mod format;
mod read;
mod write;

pub use format::ContentType;
pub use read::{Malformed, Part, Parts, Splitstream};
pub use write::Writer;

/// Most bytes of a file that a layer's stream holds itself; every larger file is an object. Readers demand both.
pub const INLINE_MAX: u64 = 64;
