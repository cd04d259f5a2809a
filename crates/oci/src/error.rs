//! Why a document is refused.

use hash::{Digest, Mismatch};

/// A document that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is no JSON, or not of the right shape.
    #[error("{what} is malformed: {cause}")]
    Malformed {
        /// Which document.
        what: &'static str,
        /// What the parser said.
        cause: String,
    },
    /// It is too large to be looked at.
    #[error("{what} has {size} bytes, more than the limit of {limit}")]
    TooLarge {
        /// Which document.
        what: &'static str,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// Its bytes are not the ones that were asked for.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// It is of a kind that this program does not read.
    #[error("{0}")]
    Unsupported(String),
    /// The number of layers differs between manifest and config.
    #[error("the manifest has {layers} layers, but the config has {diff_ids} diff IDs")]
    LayerCount {
        /// Layers of the manifest.
        layers: usize,
        /// Diff IDs of the config.
        diff_ids: usize,
    },
    /// The index has nothing for the wanted platform.
    #[error("no image for {wanted}; there is {}", if .available.is_empty() { "none at all".into() } else { .available.join(", ") })]
    NoPlatform {
        /// The platform asked for.
        wanted: String,
        /// Those that exist.
        available: Vec<String>,
    },
    /// A single image is for something else.
    #[error("the image is for {found}, not for {wanted}")]
    OtherPlatform {
        /// The platform asked for.
        wanted: String,
        /// The image's.
        found: String,
    },
    /// Indexes lie in indexes too deep.
    #[error("index {digest} lies more than {limit} indexes deep")]
    TooDeep {
        /// The index at which it was given up.
        digest: Digest,
        /// The limit.
        limit: usize,
    },
    /// Text is no platform.
    #[error("invalid platform \"{}\": it is OS/ARCHITECTURE[/VARIANT], such as linux/arm64", .0.escape_debug())]
    Platform(String),
}
