//! Trees to build from code. The tests of other formats have it, too.

use std::collections::BTreeMap;

use tree::{
    Action, Change, Content, DEPTH_MAX, Device, Directory, Kind, Metadata, Notes, Path, Piece, Span, Time,
    Tree,
};

/// Puts nodes into a tree, and gives files places in one layer's content space.
pub(crate) struct Builder {
    changes: Vec<Change>,
    layer: u32,
    next: u64,
}

pub(crate) fn meta(mode: u16) -> Metadata {
    let mtime = Time { seconds: 1_700_000_000, nanoseconds: 123_456_789 };
    Metadata { mode, uid: 0, gid: 0, mtime, xattrs: None }
}

pub(crate) fn with_xattrs(mut metadata: Metadata, xattrs: &[(&str, &[u8])]) -> Metadata {
    let map: BTreeMap<Box<[u8]>, Box<[u8]>> =
        xattrs.iter().map(|(name, value)| (name.as_bytes().into(), (*value).into())).collect();
    metadata.xattrs = Some(Box::new(map));
    metadata
}

impl Builder {
    pub(crate) fn new() -> Builder {
        Builder::of_layer(0)
    }

    /// The bytes of files are as in that layer.
    pub(crate) fn of_layer(layer: u32) -> Builder {
        Builder { changes: Vec::new(), layer, next: 0 }
    }

    pub(crate) fn put(&mut self, path: impl AsRef<[u8]>, metadata: Metadata, kind: Kind) -> &mut Builder {
        let path = Path::parse(path.as_ref(), DEPTH_MAX).unwrap();
        let entry = self.changes.len() as u64;
        self.changes.push(Change { entry, path, action: Action::Put(metadata, kind) });
        self
    }

    pub(crate) fn dir(&mut self, path: impl AsRef<[u8]>) -> &mut Builder {
        self.put(path, meta(0o755), Kind::Directory(Directory::new()))
    }

    pub(crate) fn span(&mut self, length: u64) -> Span {
        let span = Span { layer: self.layer, offset: self.next, length };
        self.next += length.next_multiple_of(4096);
        span
    }

    pub(crate) fn file(&mut self, path: impl AsRef<[u8]>, size: u64) -> &mut Builder {
        let content = if size == 0 { Content::Empty } else { Content::Whole(self.span(size)) };
        self.put(path, meta(0o644), Kind::File(content))
    }

    /// A file of `size` bytes with data at each of `(at, length)`.
    pub(crate) fn sparse(
        &mut self,
        path: impl AsRef<[u8]>,
        size: u64,
        pieces: &[(u64, u64)],
    ) -> &mut Builder {
        let pieces = pieces.iter().map(|&(at, length)| Piece { at, span: self.span(length) }).collect();
        self.put(path, meta(0o644), Kind::File(Content::Pieces { size, declared: true, pieces }))
    }

    pub(crate) fn inline(&mut self, path: impl AsRef<[u8]>, bytes: &[u8]) -> &mut Builder {
        self.put(path, meta(0o600), Kind::File(Content::Inline(bytes.into())))
    }

    pub(crate) fn symlink(&mut self, path: impl AsRef<[u8]>, text: impl AsRef<[u8]>) -> &mut Builder {
        self.put(path, meta(0o777), Kind::Symlink(text.as_ref().into()))
    }

    pub(crate) fn link(&mut self, path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> &mut Builder {
        let path = Path::parse(path.as_ref(), DEPTH_MAX).unwrap();
        let target = Path::parse(target.as_ref(), DEPTH_MAX).unwrap();
        let entry = self.changes.len() as u64;
        self.changes.push(Change { entry, path, action: Action::Link { target, metadata: meta(0o644) } });
        self
    }

    pub(crate) fn tree(&mut self) -> Tree {
        let mut tree = Tree::default();
        tree.apply(0, std::mem::take(&mut self.changes), &mut Notes::default()).unwrap();
        tree
    }
}

pub(crate) fn device(major: u32, minor: u32) -> Device {
    Device { major, minor }
}
