//! Walking a tree in the order of its paths, without recursion.

use std::collections::btree_map;

use crate::{NodeId, Tree};

/// One step of a [`Walk`]: a name and the node that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit<'a> {
    /// Path from where the walk began, without a leading slash; empty there.
    pub path: &'a [u8],
    /// The last component; empty where the walk began.
    pub name: &'a [u8],
    /// The directory that holds the name; where the walk began, the same node.
    pub parent: NodeId,
    /// What is named. A node with several names is visited once for each.
    pub node: NodeId,
}

/// Visits every name of a tree: a directory before what lies in it, names in the order of their bytes.
///
/// A lending iterator: call [`Walk::step`] until it gives `None`. Its memory grows with the depth alone.
pub struct Walk<'a> {
    tree: &'a Tree,
    top: NodeId,
    path: Vec<u8>,
    open: Vec<Open<'a>>,
    started: bool,
}

/// A directory that is being walked.
struct Open<'a> {
    node: NodeId,
    remaining: btree_map::Iter<'a, Box<[u8]>, NodeId>,
    path_length: usize,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(tree: &'a Tree, top: NodeId) -> Walk<'a> {
        Walk { tree, top, path: Vec::new(), open: Vec::new(), started: false }
    }

    /// The next name, or `None` after the last.
    pub fn step(&mut self) -> Option<Visit<'_>> {
        if !self.started {
            self.started = true;
            self.enter(self.top);
            return Some(Visit { path: b"", name: b"", parent: self.top, node: self.top });
        }
        loop {
            let open = self.open.last_mut()?;
            let Some((name, &node)) = open.remaining.next() else {
                self.open.pop();
                continue;
            };
            let parent = open.node;
            self.path.truncate(open.path_length);
            if !self.path.is_empty() {
                self.path.push(b'/');
            }
            let start = self.path.len();
            self.path.extend_from_slice(name);
            self.enter(node);
            return Some(Visit { path: &self.path, name: &self.path[start..], parent, node });
        }
    }

    fn enter(&mut self, node: NodeId) {
        if let Some(entries) = self.tree.entries(node) {
            self.open.push(Open { node, remaining: entries.iter(), path_length: self.path.len() });
        }
    }
}

impl Tree {
    /// Starts a walk at the root.
    pub fn walk(&self) -> Walk<'_> {
        Walk::new(self, Tree::ROOT)
    }

    /// Starts a walk at a node; at one that is no directory it has one step.
    pub fn walk_from(&self, top: NodeId) -> Walk<'_> {
        Walk::new(self, top)
    }
}
