//! The merged tree of an image's layers, in memory.
//!
//! A layer is a list of [`Change`]s. [`Tree::apply`] puts them onto what the layers below made, so after the
//! last layer there is one finished tree: no whiteouts, no host paths, exact sizes. The tree holds *places*
//! of bytes ([`Span`]), never the bytes of a layer.
//!
//! This crate is pure: it opens nothing and resolves no name anywhere but in the tree itself.

pub mod acl;
mod apply;
mod change;
mod compare;
mod content;
mod dump;
mod error;
mod find;
mod grow;
mod input;
mod materialise;
mod node;
mod note;
mod output;
mod path;
mod subtree;
mod sweep;
pub mod transform;
mod walk;

pub use change::{Action, Change};
pub use compare::{Aspect, Changed, Difference, compare};
pub use content::{BLOCK, Content, Piece, Span};
pub use dump::{Dump, mode_string};
pub use error::{Error, Fault};
pub use find::{Lost, Trail};
pub use grow::Misfit;
pub use input::Input;
pub use materialise::{Dropped, Endless, Files, MATERIALISED_MAX};
pub use node::{Device, Directory, Kind, Metadata, Node, NodeId, Time, Tree, Xattrs};
pub use note::{KEPT_OF_A_KIND, Note, Notes, Remark};
pub use output::Output;
pub use path::{COMPONENT_MAX, DEPTH_MAX, Escaped, Path, PathError, escape};
pub use walk::{Visit, Walk};
