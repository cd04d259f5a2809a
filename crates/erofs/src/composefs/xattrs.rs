//! Extended attributes: how they are named, which of them inodes share, and their bytes.

use std::borrow::Cow;
use std::cmp::Ordering;

use zerocopy::IntoBytes;

use super::format::{LUSTRE, PREFIXES, Version, XATTR_ALIGN, XATTR_HEADER_SIZE, XattrEntry, XattrHeader};
use crate::checksum::filter_bit;

/// An attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Xattr<'a> {
    name: Cow<'a, [u8]>,
    value: Cow<'a, [u8]>,
    /// The number of the name's prefix, and the prefix's length.
    pub(super) index: u8,
    prefix: u8,
}

impl<'a> Xattr<'a> {
    pub(super) fn new(name: Cow<'a, [u8]>, value: Cow<'a, [u8]>, version: Version) -> Xattr<'a> {
        let known = |&&(index, prefix): &&(u8, &[u8])| {
            name.starts_with(prefix) && (index != LUSTRE || version == Version::V2)
        };
        let (index, prefix) =
            PREFIXES.iter().find(known).map_or((0, 0), |(index, prefix)| (*index, prefix.len()));
        Xattr { name, value, index, prefix: prefix as u8 }
    }

    pub(super) fn borrowed((name, value): (&'a [u8], &'a [u8]), version: Version) -> Xattr<'a> {
        Xattr::new(name.into(), value.into(), version)
    }

    /// The whole name.
    pub(super) fn name(&self) -> &[u8] {
        &self.name
    }

    /// What of the name stands in an entry.
    pub(super) fn suffix(&self) -> &[u8] {
        &self.name[usize::from(self.prefix)..]
    }

    pub(super) fn value(&self) -> &[u8] {
        &self.value
    }

    /// Bytes of its entry.
    pub(super) fn length(&self) -> u64 {
        let length = size_of::<XattrEntry>() + self.suffix().len() + self.value.len();
        length.next_multiple_of(XATTR_ALIGN) as u64
    }

    /// Adds its entry to `out`. Lengths were checked when the image was planned.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let entry = XattrEntry {
            name_len: self.suffix().len() as u8,
            name_index: self.index,
            value_size: (self.value.len() as u16).into(),
        };
        let start = out.len();
        out.extend_from_slice(entry.as_bytes());
        out.extend_from_slice(self.suffix());
        out.extend_from_slice(&self.value);
        out.resize(start + self.length() as usize, 0);
    }

    /// The order in which a version has attributes, and finds those that are the same.
    pub(super) fn order(&self, other: &Xattr<'_>, version: Version) -> Ordering {
        match version {
            Version::V0 | Version::V1 => {
                let length_first = |xattr: &Xattr<'_>| xattr.value.len();
                (&self.name, length_first(self), &self.value).cmp(&(
                    &other.name,
                    length_first(other),
                    &other.value,
                ))
            }
            Version::V2 => {
                (self.index, self.suffix(), &self.value).cmp(&(other.index, other.suffix(), &other.value))
            }
        }
    }
}

/// An inode's attributes: those that it has for itself, and the places of the others in the shared table.
#[derive(Debug, Default)]
pub(super) struct Arranged<'a> {
    pub(super) shared: Vec<u32>,
    pub(super) local: Vec<Xattr<'a>>,
    filter: u32,
}

impl Arranged<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.shared.is_empty() && self.local.is_empty()
    }

    /// Bytes behind the inode.
    pub(super) fn length(&self) -> u64 {
        if self.is_empty() {
            return 0;
        }
        let entries: u64 = self.local.iter().map(Xattr::length).sum();
        XATTR_HEADER_SIZE as u64 + 4 * self.shared.len() as u64 + entries
    }

    /// Adds all of it to `out`; `reference` says what stands for the shared attribute at a place.
    pub(super) fn put(&self, out: &mut Vec<u8>, reference: impl Fn(u32) -> u32) {
        if self.is_empty() {
            return;
        }
        let header = XattrHeader {
            name_filter: (!self.filter).into(),
            shared_count: self.shared.len() as u8,
            reserved: [0; 7],
        };
        out.extend_from_slice(header.as_bytes());
        for &place in &self.shared {
            out.extend_from_slice(&reference(place).to_le_bytes());
        }
        self.local.iter().for_each(|xattr| xattr.put(out));
    }
}

/// Shares attributes that more than one inode has. Takes the attributes of each inode; gives what stays with it, and
/// the table of those that are shared.
pub(super) fn share(
    mut inodes: Vec<Vec<Xattr<'_>>>,
    version: Version,
) -> (Vec<Arranged<'_>>, Vec<Xattr<'_>>) {
    if version != Version::V2 {
        inodes.iter_mut().for_each(|xattrs| xattrs.sort_by(|a, b| a.order(b, version)));
    }
    let mut places: Vec<(usize, usize)> = Vec::new();
    for (inode, xattrs) in inodes.iter().enumerate() {
        places.extend((0..xattrs.len()).map(|at| (inode, at)));
    }
    let get = |&(inode, at): &(usize, usize)| &inodes[inode][at];
    places.sort_by(|a, b| get(a).order(get(b), version));
    let groups: Vec<&[(usize, usize)]> = places
        .chunk_by(|a, b| get(a).order(get(b), version).is_eq())
        .filter(|group| group.len() > 1)
        .collect();
    // The C tool fills its table from behind.
    let groups: Vec<_> = if version == Version::V2 { groups } else { groups.into_iter().rev().collect() };
    let table: Vec<Xattr<'_>> = groups.iter().map(|group| get(&group[0]).clone()).collect();
    let mut shared: Vec<Vec<Option<u32>>> = inodes.iter().map(|xattrs| vec![None; xattrs.len()]).collect();
    for (place, group) in (0..).zip(groups) {
        group.iter().for_each(|&(inode, at)| shared[inode][at] = Some(place));
    }
    let arranged = inodes.into_iter().zip(shared).map(|(xattrs, shared)| {
        let mut arranged = Arranged::default();
        for (xattr, place) in xattrs.into_iter().zip(shared) {
            arranged.filter |= filter_bit(xattr.index, xattr.suffix());
            match place {
                Some(place) => arranged.shared.push(place),
                None => arranged.local.push(xattr),
            }
        }
        arranged
    });
    (arranged.collect(), table)
}
