//! Trees as lines of text: `composefs-dump(5)`.
//!
//! ```text
//! PATH SIZE MODE NLINK UID GID RDEV MTIME PAYLOAD CONTENT DIGEST [XATTR=VALUE…]
//! ```
//!
//! What is written has one form for one tree: names in the order of a walk, directories of size 0, attributes sorted,
//! a second name as nothing but a link. What is read may have been written by others, but must be whole: parents come
//! first, each name once.

mod escape;
mod parse;
mod print;

pub use parse::{TextError, TextFault, parse_text};
pub use print::Text;
