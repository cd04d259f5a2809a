//! Manifests and blobs from and to an OCI registry over HTTP.
//!
//! [`Client`] asks; everything else serves it: [`Credentials`] says who asks, and [`Error`] what went wrong
//! and whose fault it is. The client blocks and may be shared between threads: whoever wants several blobs at
//! once calls it from several threads.
//!
//! Read in this order: `client` says what can be asked, `session` how one question gets its answer (the
//! challenge, the redirects, the second try), `blob` how bytes survive a broken connection, `push` and `upload` how they
//! get there, `referrers` how one manifest leads to others.

mod blob;
mod client;
mod push;
mod referrers;
mod session;
mod upload;

mod agents;
mod auth;
mod certificates;
mod challenge;
mod credentials;
mod hosts;
mod proxy;
mod redirect;
mod registries;
mod retry;
mod search;
mod url;
mod wire;

mod error;

#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(test)]
mod robustness;

pub use blob::Blob;
pub use certificates::CertificateDirectories;
pub use client::{Client, Fetched, Options};
pub use credentials::{Credentials, CredentialsError, Keeper, Places};
pub use error::{Error, Said, Violation};
pub use proxy::Proxies;
pub use registries::{Configuration, Registries, RegistriesError, ShortNameError};
pub use retry::{Backoff, Retry};
pub use upload::{Open, Upload};
