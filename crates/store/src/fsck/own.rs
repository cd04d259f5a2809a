//! What only this program keeps in a store: what is known of blobs, and what is on its way.

use std::fs;

use super::Options;
use super::finding::Finding;
use crate::error::Error;
use crate::format::unflat;
use crate::images::list;
use crate::open::Store;
use crate::rootfs::Rootfs;

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
    findings.extend(store.rootfs_leftovers()?.into_iter().map(|path| Finding::Leftover { path }));
    // In a store that cannot be read whole it is not worth failing.
    let dead = store.leases().map(|leases| leases.dead).unwrap_or_default();
    findings.extend(dead.into_iter().map(|path| Finding::Leftover { path }));
    Ok(())
}

/// Looks at the rootfs that are remembered, each of which may be gone by now.
pub(super) fn check_rootfs(
    store: &Store,
    all: Vec<Rootfs>,
    options: &Options<'_>,
    findings: &mut Vec<Finding>,
) {
    for Rootfs { manifest, key, path, .. } in all {
        if let Some(file) = store.rootfs(&manifest, &key)
            && !(options.is_rootfs)(&file, options.depth)
        {
            findings.push(Finding::BadRootfs { manifest, path });
        }
    }
}
