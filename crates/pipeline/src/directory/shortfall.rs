//! What of a tree does not become a directory.

use std::io;

/// Something of the tree that could not be made.
#[derive(Debug, thiserror::Error)]
#[error("/{}: {cause}", tree::escape(path))]
pub struct Error {
    /// Path in the tree, without a leading slash.
    pub path: Box<[u8]>,
    /// What the system said.
    #[source]
    pub cause: io::Error,
}

/// How many things a directory could not hold, by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unkept {
    /// Nodes with another owner than they were to have; recorded in `user.containers.override_stat` where
    /// the node can have such an attribute.
    pub owners: u64,
    /// Devices for which an empty file stands, with the same record.
    pub devices: u64,
    /// Extended attributes that could not be set.
    pub xattrs: u64,
}
