//! In what two trees differ.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::{Content, Kind, Node, NodeId, Tree, Walk};

/// A path at which two trees differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference<'t> {
    /// The path from the root, without a leading slash; empty for the root.
    pub path: Box<[u8]>,
    /// What is there.
    pub change: Changed<'t>,
}

/// What is different at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed<'t> {
    /// Only the second tree has it.
    Added(&'t Node),
    /// Only the first tree has it.
    Removed(&'t Node),
    /// Both have it, and not alike.
    Changed {
        /// What the first tree has.
        before: &'t Node,
        /// What the second tree has.
        after: &'t Node,
        /// In what they differ; never empty.
        aspects: Vec<Aspect>,
    },
}

/// Something about a node that may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Aspect {
    /// What kind of node it is. Of what only one of the kinds has nothing more is said.
    Type,
    /// The mode; not of symlinks, for which it means nothing.
    Mode,
    /// The owner or the group.
    Owner,
    /// The size of a file.
    Size,
    /// The bytes of a file whose size is the same.
    Content,
    /// The text of a symlink.
    Target,
    /// The number of a device.
    Device,
    /// The extended attributes.
    Xattrs,
    /// Which name, before it in the order of a walk, it is a hard link to, if any.
    HardLink,
    /// The time.
    Time,
}

/// Lists in the order of their paths in what two trees differ; in their times only if `times` says so.
///
/// `same` is asked whether two contents of the same size, neither of them empty, have the same bytes.
pub fn compare<'t>(
    before: &'t Tree,
    after: &'t Tree,
    times: bool,
    mut same: impl FnMut(&'t Content, &'t Content) -> bool,
) -> Vec<Difference<'t>> {
    let (mut left, mut right) = (Side::new(before), Side::new(after));
    let mut found = Vec::new();
    loop {
        let order = match (left.node, right.node) {
            (None, None) => return found,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            // A directory's names stand right behind it, whatever bytes are smaller than a slash.
            (Some(_), Some(_)) => names(&left.path).cmp(names(&right.path)),
        };
        let change = match (left.node, right.node) {
            (Some(id), _) if order == Ordering::Less => Some(Changed::Removed(before.node(id))),
            (_, Some(id)) if order == Ordering::Greater => Some(Changed::Added(after.node(id))),
            (Some(old), Some(new)) => {
                let (before, after) = (before.node(old), after.node(new));
                let mut aspects = aspects(before, after, times, &mut same);
                if left.first_name() != right.first_name() {
                    aspects.push(Aspect::HardLink);
                }
                aspects.sort_unstable();
                (!aspects.is_empty()).then_some(Changed::Changed { before, after, aspects })
            }
            _ => None,
        };
        let path = if order == Ordering::Greater { &right.path } else { &left.path };
        found.extend(change.map(|change| Difference { path: path.as_slice().into(), change }));
        if order != Ordering::Greater {
            left.step();
        }
        if order != Ordering::Less {
            right.step();
        }
    }
}

fn names(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|&b| b == b'/')
}

/// One of the trees, and how far it was walked.
struct Side<'t> {
    tree: &'t Tree,
    walk: Walk<'t>,
    path: Vec<u8>,
    /// What is at the path; nothing at the end.
    node: Option<NodeId>,
    /// The first names of the nodes with several.
    first_names: BTreeMap<NodeId, Box<[u8]>>,
}

impl<'t> Side<'t> {
    fn new(tree: &'t Tree) -> Side<'t> {
        let mut side =
            Side { tree, walk: tree.walk(), path: Vec::new(), node: None, first_names: BTreeMap::new() };
        side.step();
        side
    }

    fn step(&mut self) {
        let visit = self.walk.step();
        self.node = visit.as_ref().map(|visit| visit.node);
        if let Some(visit) = visit {
            self.path.clear();
            self.path.extend_from_slice(visit.path);
            if self.tree.node(visit.node).names > 1 {
                self.first_names.entry(visit.node).or_insert_with(|| visit.path.into());
            }
        }
    }

    /// The name before this one that this one is a hard link to.
    fn first_name(&self) -> Option<&[u8]> {
        let first = self.node.and_then(|node| self.first_names.get(&node));
        first.map(|first| &**first).filter(|first| *first != self.path)
    }
}

fn aspects<'t>(
    before: &'t Node,
    after: &'t Node,
    times: bool,
    same: &mut impl FnMut(&'t Content, &'t Content) -> bool,
) -> Vec<Aspect> {
    let (old, new) = (&before.metadata, &after.metadata);
    let links = matches!((&before.kind, &after.kind), (Kind::Symlink(_), Kind::Symlink(_)));
    let kind = match (&before.kind, &after.kind) {
        (Kind::File(a), Kind::File(b)) if a.size() != b.size() => Some(Aspect::Size),
        (Kind::File(a), Kind::File(b)) => (a.size() > 0 && !same(a, b)).then_some(Aspect::Content),
        (Kind::Symlink(a), Kind::Symlink(b)) => (a != b).then_some(Aspect::Target),
        (Kind::CharDevice(a), Kind::CharDevice(b)) | (Kind::BlockDevice(a), Kind::BlockDevice(b)) => {
            (a != b).then_some(Aspect::Device)
        }
        (a, b) => (std::mem::discriminant(a) != std::mem::discriminant(b)).then_some(Aspect::Type),
    };
    let others = [
        (Aspect::Mode, old.mode != new.mode && !links),
        (Aspect::Owner, (old.uid, old.gid) != (new.uid, new.gid)),
        (Aspect::Xattrs, old.xattrs().ne(new.xattrs())),
        (Aspect::Time, times && old.mtime != new.mtime),
    ];
    kind.into_iter()
        .chain(others.into_iter().filter(|(_, differs)| *differs).map(|(aspect, _)| aspect))
        .collect()
}
