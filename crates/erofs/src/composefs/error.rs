//! What an image cannot hold.

use tree::escape;

/// Why a tree becomes no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A name, text, number or set of attributes beyond what an image holds.
    #[error("/{}: {what} is {value}, an image of composefs holds at most {max}", escape(.path))]
    Limit {
        /// Which file.
        path: Box<[u8]>,
        /// What is too large.
        what: &'static str,
        /// How large it is.
        value: u64,
        /// The limit.
        max: u64,
    },

    /// The tree contradicts itself, or has something that composefs has no form for.
    #[error("/{}: {what}", escape(.path))]
    Invalid {
        /// Which file.
        path: Box<[u8]>,
        /// What is wrong.
        what: &'static str,
    },

    /// More bytes than the image's own addresses reach.
    #[error("an image of {bytes} bytes is larger than EROFS addresses")]
    TooLarge {
        /// Bytes that it would have.
        bytes: u64,
    },
}
