//! What can be wrong with a filesystem that is read.

use std::fmt;

/// Why a filesystem was not read, or not to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file cannot be read, or ends before the filesystem does.
    #[error("cannot read the filesystem")]
    Io(#[from] std::io::Error),

    /// Whoever was to be told of it does not listen.
    #[error("cannot write what was read")]
    Output(#[source] std::io::Error),

    /// It is something else.
    #[error("not an EROFS filesystem: its superblock is missing")]
    NotErofs,

    /// It has something that is not read here.
    #[error("the filesystem has something that unlade does not read: {what}")]
    Unsupported {
        /// What it has.
        what: String,
    },

    /// It contradicts itself.
    #[error("{place} is corrupt: {what}")]
    Corrupt {
        /// Where.
        place: Place,
        /// What is wrong.
        what: &'static str,
    },

    /// It is larger than what is looked through.
    #[error("the filesystem has more than {limit} {what}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How many are looked at.
        limit: u64,
    },
}

/// A part of a filesystem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The superblock and what stands behind it.
    Superblock,
    /// A device with contents, by its number from 1.
    Device(u16),
    /// A long prefix of attributes' names, by its number.
    Prefix(u8),
    /// An inode and what belongs to it, by its number.
    Inode(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Superblock => f.write_str("the superblock"),
            Place::Device(number) => write!(f, "device {number}"),
            Place::Prefix(number) => write!(f, "prefix {number}"),
            Place::Inode(nid) => write!(f, "inode {nid}"),
        }
    }
}
