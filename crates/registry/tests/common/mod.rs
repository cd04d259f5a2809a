//! What all tests against the fake registry need.

#![allow(dead_code, reason = "each test uses part of it")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::Read as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hash::Digest;
use oci::{Descriptor, MediaType, Reference};
use testkit::registry::FakeRegistry;
use unlade_registry::{Client, Credentials, Error, Options, Places};

/// Waits asked for, in the order in which they came. Nobody waits for them.
#[derive(Clone, Default)]
pub(crate) struct Waits(Arc<Mutex<Vec<Duration>>>);

impl Waits {
    pub(crate) fn seconds(&self) -> Vec<u64> {
        self.0.lock().unwrap().iter().map(Duration::as_secs).collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// Options that do not wait between attempts.
pub(crate) fn options() -> (Options, Waits) {
    let waits = Waits::default();
    let sleep = waits.clone();
    let sleep = Arc::new(move |wait| sleep.0.lock().unwrap().push(wait));
    (Options { sleep, ..Options::default() }, waits)
}

pub(crate) fn client() -> Client {
    Client::new(options().0).unwrap()
}

/// A client whose logins are in a `config.json` with this content.
pub(crate) fn client_with_config(directory: &tempfile::TempDir, config: &str) -> Client {
    let file = directory.path().join("config.json");
    std::fs::write(&file, config).unwrap();
    let places = Places { files: vec![file], helpers: Some(vec![directory.path().into()]) };
    Client::new(Options { credentials: Credentials::from_places(places), ..options().0 }).unwrap()
}

/// `a/b:latest` there.
pub(crate) fn reference(registry: &FakeRegistry) -> Reference {
    format!("{}/a/b", registry.host()).parse().unwrap()
}

pub(crate) fn layer(digest: Digest, size: u64) -> Descriptor {
    Descriptor::new(MediaType::parse("application/vnd.oci.image.layer.v1.tar"), digest, size)
}

/// Bytes that differ everywhere, so that none can be taken for others.
pub(crate) fn noise(count: usize) -> Vec<u8> {
    (0..count as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8).collect()
}

/// All that a blob gives from `offset` on, or the first error.
pub(crate) fn fetch(
    client: &Client,
    registry: &FakeRegistry,
    descriptor: &Descriptor,
    offset: u64,
) -> Result<Vec<u8>, Error> {
    let mut blob = client.blob(&reference(registry), descriptor, offset)?;
    let mut bytes = Vec::new();
    match blob.read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(*error.into_inner().unwrap().downcast::<Error>().unwrap()),
    }
}

/// The error's text, with the host's name taken out, which differs from run to run.
pub(crate) fn message<T>(result: Result<T, Error>, registry: &FakeRegistry) -> String {
    result
        .map(|_| "no error".to_string())
        .unwrap_or_else(|error| error.to_string())
        .replace(&registry.host(), "HOST")
}
