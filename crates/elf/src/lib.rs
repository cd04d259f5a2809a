//! Programs and libraries in ELF: what they need, and their rewriting for LiteBox.
//!
//! ```text
//! bytes ─▶ read() ─▶ File ─▶ closure() ─▶ libraries, and what is missing
//! bytes ─▶ rewrite() ─▶ Outcome: a Patch, or why there is none
//! ```
//!
//! Nothing here knows of images, trees or the host: bytes and answers about paths are handed in. The bytes are
//! strangers'; what they can cost is bounded by their number and by the limits that stand beside the code.
//! `docs/formats/litebox.md` has the format of a rewritten file.

pub mod error;
pub mod file;
pub mod loader;
pub mod rewrite;

pub use error::Error;
pub use file::{Architecture, Class, File, Kind, read};
pub use loader::{Closure, Library, Loader, Missing, Seen, closure};
pub use rewrite::{Obstacle, Outcome, Patch, Reason, rewrite};
