//! Growing a tree name by name, for readers of other things than layers. Nothing is followed or replaced.

use crate::{COMPONENT_MAX, Kind, Metadata, NodeId, Tree};

/// Why a name does not go into a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// What shall hold the name is no directory.
    #[error("its parent is not a directory")]
    NotDirectory,
    /// The directory has that name already.
    #[error("the name is there already")]
    Exists,
    /// No file can be called so: the name is empty, `.`, `..`, too long, or has a slash or a NUL byte in it.
    #[error("not a file's name")]
    Name,
    /// A directory has one name.
    #[error("a second name for a directory")]
    SecondName,
}

impl Tree {
    /// Makes a node and calls it `name` in `directory`. A directory must come without entries.
    pub fn grow(
        &mut self,
        directory: NodeId,
        name: &[u8],
        metadata: Metadata,
        kind: Kind,
    ) -> Result<NodeId, Misfit> {
        debug_assert!(!matches!(&kind, Kind::Directory(entries) if !entries.is_empty()));
        self.check_name(directory, name)?;
        let node = self.add(metadata, kind);
        self.link(directory, name, node);
        Ok(node)
    }

    /// Gives a node, which is no directory, one more name.
    pub fn grow_name(&mut self, directory: NodeId, name: &[u8], node: NodeId) -> Result<(), Misfit> {
        self.check_name(directory, name)?;
        if self.entries(node).is_some() {
            return Err(Misfit::SecondName);
        }
        self.link(directory, name, node);
        Ok(())
    }

    fn check_name(&self, directory: NodeId, name: &[u8]) -> Result<(), Misfit> {
        let entries = self.entries(directory).ok_or(Misfit::NotDirectory)?;
        if name.len() > COMPONENT_MAX
            || matches!(name, b"" | b"." | b"..")
            || name.iter().any(|&b| b == 0 || b == b'/')
        {
            return Err(Misfit::Name);
        }
        if entries.contains_key(name) { Err(Misfit::Exists) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Directory;

    #[test]
    fn what_fits() {
        let mut tree = Tree::default();
        let mut put = |directory, name: &[u8], kind| tree.grow(directory, name, Metadata::implicit(), kind);
        let directory = put(Tree::ROOT, b"d", Kind::Directory(Directory::new())).unwrap();
        let fifo = put(directory, b"f", Kind::Fifo).unwrap();
        for (parent, name, misfit) in [
            (fifo, &b"x"[..], Misfit::NotDirectory),
            (directory, b"f", Misfit::Exists),
            (directory, b"", Misfit::Name),
            (directory, b"..", Misfit::Name),
            (directory, b"a/b", Misfit::Name),
            (directory, b"a\0", Misfit::Name),
            (directory, &[b'x'; 256], Misfit::Name),
        ] {
            assert_eq!(put(parent, name, Kind::Socket), Err(misfit));
        }
        assert_eq!(tree.grow_name(Tree::ROOT, b"g", fifo), Ok(()));
        assert_eq!(tree.grow_name(directory, b"e", directory), Err(Misfit::SecondName));
        assert_eq!(tree.node(fifo).names, 2);
    }
}
