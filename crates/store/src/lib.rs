//! A content-addressed store of OCI images on disk.
//!
//! A [`Store`] is an OCI image layout, so that other tools read it (`skopeo inspect oci:STORE:NAME`), and a
//! directory `unlade` in it for what only this program needs:
//!
//! ```text
//! oci-layout                     says what this is
//! index.json                     the tags, each naming a manifest
//! blobs/sha256/e3b0c4…           blobs, whole and verified
//! unlade/parts/sha256-e3b0c4…    blobs that are arriving; locked by whoever fetches them
//! unlade/diff-ids/sha256-e3b0c4… the verified digest of what a blob expands to
//! unlade/outlines/sha256-e3b0c4… what the layer in a blob changes, without its files' bytes
//! unlade/rootfs/sha256-…          what was built from images, for who builds the same again
//! unlade/used/sha256-e3b0c4…     as old as the last use of the image with this manifest
//! unlade/leases/PID-…            what a running process needs; locked by it
//! unlade/lock                    held while index.json is rewritten
//! unlade/sweep-lock              held while a sweep looks for what nobody needs, and removes it
//! ```
//!
//! Nothing is ever changed under its final name: it is written beside, checked, flushed, renamed. So a process
//! that is killed at any point leaves at most a part file, which the next one goes on with. Locks are the
//! kernel's (`flock`), and gone when their holder is.
//!
//! What is stored is still not trusted: whoever reads a blob checks it, and [`Store::discard`]s one that has
//! gone bad, so that the next pull fetches it again.

mod format;
mod open;
mod temporary;

mod blobs;
mod known;
mod resolve;
mod tags;

mod images;
mod lease;
mod reach;
mod rootfs;

pub mod fsck;
pub mod gc;

mod error;
mod lock;

pub use blobs::Blob;
pub use error::Error;
pub use images::Stored;
pub use open::Store;
pub use resolve::{INDEX_DEPTH_MAX, Resolved, resolve};
pub use rootfs::Rootfs;
pub use tags::{INDEX_ANNOTATION, Tag};
