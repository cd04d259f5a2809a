//! `unlade tag` and `rm`.

use hash::Digest;
use oci::Platform;
use store::{Error, Store};

use super::Outcome;
use super::named::Named;
use super::shared::open_store;
use crate::args::{Common, Rm, Tag};
use crate::exit::Usage;
use crate::terminal;

/// Gives an image another name.
pub(crate) fn tag(common: &Common, command: &Tag) -> Outcome {
    let name = Named::reference(&command.name)?;
    if name.digest().is_some() {
        return Err(Usage("a name that is given has no digest: that would be the image's".into()).into());
    }
    let store = open_store(common)?;
    let digests = match Named::find(&store, &command.source)? {
        Named::Digest(digest) => vec![digest],
        // Every platform that has the one name has the other, too.
        Named::Tags(tags) => tags.iter().map(|tag| tag.descriptor.digest).collect(),
    };
    for digest in digests {
        store.tag_stored(&digest, &name).map_err(|error| absent(error, &digest, &command.source))?;
    }
    Ok(())
}

/// Takes names away.
pub(crate) fn rm(common: &Common, command: &Rm) -> Outcome {
    let platform = match &command.platform {
        Some(text) => Some(text.parse::<Platform>().map_err(|error| Usage(error.to_string()))?),
        None => None,
    };
    let store = open_store(common)?;
    for name in &command.names {
        match Named::digest(&store, name)? {
            Some(digest) => {
                store.remove_untagged(&digest).map_err(|error| absent(error, &digest, name))?;
            }
            None => untag(&store, name, platform.as_ref())?,
        }
        terminal::answer(&format!("{}\n", tree::escape(name.as_bytes())))?;
    }
    Ok(())
}

/// Takes a name away: the full one that is meant, else the very text, which another tool may have written.
fn untag(store: &Store, name: &str, platform: Option<&Platform>) -> Result<(), Error> {
    let full = Named::reference(name).map(|full| store.untag(&full.to_string(), platform));
    match full {
        Err(_) | Ok(Err(Error::NoTag { .. })) => store.untag(name, platform).map(drop),
        Ok(done) => done.map(drop),
    }
}

/// An image that is named by its digest, or that a sweep has taken just now, is not there like any other.
fn absent(error: Error, digest: &Digest, name: &str) -> Error {
    match error {
        Error::Missing { digest: missing } if missing == *digest => Error::NoTag { name: name.into() },
        error => error,
    }
}
