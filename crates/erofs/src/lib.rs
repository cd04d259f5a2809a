//! Writes a tree as an EROFS filesystem.
//!
//! [`plan()`] decides where everything goes and gives a [`Layout`]: data that can be printed. Its
//! [`write`](Layout::write) then puts metadata and contents to their places and decides nothing.
//!
#![doc = include_str!("../../../docs/formats/erofs.md")]

mod checksum;
pub mod composefs;
mod dump;
mod error;
mod format;
mod options;
mod plan;
mod write;

pub use dump::Dump;
pub use error::Error;
pub use options::{BlockSize, Kernel, Label, Options, Tails};
pub use plan::{Layout, plan};
