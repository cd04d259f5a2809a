//! The documents of OCI images, parsed and checked: a value that exists is valid.
//!
//! Both families of media types, OCI's and Docker's, are read alike. This crate is pure: it opens nothing.

mod config;
mod descriptor;
mod error;
mod image;
mod index;
mod manifest;
mod media_type;
mod platform;
mod reference;
mod script;

pub use config::{Config, Execution, History, Rootfs};
pub use descriptor::Descriptor;
pub use error::Error;
pub use image::{Image, LAYERS_MAX, Layer};
pub use index::{Index, select};
pub use manifest::{DOCUMENT_MAX, Document, Manifest};
pub use media_type::{Compression, MediaType};
pub use platform::Platform;
pub use reference::{Reference, ReferenceError};
