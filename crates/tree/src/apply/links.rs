//! Hard links: a second name for a node of this layer or of one below.

use super::Apply;
use crate::{Action, Change, Error, Fault, Kind, Metadata, NodeId, Path};

/// How often the forward links of a layer are gone through. Each pass resolves whole chains in one
/// direction, so only a chain shuffled on purpose needs more than two.
const PASSES_MAX: usize = 16;

/// A hard link's entry.
pub(super) struct Link {
    pub(super) entry: u64,
    pub(super) path: Path,
    pub(super) target: Path,
    pub(super) metadata: Metadata,
}

/// A link whose target was not there when its turn came.
pub(super) struct Forward {
    link: Link,
    /// Number of nodes then: a node at the link's path that is younger came later and stays.
    since: usize,
}

impl Apply<'_> {
    /// What the targets of this layer's links mean in the layers below, before anything of them is removed:
    /// a link may keep alive what a whiteout of the same layer takes away. By entry, ascending.
    pub(super) fn lower_targets(&mut self, changes: &[Change]) -> Result<Vec<(u64, NodeId)>, Error> {
        if !changes.iter().any(|change| matches!(change.action, Action::Remove | Action::Clear)) {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for change in changes {
            if let Action::Link { target, .. } = &change.action
                && let Some(node) = self.node(change.entry, target)?
            {
                found.push((change.entry, node));
            }
        }
        Ok(found)
    }

    /// Makes a link, or gives it back for later if its target is not there yet.
    pub(super) fn link(&mut self, link: Link) -> Result<Option<Forward>, Error> {
        if link.path == link.target {
            return Err(self.error(link.entry, link.path, Fault::TargetIsSelf));
        }
        let Some(node) = self.node(link.entry, &link.target)? else {
            return Ok(Some(Forward { link, since: self.tree.nodes.len() }));
        };
        self.name_target(&link, node)?;
        self.describe(node, link.metadata);
        Ok(None)
    }

    /// Makes the links whose targets came after them, or were removed from below by this layer.
    pub(super) fn forward_links(
        &mut self,
        mut waiting: Vec<Forward>,
        lower_targets: &[(u64, NodeId)],
    ) -> Result<(), Error> {
        for _ in 0..PASSES_MAX {
            let before = waiting.len();
            let mut still = Vec::new();
            for forward in waiting {
                match self.node(forward.link.entry, &forward.link.target)? {
                    Some(node) => self.place_forward(&forward, node)?,
                    None => still.push(forward),
                }
            }
            // The other way round next time: chains stand in either order.
            still.reverse();
            waiting = still;
            if waiting.is_empty() {
                return Ok(());
            }
            if waiting.len() == before {
                break;
            }
        }
        waiting.sort_by_key(|forward| forward.link.entry);
        for forward in waiting {
            // One of this loop's own links may have brought the target.
            let node = self.node(forward.link.entry, &forward.link.target)?.or_else(|| {
                let place = lower_targets.binary_search_by_key(&forward.link.entry, |(entry, _)| *entry);
                place.ok().map(|place| lower_targets[place].1)
            });
            let Some(node) = node else {
                let Link { entry, path, target, .. } = forward.link;
                return Err(self.error(entry, path, Fault::TargetMissing { target }));
            };
            self.place_forward(&forward, node)?;
        }
        Ok(())
    }

    /// The target's own entry came last, so its metadata stays.
    fn place_forward(&mut self, forward: &Forward, node: NodeId) -> Result<(), Error> {
        let later = self.node(forward.link.entry, &forward.link.path)?;
        if later.is_some_and(|node| node.index() >= forward.since) {
            return Ok(());
        }
        self.name_target(&forward.link, node)
    }

    fn name_target(&mut self, link: &Link, node: NodeId) -> Result<(), Error> {
        if matches!(self.tree.node(node).kind, Kind::Directory(_)) {
            let fault = Fault::TargetIsDirectory { target: link.target.clone() };
            return Err(self.error(link.entry, link.path.clone(), fault));
        }
        let Some((parent, name)) = link.path.split() else {
            return Err(self.error(link.entry, link.path.clone(), Fault::RootNotDirectory));
        };
        let parent = self.parent_of(link.entry, &link.path, parent)?;
        if self.tree.child(parent, name) != Some(node) {
            self.name(parent, name, node);
        }
        Ok(())
    }

    /// The last metadata given wins. Attributes are added, never taken: few archivers repeat them on a link.
    fn describe(&mut self, node: NodeId, metadata: Metadata) {
        let mine = &mut self.tree.node_mut(node).metadata;
        let mut xattrs = mine.xattrs.take();
        if let Some(given) = metadata.xattrs {
            xattrs.get_or_insert_default().extend(*given);
        }
        *mine = Metadata { xattrs, ..metadata };
    }
}
