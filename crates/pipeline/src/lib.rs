//! Pull an image, build a root filesystem: the only crate that sees both halves.
//!
//! Start reading at [`build`](mod@build).

pub mod build;
pub mod directory;
pub mod error;
pub mod event;
mod identity;
pub mod layers;
mod output;
mod pipe;
mod publish;
pub mod pull;
pub mod scratch;
pub mod source;
mod spool;

pub use build::{Built, Ext4, Filesystem, Format, Merged, Options, Target, build, merge};
pub use error::{Error, LayerFault};
pub use event::{Event, Report};
