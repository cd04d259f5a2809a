//! Why a layer cannot be applied.

use crate::{Path, escape};

/// A layer that does not make sense on top of what lies below.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("layer {}, entry {entry} ({path}): {fault}", layer + 1)]
pub struct Error {
    /// Number of the layer, from 0.
    pub layer: u32,
    /// Index of the tarball's entry, from 0.
    pub entry: u64,
    /// The entry's path.
    pub path: Path,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with an entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Something on the way is neither a directory nor a link to one.
    #[error("parent \"{}\" is not a directory", escape(name))]
    ParentNotDirectory {
        /// The component that is in the way.
        name: Box<[u8]>,
    },
    /// Following symlinks does not end.
    #[error("symlink \"{}\" leads into a loop (more than {limit} links)", escape(name))]
    LinkLoop {
        /// The link at which it was given up.
        name: Box<[u8]>,
        /// How many links one path may follow.
        limit: usize,
    },
    /// Following symlinks takes too long, though each path ends.
    #[error("the layer's paths lead through more than {limit} components of symlinks")]
    TooManySteps {
        /// How many components of links a layer may make us follow.
        limit: u64,
    },
    /// A symlink on the way has a component that no filesystem holds.
    #[error("symlink on the way has a name of {length} bytes in it")]
    LinkComponentTooLong {
        /// Length of the component in bytes.
        length: usize,
    },
    /// The root entry is not a directory.
    #[error("the root is not a directory")]
    RootNotDirectory,
    /// A hard link to nothing.
    #[error("hard link to {target}, which does not exist")]
    TargetMissing {
        /// The link's target.
        target: Path,
    },
    /// A hard link to a directory.
    #[error("hard link to {target}, which is a directory")]
    TargetIsDirectory {
        /// The link's target.
        target: Path,
    },
    /// A hard link to itself.
    #[error("hard link to itself")]
    TargetIsSelf,
}
