//! Images of composefs: EROFS filesystems of metadata alone, whose files' bytes are *objects* that overlayfs finds by
//! their fs-verity digests.
//!
//! [`plan()`] decides where everything goes, [`Layout::write`] puts it there, and [`read()`] takes an image apart
//! again. The bytes are those of `mkcomposefs` and `cfsctl` for the same tree, and so an image's own digest is.
//!
#![doc = include_str!("../../../docs/formats/composefs.md")]

mod dump;
mod error;
mod format;
mod inodes;
mod objects;
mod order;
mod overlay;
mod place;
mod plan;
mod read;
mod text;
mod write;
mod xattrs;

pub use dump::Dump;
pub use error::Error;
pub use format::{NoVersion, Version};
pub use objects::{Files, Object, Objects};
pub use plan::{IMAGE_CONTENT_MAX, LINK_TEXT_MAX, Layout, OBJECT_SIZE_MAX, plan};
pub use read::{Corrupt, Image, read};
pub use text::{Text, TextError, TextFault, parse_text};
