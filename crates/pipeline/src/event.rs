//! What a long run tells about itself while it runs.

use hash::Digest;

/// Takes events, from several threads at once.
pub type Report<'a> = &'a (dyn Fn(Event) + Sync);

/// Something happened that a person who waits, or a program that logs, may want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It is known which image is meant.
    Resolved {
        /// The manifest's digest.
        manifest: Digest,
        /// How many layers it has.
        layers: usize,
        /// Bytes of all layers as transferred.
        bytes: u64,
    },
    /// A blob arrives in the store. Told once at the start, about ten times a second, and at the end.
    Fetch {
        /// The blob.
        blob: Digest,
        /// Bytes so far, those of an earlier attempt included.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// A blob goes to a registry. Told as `Fetch` is.
    Send {
        /// The blob.
        blob: Digest,
        /// Bytes so far; fewer again when something has to be sent once more.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// A layer is decompressed, verified and read.
    Read {
        /// Number of the layer, from 0.
        layer: u32,
        /// The blob.
        blob: Digest,
        /// Compressed bytes so far.
        done: u64,
        /// Compressed bytes in all.
        total: u64,
    },
    /// The rootfs is written.
    Write {
        /// Bytes so far.
        done: u64,
        /// Bytes in all, holes left out.
        total: u64,
    },
    /// The store is checked.
    Check {
        /// Bytes so far.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// Something went wrong that will be tried again.
    Retry {
        /// What, and what will happen now; one line, safe for a terminal.
        message: String,
    },
}
