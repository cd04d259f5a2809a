//! Pull an image, build a root filesystem: the only crate that sees both halves.

pub mod event;
pub mod pull;
pub mod source;

pub use event::{Event, Report};
