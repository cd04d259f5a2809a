//! A composefs repository: every file once, by its fs-verity digest; layers as streams from which their tarballs can be
//! put together again; images that say how files lie together.
//!
//! ```text
//! tag ─▶ manifest ─▶ config ─▶ layers ─▶ objects
//!                          └─▶ image  ─▶ objects
//! ```
//!
//! The repository is laid out as `cfsctl` of composefs-rs has it, and either reads what the other wrote. Where the
//! filesystem has fs-verity, the kernel is asked to watch over objects; elsewhere digests are computed and compared in
//! the program.

mod error;
mod fsck;
mod gc;
mod hashing;
mod meta;
#[cfg_attr(not(unix), path = "mount/elsewhere.rs")]
mod mount;
mod names;
mod objects;
mod oci;
mod open;
mod splitstream;
mod streams;
#[cfg_attr(not(unix), path = "verity/elsewhere.rs")]
mod verity;

pub use error::Error;
pub use fsck::{Finding, Findings};
pub use gc::Plan;
pub use meta::{Meta, MetaError};
pub use mount::{MountOptions, Way};
pub use names::{StreamName, Tag, TagError};
pub use objects::{ObjectWriter, Present};
pub use oci::{ImageRef, LayerWriter, Purpose, Stored};
pub use open::{Access, Repository, Security};
pub use splitstream::{ContentType, INLINE_MAX, Malformed, Part, Parts, Splitstream, Writer};
