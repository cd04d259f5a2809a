//! Writes a tree as an EROFS filesystem.
//!
//! [`plan()`] decides where everything goes and gives a [`Layout`]: data that can be printed. Its
//! [`write`](Layout::write) then puts metadata and contents to their places and decides nothing. [`Filesystem`] reads
//! one, and shows it as text.
//!
//! With [`Options::compression`] contents come first: whoever has them lets a [`Press`] make clusters of the
//! [`candidates()`], writes these where [`Pressed::add`] says, and hands that to [`plan_pressed()`]. With [`Tails::Packed`] it
//! does the same with what [`Pressed::pack`] says is packed. With [`Options::sharing`] it looks before that which of the
//! [`sharable()`] files are equal, or parts of them: [`Repeat`], or [`Reuse`] if they are to be compressed. With
//! [`Contents::OnDevices`] [`plan_index()`] leaves contents where they are.
//!
#![doc = include_str!("../../../docs/formats/erofs.md")]

mod checksum;
pub mod composefs;
mod compression;
mod dump;
mod error;
mod format;
mod options;
mod packed;
mod parse;
mod pieces;
mod plan;
mod press;
mod pressed;
mod read;
mod write;

pub use compression::{Algorithm, ClusterSize, Compression};
pub use dump::Dump;
pub use error::Error;
pub use options::{Addresses, BlockSize, Contents, Kernel, Label, Options, Sharing, Tails};
pub use packed::{Packed, Part};
pub use pieces::{Piece, Reuse};
pub use plan::{Device, Layout, Repeat, plan, plan_index, plan_pressed};
pub use press::{Ending, Press, SEGMENT, Segment};
pub use pressed::{Candidate, Pressed, Put, candidates, sharable};
pub use read::{Filesystem, Place, ReadError};
