//! Choosing what goes so that the rest fits: what was not used for the longest time, images and rootfs alike.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use hash::Digest;
use oci::Descriptor;

use crate::error::Error;
use crate::open::Store;
use crate::reach::{Documents, Root};
use crate::rootfs::Rootfs;
use crate::tags::Tag;

/// An image with names, as a plan weighs it.
pub(super) struct Candidate {
    pub(super) digest: Digest,
    pub(super) names: Vec<String>,
    pub(super) used: Option<SystemTime>,
    /// Whether it may lose them: not one that a running process needs, or that another tool named.
    pub(super) may_go: bool,
    pub(super) needs: BTreeSet<Digest>,
}

/// The images that have names, each once.
pub(super) fn candidates(
    store: &Store,
    documents: &mut Documents,
    held: &BTreeSet<Digest>,
) -> Result<Vec<Candidate>, Error> {
    let mut candidates: Vec<Candidate> = Vec::new();
    let mut known: BTreeMap<Digest, usize> = BTreeMap::new();
    for (root, entry) in store.roots()? {
        let needs = documents.needs(store, &root)?;
        let Root { name, link, .. } = root;
        let ours = serde_json::from_value::<Descriptor>(entry).ok().and_then(Tag::read).is_some();
        let place = *known.entry(link.digest).or_insert_with(|| {
            candidates.push(Candidate {
                digest: link.digest,
                names: Vec::new(),
                used: store.last_use(&link.digest),
                may_go: !held.contains(&link.digest),
                needs: BTreeSet::new(),
            });
            candidates.len() - 1
        });
        let candidate = &mut candidates[place];
        candidate.names.push(name);
        candidate.may_go &= ours;
        candidate.needs.extend(needs);
    }
    Ok(candidates)
}

/// What there is, and who needs it.
pub(super) struct Room<'a> {
    /// Blobs and their sizes.
    pub(super) blobs: &'a BTreeMap<Digest, u64>,
    /// What running processes need.
    pub(super) needed: &'a BTreeSet<Digest>,
}

impl Room<'_> {
    /// Takes images and rootfs out until what is left needs no more bytes than this. A rootfs goes before its image,
    /// which it is never used without.
    pub(super) fn make(
        &self,
        bytes_max: u64,
        images: &mut Vec<Candidate>,
        rootfs: &mut Vec<Rootfs>,
    ) -> (Vec<Candidate>, Vec<Rootfs>) {
        let mut users: BTreeMap<Digest, usize> = BTreeMap::new();
        let all = images.iter().flat_map(|image| &image.needs).chain(self.needed);
        all.for_each(|digest| *users.entry(*digest).or_default() += 1);
        // Of an image that nobody needs they go anyway.
        let (needed, swept): (Vec<_>, Vec<_>) =
            std::mem::take(rootfs).into_iter().partition(|rootfs| users.contains_key(&rootfs.manifest));
        let mut waiting: Vec<Option<Rootfs>> = needed.into_iter().map(Some).collect();
        let size = |digest: &Digest| self.blobs.get(digest).copied().unwrap_or_default();
        let mut bytes: u64 = users.keys().map(size).sum();
        bytes += waiting.iter().flatten().map(|rootfs| rootfs.bytes).sum::<u64>();

        let (mut images_gone, mut rootfs_gone) = (Vec::new(), swept);
        images.sort_by_key(|image| (image.used, image.digest));
        waiting.sort_by_key(|rootfs| rootfs.as_ref().map(|rootfs| rootfs.used));
        let mut stay = Vec::new();
        for image in std::mem::take(images) {
            for place in &mut waiting {
                let older =
                    |rootfs: &mut Rootfs| rootfs.manifest == image.digest || rootfs.used <= image.used;
                if bytes > bytes_max
                    && let Some(gone) = place.take_if(older)
                {
                    bytes -= gone.bytes;
                    rootfs_gone.push(gone);
                }
            }
            if !image.may_go || bytes <= bytes_max {
                stay.push(image);
                continue;
            }
            for digest in &image.needs {
                let left = users.entry(*digest).or_insert(1);
                *left -= 1;
                if *left == 0 {
                    bytes -= size(digest);
                }
            }
            images_gone.push(image);
        }
        // Those of images that must stay.
        for place in &mut waiting {
            if bytes > bytes_max
                && let Some(gone) = place.take()
            {
                bytes -= gone.bytes;
                rootfs_gone.push(gone);
            }
        }
        *images = stay;
        *rootfs = waiting.into_iter().flatten().collect();
        (images_gone, rootfs_gone)
    }
}
