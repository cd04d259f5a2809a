//! The store, as a destination.

use std::sync::atomic::AtomicBool;

use oci::{Descriptor, Reference};
use store::Store;

use super::{Bring, Bundle, Error, Sink};
use crate::event::Report;
use crate::pull;

/// A tag.
pub(super) struct ToStore<'a> {
    pub(super) reference: &'a Reference,
}

impl Sink for ToStore<'_> {
    fn put(&self, _: &Descriptor, bring: Bring<'_>, _: &AtomicBool, _: Report<'_>) -> Result<bool, Error> {
        // It is the store that everything is brought into. Whether it was there is not known.
        bring().map(|_blob| false)
    }

    fn finish(self: Box<Self>, bundle: &Bundle, store: &Store) -> Result<Descriptor, Error> {
        if bundle.images.is_empty() {
            let said = "it holds no image, and the store has tags for images alone";
            return Err(Error::Image(oci::Error::Unsupported(said.into())));
        }
        if let Some(wanted) = self.reference.digest()
            && *wanted != bundle.root.digest
        {
            return Err(Error::OtherDigest { wanted: self.reference.clone(), found: bundle.root.digest });
        }
        let index = Some(&bundle.root.digest).filter(|_| bundle.is_index);
        for image in &bundle.images {
            store.tag(self.reference, pull::tagged(image), index)?;
        }
        Ok(bundle.root.clone())
    }
}
