//! Images of the store as arguments name them: by tag, or by digest.

use hash::Digest;
use oci::Reference;
use pipeline::source::Source;
use store::{Error, Store, Tag};

use super::shared::{Fallible, image_source};
use crate::exit::Usage;

/// How a digest begins.
const PREFIX: &str = "sha256:";
/// Digits of a digest and of the shortest beginning of one.
const DIGITS: std::ops::RangeInclusive<usize> = 12..=64;

/// What an argument names.
pub(crate) enum Named {
    /// One image.
    Digest(Digest),
    /// All images that have a name, one for each platform.
    Tags(Vec<Tag>),
}

impl Named {
    /// Whether an argument is a digest, or the beginning of one.
    pub(crate) fn is_digest(text: &str) -> bool {
        text.strip_prefix(PREFIX).is_some_and(|hex| {
            DIGITS.contains(&hex.len()) && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        })
    }

    /// The full name that an argument means, as it does for every command that takes an image.
    pub(crate) fn reference(text: &str) -> Fallible<Reference> {
        match image_source(text)? {
            Source::Registry(reference) => Ok(reference),
            other => {
                Err(Usage(format!("{other} is no name in the store; unlade pull brings it there")).into())
            }
        }
    }

    /// Finds what an argument names.
    pub(crate) fn find(store: &Store, text: &str) -> Fallible<Named> {
        if let Some(digest) = Named::digest(store, text)? {
            return Ok(Named::Digest(digest));
        }
        let reference = Named::reference(text)?;
        let mut tags = store.tags()?;
        tags.retain(|tag| tag.reference == reference);
        if tags.is_empty() {
            return Err(Error::NoTag { name: reference.to_string() }.into());
        }
        Ok(Named::Tags(tags))
    }

    /// The digest of the image whose digest begins like this. `None` if the argument is no digest.
    pub(crate) fn digest(store: &Store, text: &str) -> Fallible<Option<Digest>> {
        if !Named::is_digest(text) {
            return Ok(None);
        }
        if let Ok(digest) = text.parse() {
            return Ok(Some(digest));
        }
        let images = store.images()?.into_iter().chain(store.untagged()?);
        let mut found: Vec<Digest> =
            images.map(|image| image.digest).filter(|digest| digest.to_string().starts_with(text)).collect();
        found.sort();
        found.dedup();
        match found[..] {
            [digest] => Ok(Some(digest)),
            [] => Err(Error::NoTag { name: text.into() }.into()),
            _ => Err(Usage(format!("{} images have digests that begin with {text}", found.len())).into()),
        }
    }
}
