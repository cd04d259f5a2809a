//! How loaders find libraries: what glibc's and musl's do, without running either.

pub mod cache;
pub mod conf;
pub mod expand;
pub mod musl;
pub mod search;

pub use cache::Cache;
pub use search::{Closure, Library, Loader, Missing, Seen, closure};
