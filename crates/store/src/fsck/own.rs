//! What only this program keeps in a store: what is known of blobs, and what is on its way.

use std::fs;

use super::finding::Finding;
use crate::error::Error;
use crate::format::unflat;
use crate::images::list;
use crate::open::Store;

/// Looks at it. Parts are no finding: whoever fetches the blob goes on with them.
pub(super) fn check(
    store: &Store,
    is_outline: &dyn Fn(&[u8]) -> bool,
    findings: &mut Vec<Finding>,
) -> Result<(), Error> {
    // Whatever cannot be read is damaged; whatever is gone meanwhile is not.
    let read = |path: &std::path::Path| match fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        read => Some(read.unwrap_or_default()),
    };
    for entry in list(&store.paths.diff_ids())? {
        let path = entry.path();
        let Some(digest) = unflat(&entry.file_name()) else {
            findings.push(Finding::Leftover { path });
            continue;
        };
        let is_digest =
            |bytes: Vec<u8>| str::from_utf8(&bytes).is_ok_and(|text| text.parse::<hash::Digest>().is_ok());
        if read(&path).is_some_and(|bytes| !is_digest(bytes)) {
            findings.push(Finding::BadDiffId { digest, path });
        }
    }
    for entry in list(&store.paths.outlines())? {
        let path = entry.path();
        let Some(digest) = unflat(&entry.file_name()) else {
            findings.push(Finding::Leftover { path });
            continue;
        };
        if read(&path).is_some_and(|bytes| !is_outline(&bytes)) {
            findings.push(Finding::BadOutline { digest, path });
        }
    }
    for entry in list(&store.paths.own())? {
        if entry.path().extension().is_some_and(|extension| extension == "new") {
            findings.push(Finding::Leftover { path: entry.path() });
        }
    }
    // In a store that cannot be read whole it is not worth failing.
    let dead = store.leases().map(|leases| leases.dead).unwrap_or_default();
    findings.extend(dead.into_iter().map(|path| Finding::Leftover { path }));
    Ok(())
}
