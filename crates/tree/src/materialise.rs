//! A tree as files alone, for what knows no links: a link to a file becomes the file, one to a directory becomes all that
//! lies in it.

use std::collections::btree_map;

use crate::find::LINKS_MAX;
use crate::{Kind, NodeId, Tree};

/// Names that are visited and components of links and paths that are followed, all together. A system with half a million
/// names takes a million.
pub const MATERIALISED_MAX: u64 = 50_000_000;

/// Links lead into each other so often that there is no end to the files, or to following the links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the files that links stand for take more than the limit of {limit} steps")]
pub struct Endless {
    /// The limit in force.
    pub limit: u64,
}

/// How many names became no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dropped {
    /// Links to nothing, and those that never end.
    pub dangling: u64,
    /// Links to a directory in which they lie themselves, such as `usr/bin/X11 -> .` and all that lead to the root.
    pub loops: u64,
    /// Devices, pipes and sockets.
    pub special: u64,
}

/// Visits every file of a tree by each path that leads to it, in the order of names within each directory.
///
/// A lending iterator, as [`Walk`](crate::Walk) is one.
pub struct Files<'a> {
    tree: &'a Tree,
    /// By node: the directory in which a directory lies.
    parents: Vec<NodeId>,
    /// By node: whether a directory is being visited.
    is_open: Vec<bool>,
    open: Vec<Open<'a>>,
    path: Vec<u8>,
    steps: u64,
    steps_max: u64,
    dropped: Dropped,
}

/// A directory that is being visited, under whatever name.
struct Open<'a> {
    node: NodeId,
    remaining: btree_map::Iter<'a, Box<[u8]>, NodeId>,
    path_length: usize,
}

impl Tree {
    /// Starts a visit of all files. `steps_max` is usually [`MATERIALISED_MAX`].
    pub fn files(&self, steps_max: u64) -> Files<'_> {
        let mut parents = vec![Tree::ROOT; self.table_length()];
        let mut walk = self.walk();
        while let Some(visit) = walk.step() {
            parents[visit.node.index()] = visit.parent;
        }
        let mut files = Files {
            tree: self,
            parents,
            is_open: vec![false; self.table_length()],
            open: Vec::new(),
            path: Vec::new(),
            steps: 0,
            steps_max,
            dropped: Dropped::default(),
        };
        files.enter(Tree::ROOT);
        files
    }
}

impl Files<'_> {
    /// The next file, or `None` after the last: its path without a leading slash, and what is there.
    ///
    /// # Errors
    ///
    /// [`Endless`] after as many steps as were allowed.
    pub fn step(&mut self) -> Result<Option<(&[u8], NodeId)>, Endless> {
        while let Some(open) = self.open.last_mut() {
            let Some((name, &node)) = open.remaining.next() else {
                self.is_open[open.node.index()] = false;
                self.open.pop();
                continue;
            };
            let here = open.node;
            self.path.truncate(open.path_length);
            if !self.path.is_empty() {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(name);
            self.count(1)?;
            let Some(node) = self.target(here, node)? else {
                self.dropped.dangling += 1;
                continue;
            };
            match &self.tree.node(node).kind {
                Kind::File(_) => return Ok(Some((&self.path, node))),
                Kind::Directory(_) if self.is_open[node.index()] => self.dropped.loops += 1,
                Kind::Directory(_) => self.enter(node),
                _ => self.dropped.special += 1,
            }
        }
        Ok(None)
    }

    /// What became no file so far.
    pub fn dropped(&self) -> Dropped {
        self.dropped
    }

    fn enter(&mut self, node: NodeId) {
        if let Some(entries) = self.tree.entries(node) {
            self.is_open[node.index()] = true;
            self.open.push(Open { node, remaining: entries.iter(), path_length: self.path.len() });
        }
    }

    fn count(&mut self, steps: usize) -> Result<(), Endless> {
        self.steps += steps as u64;
        if self.steps > self.steps_max { Err(Endless { limit: self.steps_max }) } else { Ok(()) }
    }

    /// What `node` in the directory `here` leads to: itself, unless it is a link. `None` for one that leads nowhere.
    fn target(&mut self, mut here: NodeId, node: NodeId) -> Result<Option<NodeId>, Endless> {
        let tree = self.tree;
        let mut found = node;
        // What is still to be gone, the next name last.
        let mut left: Vec<&[u8]> = Vec::new();
        let mut links = 0;
        loop {
            if let Kind::Symlink(text) = &tree.node(found).kind {
                links += 1;
                if links > LINKS_MAX {
                    return Ok(None);
                }
                found = if text.starts_with(b"/") { Tree::ROOT } else { here };
                let before = left.len();
                left.extend(text.split(|byte| *byte == b'/').rev());
                self.count(left.len() - before)?;
            }
            let Some(name) = left.pop() else { return Ok(Some(found)) };
            let Some(entries) = tree.entries(found) else { return Ok(None) };
            here = found;
            match name {
                b"" | b"." => {}
                b".." => found = self.parents[here.index()],
                _ => match entries.get(name) {
                    Some(node) => found = *node,
                    None => return Ok(None),
                },
            }
        }
    }
}
