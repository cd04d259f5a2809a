//! Applying a layer: first all its removals against what lies below, then all its puts.
//!
//! The order of removals and puts inside a tarball never matters (image-spec `layer.md`, "Whiteouts": they
//! hide what is in *lower* layers). Puts among themselves are taken in the order of the tarball, so that the
//! last of two entries with one name wins.

mod links;
mod resolve;

use std::collections::BTreeSet;

use crate::{
    Action, Change, Directory, Error, Fault, Kind, Metadata, NodeId, Note, Notes, Path, Remark, Tree,
};
use resolve::Missing;

impl Tree {
    /// Applies one layer's changes on top of the tree.
    ///
    /// An error leaves the tree in an unspecified, still consistent state. Numbers of nodes from before may mean
    /// others afterwards.
    pub fn apply(&mut self, layer: u32, changes: Vec<Change>, notes: &mut Notes) -> Result<(), Error> {
        self.sweep();
        let mut apply = Apply {
            layer,
            hidden: hidden(&changes),
            first_new: self.nodes.len(),
            tree: self,
            notes,
            parent: None,
            steps: 0,
        };
        let lower_targets = apply.lower_targets(&changes)?;
        apply.removals(&changes)?;
        let mut forward = Vec::new();
        for change in changes {
            match change.action {
                Action::Put(metadata, kind) => apply.put(change.entry, change.path, metadata, kind)?,
                Action::Link { target, metadata } => {
                    let link = links::Link { entry: change.entry, path: change.path, target, metadata };
                    forward.extend(apply.link(link)?);
                }
                Action::Remove | Action::Clear => {}
            }
        }
        apply.forward_links(forward, &lower_targets)
    }
}

/// Paths at which the layer itself puts a directory or takes away what is there, as far as a removal has to
/// know them: where a lower layer has a symlink at such a path, the layer's removals below it do not mean the
/// link's target.
fn hidden(changes: &[Change]) -> BTreeSet<Path> {
    if !changes.iter().any(|change| matches!(change.action, Action::Remove | Action::Clear)) {
        return BTreeSet::new();
    }
    let hides =
        |change: &&Change| matches!(change.action, Action::Put(_, Kind::Directory(_)) | Action::Remove);
    changes.iter().filter(hides).map(|change| change.path.clone()).collect()
}

/// One layer being applied.
struct Apply<'a> {
    tree: &'a mut Tree,
    notes: &'a mut Notes,
    layer: u32,
    hidden: BTreeSet<Path>,
    /// Nodes from here on are this layer's.
    first_new: usize,
    /// The directory that the last put went to: tarballs list a directory's entries together.
    parent: Option<(Path, NodeId)>,
    /// Components of symlinks that were followed.
    steps: u64,
}

impl Apply<'_> {
    /// Takes away what the layer removes. All ways are looked up before anything goes, so that no removal is
    /// on the way of another.
    fn removals(&mut self, changes: &[Change]) -> Result<(), Error> {
        let mut found = Vec::new();
        for change in changes {
            match (&change.action, change.path.split()) {
                (Action::Remove, Some((parent, _))) => {
                    let directory = self.lower_directory(change.entry, &parent, false)?;
                    found.extend(directory.map(|directory| (directory, change)));
                }
                (Action::Clear, _) => {
                    let directory = self.lower_directory(change.entry, &change.path, true)?;
                    found.extend(directory.map(|directory| (directory, change)));
                }
                _ => {}
            }
        }
        for (directory, change) in found {
            match (&change.action, change.path.split()) {
                (Action::Remove, Some((_, name))) => self.tree.unlink(directory, name),
                _ => self.tree.unlink_all(directory),
            }
        }
        Ok(())
    }

    fn put(&mut self, entry: u64, path: Path, metadata: Metadata, kind: Kind) -> Result<(), Error> {
        let Some((parent, name)) = path.split() else {
            if !matches!(kind, Kind::Directory(_)) {
                return Err(self.error(entry, path, Fault::RootNotDirectory));
            }
            self.tree.node_mut(Tree::ROOT).metadata = metadata;
            return Ok(());
        };
        let parent = self.parent_of(entry, &path, parent)?;
        if let Some(old) = self.tree.child(parent, name) {
            let new_is_directory = matches!(kind, Kind::Directory(_));
            match &self.tree.node(old).kind {
                Kind::Directory(_) if new_is_directory => {
                    // Also the attributes: what the lower directory had is not inherited.
                    self.tree.node_mut(old).metadata = metadata;
                    return Ok(());
                }
                Kind::Symlink(_) if new_is_directory && old.index() < self.first_new => {
                    self.note(Remark::DirectoryReplacesSymlink, entry, &path);
                }
                _ => {}
            }
        }
        let node = self.tree.add(metadata, kind);
        self.name(parent, name, node);
        Ok(())
    }

    /// Lets `name` in `parent` mean `node`, in place of whatever it meant.
    fn name(&mut self, parent: NodeId, name: &[u8], node: NodeId) {
        if self.tree.child(parent, name).is_some() {
            // What was replaced may have been on the way to the remembered parent.
            self.parent = None;
        }
        self.tree.link(parent, name, node);
    }

    /// The directory at `parent`, made with all that is missing on the way.
    fn parent_of(&mut self, entry: u64, path: &Path, parent: Path) -> Result<NodeId, Error> {
        if let Some((known, node)) = &self.parent
            && *known == parent
        {
            return Ok(*node);
        }
        let before = self.steps;
        let found = resolve::directory(self.tree, &parent, Missing::Make, &mut self.steps);
        let node = found.map_err(|fault| self.error(entry, path.clone(), fault))?;
        let node = node.expect("what is missing was made");
        // A way through links may lead elsewhere with every name that is added.
        self.parent = (self.steps == before).then_some((parent, node));
        Ok(node)
    }

    /// The directory that a removal at or below `path` means in the lower layers, if there is one.
    fn lower_directory(&mut self, entry: u64, path: &Path, clears: bool) -> Result<Option<NodeId>, Error> {
        let mut through_link = false;
        let replaced = Missing::Stop { hidden: &self.hidden, through_link: &mut through_link };
        let found = match resolve::directory(self.tree, path, replaced, &mut self.steps) {
            // Below something that is no directory there is nothing to remove.
            Err(Fault::ParentNotDirectory { .. }) => Ok(None),
            other => other.map_err(|fault| self.error(entry, path.clone(), fault)),
        };
        if clears && through_link && matches!(found, Ok(Some(_))) {
            self.note(Remark::OpaqueThroughSymlink, entry, path);
        }
        found
    }

    /// The node that a path of `entry`'s names, if there is one.
    fn node(&mut self, entry: u64, path: &Path) -> Result<Option<NodeId>, Error> {
        resolve::node(self.tree, path, &mut self.steps)
            .map_err(|fault| self.error(entry, path.clone(), fault))
    }

    fn note(&mut self, remark: Remark, entry: u64, path: &Path) {
        let name = path.as_bytes().into();
        self.notes.push(Note { remark, layer: self.layer, entry: Some(entry), name });
    }

    fn error(&self, entry: u64, path: Path, fault: Fault) -> Error {
        Error { layer: self.layer, entry, path, fault }
    }
}

impl Tree {
    /// What `name` means in `directory`.
    fn child(&self, directory: NodeId, name: &[u8]) -> Option<NodeId> {
        self.entries(directory)?.get(name).copied()
    }

    fn entries_mut(&mut self, directory: NodeId) -> &mut Directory {
        match &mut self.node_mut(directory).kind {
            Kind::Directory(entries) => entries,
            _ => unreachable!("only directories are asked for their entries"),
        }
    }

    /// Lets `name` in `directory` mean `node`; what it meant before loses a name.
    pub(crate) fn link(&mut self, directory: NodeId, name: &[u8], node: NodeId) {
        self.node_mut(node).names += 1;
        let entries = self.entries_mut(directory);
        let old = match entries.get_mut(name) {
            Some(slot) => Some(std::mem::replace(slot, node)),
            None => entries.insert(name.into(), node),
        };
        if let Some(old) = old {
            self.drop_names(vec![old]);
        }
    }

    /// Takes `name` out of `directory`, with all that lies below.
    pub(crate) fn unlink(&mut self, directory: NodeId, name: &[u8]) {
        if let Some(node) = self.entries_mut(directory).remove(name) {
            self.drop_names(vec![node]);
        }
    }

    /// Takes everything out of `directory`.
    pub(crate) fn unlink_all(&mut self, directory: NodeId) {
        let entries = std::mem::take(self.entries_mut(directory));
        self.drop_names(entries.into_values().collect());
    }

    /// Takes one name from each node, and from all that lies in the directories among them.
    fn drop_names(&mut self, mut nodes: Vec<NodeId>) {
        while let Some(id) = nodes.pop() {
            let node = self.node_mut(id);
            node.names -= 1;
            if let Kind::Directory(entries) = &mut node.kind {
                nodes.extend(std::mem::take(entries).into_values());
            }
        }
    }
}
