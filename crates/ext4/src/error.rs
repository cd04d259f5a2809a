//! What can stand in the way of a filesystem.

use tree::escape;

/// Why a filesystem was not planned or not written. Paths are raw bytes, relative to the tree's root, and
/// escaped when shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The output failed.
    #[error("cannot write the filesystem")]
    Io(#[from] std::io::Error),

    /// The tree does not fit into the size that was asked for.
    #[error("tree needs {needed} bytes as ext4, {given} were given")]
    TooSmall {
        /// The size asked for, in bytes.
        given: u64,
        /// The smallest size above it that fits with the same options, in bytes.
        needed: u64,
    },

    /// The size is beyond what the block groups of this block size describe.
    #[error("{blocks} blocks are too many for ext4 with blocks of {block_size} bytes")]
    TooLarge {
        /// Blocks that would be needed.
        blocks: u64,
        /// Bytes of a block.
        block_size: u32,
    },

    /// More files than ext4 counts, or more than the block groups hold.
    #[error("{inodes} inodes are more than ext4 holds")]
    TooManyInodes {
        /// Inodes that would be needed.
        inodes: u64,
    },

    /// A file, link, number or set of attributes beyond ext4's limit.
    #[error("/{}: {what} is {value}, ext4 holds at most {max}", escape(.path))]
    Limit {
        /// Which file.
        path: Box<[u8]>,
        /// What is too large.
        what: &'static str,
        /// How large it is.
        value: u64,
        /// The limit with these options.
        max: u64,
    },

    /// An option that no filesystem can have.
    #[error("{what}")]
    Option {
        /// What is wrong.
        what: &'static str,
    },

    /// The tree contradicts itself.
    #[error("/{}: {what}", escape(.path))]
    Invalid {
        /// Which file.
        path: Box<[u8]>,
        /// What is wrong.
        what: &'static str,
    },

    /// The label is too long.
    #[error("label of {length} bytes is longer than 16")]
    Label {
        /// Its length in bytes.
        length: usize,
    },
}
