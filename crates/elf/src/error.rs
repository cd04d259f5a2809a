//! Why a file cannot be used.

/// A file whose bytes say what cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes do not follow their format: damaged, cut off, or never right.
    #[error("{0}")]
    Corrupt(&'static str),
    /// Something is larger than its limit.
    #[error("{what} than the limit of {limit}")]
    Limit {
        /// What there is more of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A program that Bun packaged: it looks for its code at the end of its own file, where a rewritten one has
    /// something else.
    #[error("the program is packaged by Bun, which cannot be rewritten")]
    Bun,
}
