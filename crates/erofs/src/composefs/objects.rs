//! Which files of a tree are objects.

use hash::{Algorithm, FileDigest};
use tree::{Content, NodeId, Tree};

/// A file's content that lies outside of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Object {
    /// Its name in the repository.
    pub digest: FileDigest,
    /// Whether the image demands that the kernel finds this digest when the file is opened. Where it does not, the
    /// digest is a name and no more.
    pub enforced: bool,
}

impl Object {
    /// The object's path in the directory of objects: the digest's first byte, a slash, the rest.
    pub fn path(digest: &FileDigest) -> String {
        let mut path = digest.hex();
        path.insert(2, '/');
        path
    }

    /// The digest in a [`path`](Object::path).
    pub fn parse_path(path: &[u8]) -> Option<FileDigest> {
        let (first, rest) = (path.get(..2)?, path.get(2..)?.strip_prefix(b"/")?);
        let hex = [first, rest].concat();
        let algorithm = match hex.len() {
            64 => Algorithm::Sha256,
            128 => Algorithm::Sha512,
            _ => return None,
        };
        FileDigest::from_hex(algorithm, str::from_utf8(&hex).ok()?).ok()
    }
}

/// The objects of a tree's files, by node. A file with content that is neither here nor made of inline bytes has holes
/// alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Objects(Vec<Option<Object>>);

impl Objects {
    /// A table for the nodes of `tree`, none of which is an object yet.
    pub fn of(tree: &Tree) -> Objects {
        Objects(vec![None; tree.table_length()])
    }

    /// Says that a node's content is an object.
    pub fn set(&mut self, node: NodeId, object: Object) {
        if self.0.len() <= node.index() {
            self.0.resize(node.index() + 1, None);
        }
        self.0[node.index()] = Some(object);
    }

    /// The object that a node's content is.
    pub fn get(&self, node: NodeId) -> Option<Object> {
        self.0.get(node.index()).copied().flatten()
    }

    /// All of them, in no order that means anything, each as often as a node has it.
    pub fn all(&self) -> impl Iterator<Item = Object> + '_ {
        self.0.iter().flatten().copied()
    }
}

/// A tree, and where the bytes of its files are that are not in it.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// The tree. Contents in it are inline bytes, or stand for an object or for holes.
    pub tree: Tree,
    /// The objects of its nodes.
    pub objects: Objects,
}

/// The content of a file of `size` bytes that are not in the tree.
pub(super) fn outside(size: u64) -> Content {
    Content::Pieces { size, declared: false, pieces: Box::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let digest = FileDigest::of(Algorithm::Sha256, b"hello world");
        let path = Object::path(&digest);
        assert_eq!(path, "1e/2eaa4202d750a41174ee454970b92c1bc2f925b1e35076d8c7d5f56362ba64");
        assert_eq!(Object::parse_path(path.as_bytes()), Some(digest));
        for wrong in
            ["", "1e", "1e/", &path[..60], &path.to_uppercase(), &path.replace('/', "//"), &digest.hex()]
        {
            assert_eq!(Object::parse_path(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
