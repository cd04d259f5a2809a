//! A part of a tree as a tree of its own.

use std::collections::BTreeMap;

use crate::{Directory, Kind, NodeId, Tree};

impl Tree {
    /// A tree whose root is the directory `top`, with all that lies below it. Names of a node that lie elsewhere
    /// are not counted.
    ///
    /// Of something else than a directory there comes a tree without a name.
    pub fn subtree(&self, top: NodeId) -> Tree {
        let mut part = Tree::default();
        let mut copies: BTreeMap<NodeId, NodeId> = BTreeMap::from([(top, Tree::ROOT)]);
        part.node_mut(Tree::ROOT).metadata = self.node(top).metadata.clone();
        let mut walk = self.walk_from(top);
        walk.step();
        while let Some(visit) = walk.step() {
            let copy = *copies.entry(visit.node).or_insert_with(|| {
                let node = self.node(visit.node);
                let kind = match &node.kind {
                    // Its names follow.
                    Kind::Directory(_) => Kind::Directory(Directory::new()),
                    kind => kind.clone(),
                };
                part.add(node.metadata.clone(), kind)
            });
            part.link(copies[&visit.parent], visit.name, copy);
        }
        part
    }
}
