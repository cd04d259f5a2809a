//! What can go wrong.

use std::io;

use tree::escape;

use crate::Kernel;
use crate::format::WIDE_SINCE;
use crate::plan::WIDE_SIZE_MAX;

/// What of a file is too large if it has too many blocks.
pub(crate) const SIZE: &str = "size";

/// Why a tree is not planned or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The output could not be written.
    #[error("cannot write the EROFS filesystem")]
    Io(#[from] io::Error),

    /// More blocks than can be addressed.
    #[error(
        "{blocks} blocks of {block_size} bytes are more than EROFS addresses for Linux {given}, which is {max}"
    )]
    TooLarge {
        /// Blocks that would be needed.
        blocks: u64,
        /// Bytes of a block.
        block_size: u32,
        /// The kernel of the options.
        given: Kernel,
        /// Most blocks that are addressed.
        max: u64,
    },

    /// A file, link, number or set of attributes beyond EROFS's limit.
    #[error("/{}: {what} is {value}, EROFS holds at most {max}", escape(.path))]
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

    /// Something that was asked for is too new for the oldest kernel that is to read it.
    #[error("{what} need Linux {needed}, and Linux {given} is to read the filesystem")]
    Kernel {
        /// What is too new.
        what: &'static str,
        /// The first kernel that has it.
        needed: Kernel,
        /// The kernel of the options.
        given: Kernel,
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
    #[error("label of {length} bytes is longer than 15")]
    Label {
        /// Its length in bytes.
        length: usize,
    },
}

impl Error {
    /// The kernel that the filesystem would have to be for, if that is all that is in the way.
    pub fn needed_kernel(&self) -> Option<Kernel> {
        match *self {
            Error::TooLarge { given, .. } if given < WIDE_SINCE => Some(WIDE_SINCE),
            Error::Limit { what: SIZE, value, max, .. } if max < WIDE_SIZE_MAX && value <= WIDE_SIZE_MAX => {
                Some(WIDE_SINCE)
            }
            Error::Kernel { needed, .. } => Some(needed),
            _ => None,
        }
    }
}
