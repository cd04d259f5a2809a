//! Extended attributes: behind the inode, or once for all files that share one.

use std::collections::BTreeMap;

use tree::acl::{is_mode, parse};
use tree::{Metadata, NodeId, Tree};

use crate::Error;
use crate::format::{
    XATTR_ALIGN, XATTR_HEADER_SIZE, XATTR_NAME_MAX, XATTR_VALUE_MAX, XATTRS_MAX, XATTRS_SHARED_MAX,
};

/// An attribute as EROFS names it. They are ordered as they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Xattr<'a> {
    /// Which prefix the name had (`EROFS_XATTR_INDEX_*`).
    pub(crate) index: u8,
    /// The name behind the prefix.
    pub(crate) name: &'a [u8],
    pub(crate) value: &'a [u8],
}

impl Xattr<'_> {
    /// Bytes of the entry.
    pub(crate) fn length(&self) -> usize {
        (4 + self.name.len() + self.value.len()).next_multiple_of(XATTR_ALIGN)
    }
}

/// Prefixes that EROFS replaces by a number. There are others in Linux; the kernel's EROFS does not show those.
const PREFIXES: [(&[u8], u8); 3] = [(b"user.", 1), (b"trusted.", 4), (b"security.", 6)];

/// The attributes of a node that EROFS holds, and how many it has no prefix for. `path` is for errors.
pub(crate) fn of<'a>(metadata: &'a Metadata, path: &[u8]) -> Result<(Vec<Xattr<'a>>, u64), Error> {
    let (mut xattrs, mut dropped) = (Vec::new(), 0);
    for (name, value) in metadata.xattrs() {
        let too_much = |what, value: usize, max: usize| {
            Err(Error::Limit { path: path.into(), what, value: value as u64, max: max as u64 })
        };
        let index = match name {
            b"system.posix_acl_access" => 2,
            b"system.posix_acl_default" => 3,
            _ => 0,
        };
        if index != 0 {
            let what = "POSIX access control list is malformed";
            let entries = parse(value).ok_or(Error::Invalid { path: path.into(), what })?;
            // What the mode says already, no kernel would store (`posix_acl_equiv_mode`).
            let says_more = index == 3 || !is_mode(&entries);
            if !entries.is_empty() && says_more {
                xattrs.push(Xattr { index, name: b"", value });
            }
            continue;
        }
        let known = PREFIXES.iter().find_map(|&(prefix, index)| Some((index, name.strip_prefix(prefix)?)));
        let Some((index, behind)) = known.filter(|(_, behind)| !behind.is_empty()) else {
            dropped += 1;
            continue;
        };
        if name.len() > XATTR_NAME_MAX {
            return too_much("length of an attribute's name", name.len(), XATTR_NAME_MAX);
        }
        if value.len() > XATTR_VALUE_MAX {
            return too_much("length of an attribute's value", value.len(), XATTR_VALUE_MAX);
        }
        xattrs.push(Xattr { index, name: behind, value });
    }
    // Whether they will be shared is not known yet: without that, they must fit.
    let length = XATTR_HEADER_SIZE + xattrs.iter().map(Xattr::length).sum::<usize>();
    if length > XATTRS_MAX {
        let what = "length of all attributes";
        return Err(Error::Limit { path: path.into(), what, value: length as u64, max: XATTRS_MAX as u64 });
    }
    xattrs.sort_unstable();
    Ok((xattrs, dropped))
}

/// Counts how many files have an attribute, and decides which lie in one place for all of them.
#[derive(Debug, Default)]
pub(crate) struct Counter<'a> {
    counts: BTreeMap<Xattr<'a>, (NodeId, u64)>,
}

impl<'a> Counter<'a> {
    /// Counts a node's.
    pub(crate) fn count(&mut self, node: NodeId, xattrs: &[Xattr<'a>]) {
        for xattr in xattrs {
            self.counts.entry(*xattr).or_insert((node, 0)).1 += 1;
        }
    }

    /// The attributes that take fewer bytes in one place, with four bytes a file to say so.
    pub(crate) fn shared(&self) -> Shared {
        let mut shared = Shared::default();
        for (xattr, &(node, files)) in &self.counts {
            let length = xattr.length() as u64;
            if files * length <= length + files * XATTR_ALIGN as u64 {
                continue;
            }
            // Numbers have 32 bits.
            if shared.length / XATTR_ALIGN as u64 + length > u64::from(u32::MAX) {
                break;
            }
            shared.entries.push(Entry {
                node,
                at: shared.length,
                index: xattr.index,
                name: xattr.name.into(),
            });
            shared.length += length;
        }
        shared
    }
}

/// Attributes that lie in one place for all files that have them.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    entries: Vec<Entry>,
    /// Bytes of all.
    pub(crate) length: u64,
}

#[derive(Debug)]
struct Entry {
    /// A node that has it.
    node: NodeId,
    /// Where it lies among them, in bytes.
    at: u64,
    index: u8,
    name: Box<[u8]>,
}

impl Shared {
    /// How many they are.
    pub(crate) fn count(&self) -> usize {
        self.entries.len()
    }

    /// The attributes and where they lie among each other, in bytes. `tree` must be the one that was planned.
    pub(crate) fn places<'a>(&self, tree: &'a Tree) -> Result<BTreeMap<Xattr<'a>, u64>, Error> {
        let mut places = BTreeMap::new();
        for entry in &self.entries {
            let (xattrs, _) = of(&tree.node(entry.node).metadata, b"")?;
            let same = |xattr: &&Xattr<'_>| (xattr.index, xattr.name) == (entry.index, &*entry.name);
            places.extend(xattrs.iter().find(same).map(|xattr| (*xattr, entry.at)));
        }
        Ok(places)
    }
}

/// A file's attributes by place.
#[derive(Debug, Default)]
pub(crate) struct Arranged<'a> {
    /// Where shared ones lie among each other, in bytes.
    pub(crate) shared: Vec<u64>,
    pub(crate) own: Vec<Xattr<'a>>,
}

impl<'a> Arranged<'a> {
    pub(crate) fn new(xattrs: &[Xattr<'a>], places: &BTreeMap<Xattr<'a>, u64>) -> Arranged<'a> {
        let mut arranged = Arranged::default();
        for xattr in xattrs {
            match places.get(xattr) {
                Some(&at) if arranged.shared.len() < XATTRS_SHARED_MAX => arranged.shared.push(at),
                _ => arranged.own.push(*xattr),
            }
        }
        arranged
    }

    /// Bytes behind the inode; none without attributes.
    pub(crate) fn length(&self) -> usize {
        let own: usize = self.own.iter().map(Xattr::length).sum();
        let length = self.shared.len() * XATTR_ALIGN + own;
        if length == 0 { 0 } else { XATTR_HEADER_SIZE + length }
    }
}
