//! Pull an image, build a root filesystem: the only crate that sees both halves.
//!
//! Start reading at [`build`](mod@build).

mod archive;
mod arrivals;
mod bed;
pub mod build;
pub mod built;
pub mod compose;
pub mod copy;
mod digest;
#[cfg_attr(not(unix), path = "directory/elsewhere.rs")]
pub mod directory;
pub mod error;
pub mod event;
pub mod export;
pub mod frame;
mod glob;
pub mod gpt;
mod identity;
mod in_order;
mod index;
pub mod layers;
pub mod look;
pub mod options;
mod outlines;
mod output;
pub mod pack;
mod pipe;
pub mod prebuilt;
mod press;
mod publish;
pub mod pull;
pub mod reuse;
pub mod scratch;
mod share;
mod sieve;
pub mod source;
mod spool;
mod tarballs;
pub mod verity;
mod write;

pub use build::{Merged, build, pull_and_build};
pub use built::{Built, Filesystem};
pub use error::{Error, LayerFault};
pub use event::{Event, Report};
pub use export::export;
pub use frame::Frame;
pub use glob::Glob;
pub use look::{Trust, View, look};
pub use options::{Erofs, Ext4, Format, Options, Packing, Scratch, Target};
pub use spool::Spool;
pub use tarballs::Published;
pub use verity::Verity;
