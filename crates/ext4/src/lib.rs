//! Writes a tree as an ext4 filesystem.
//!
//! [`plan()`] decides where everything goes and gives a [`Layout`]: data that can be printed. Its
//! [`write`](Layout::write) then puts metadata and contents to their places and decides nothing. [`Filesystem`] reads
//! one, and shows it as text.
//!
#![doc = include_str!("../../../docs/formats/ext4.md")]

mod checksum;
mod dump;
mod error;
mod format;
mod hash;
mod options;
mod plan;
mod read;
mod write;

pub use dump::Dump;
pub use error::Error;
pub use options::{BlockSize, Headroom, Inodes, Label, Options, Profile, Size};
pub use plan::{Layout, plan};
pub use read::{Filesystem, Place, ReadError};
