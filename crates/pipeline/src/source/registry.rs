//! A registry, as a source.

use std::sync::Mutex;

use oci::{Descriptor, MediaType, Platform, Reference};
use registry::Client;
use store::Store;

use super::{Origin, Progress};
use crate::pull;

/// A repository of a registry.
pub(crate) struct Registry<'a> {
    client: Client,
    reference: &'a Reference,
    /// The document to start at, which came along with its descriptor.
    root: Mutex<Option<(Descriptor, Vec<u8>)>>,
}

impl<'a> Registry<'a> {
    /// Nothing is asked yet.
    pub(crate) fn new(client: Client, reference: &'a Reference) -> Registry<'a> {
        Registry { client, reference, root: Mutex::default() }
    }
}

impl Origin for Registry<'_> {
    fn root(&self, _: &Platform) -> Result<Descriptor, pull::Error> {
        let fetched = self.client.manifest(self.reference)?;
        let media_type = fetched.media_type.unwrap_or_else(|| MediaType::Other(String::new()));
        let descriptor = Descriptor::new(media_type, fetched.digest, fetched.bytes.len() as u64);
        if let Ok(mut root) = self.root.lock() {
            *root = Some((descriptor.clone(), fetched.bytes));
        }
        Ok(descriptor)
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, pull::Error> {
        let root = self.root.lock().ok().and_then(|root| root.clone());
        match root {
            Some((root, bytes)) if root.digest == descriptor.digest => Ok(bytes),
            _ => Ok(self.client.document(self.reference, descriptor)?),
        }
    }

    fn put(&self, descriptor: &Descriptor, store: &Store, progress: Progress<'_>) -> Result<(), pull::Error> {
        let mut fetch = |offset| {
            let blob = self.client.blob(self.reference, descriptor, offset)?;
            Ok(Box::new(blob) as Box<dyn std::io::Read + Send>)
        };
        store.put(descriptor, &mut fetch, progress).map_err(|error| match error {
            store::Error::Fetch { digest, source } => match source.downcast::<registry::Error>() {
                Ok(error) => error.into(),
                Err(source) => store::Error::Fetch { digest, source }.into(),
            },
            error => error.into(),
        })
    }
}
