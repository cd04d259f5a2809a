//! Writes a tree as an ext4 filesystem.
//!
//! [`plan`] decides where everything goes and gives a [`Layout`]: data that can be printed. Its
//! [`write`](Layout::write) then puts metadata and contents to their places and decides nothing.
#![doc = include_str!("../../../docs/formats/ext4.md")]

mod format;
mod options;
mod plan;
mod write;
mod checksum;
mod hash;
mod dump;
mod error;

pub use error::Error;
pub use options::{BlockSize, Headroom, Inodes, Label, Options, Profile, Size};
pub use plan::{Layout, plan};
