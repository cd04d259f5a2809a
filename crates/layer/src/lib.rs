//! Tarballs in, changes out; trees in, tarballs and cpio archives out.
//!
//! ```text
//! blob ─▶ Expander ─▶ tar::Reader ─▶ read() ─▶ Change…      Tree ─▶ write() ─▶ tarball
//!                                                             └─▶ cpio::write() ─▶ initramfs
//! ```
//!
//! Whatever looks at a layer looks through [`tar::Reader`], so no two parts of the program can disagree about
//! what an archive says. This crate is pure: bytes come from a reader and go to a writer that are handed in.

pub mod compression;
pub mod cpio;
pub mod error;
mod front;
pub mod in_place;
pub mod outline;
pub mod read;
pub mod split;
pub mod tar;
pub mod write;

pub use compression::{Compression, Expander};
pub use error::{Cap, Error, Place};
pub use in_place::read_in_place;
pub use outline::Outline;
pub use read::{Layer, ReadOptions, read, read_until};
pub use split::{Parts, split};
pub use write::{write, write_from};
