//! What overlayfs needs to find in an image, and what must not look like it: attributes that say where a file's bytes
//! lie, and the tree's own attributes and whiteouts, escaped.

use std::borrow::Cow;

use tree::{Device, Kind, Metadata, NodeId, Tree};

use super::format::{
    METACOPY, OPAQUE, OPAQUE_WHITEOUTS, OPAQUES, OVERLAY, OVERLAY_ESCAPED, REDIRECT, SELINUX, Version,
    WHITEOUT, WHITEOUTS,
};
use super::objects::Object;
use super::order::is_stub_name;
use super::xattrs::Xattr;

/// Whether a node is what overlayfs takes for "nothing is here".
pub(super) fn is_whiteout(kind: &Kind) -> bool {
    matches!(kind, Kind::CharDevice(Device::NONE))
}

/// Whether a whiteout in the root is one of those that hide directories of objects, which the tree of an image has
/// that was read from another image.
pub(super) fn is_stub(tree: &Tree, name: &[u8], metadata: &Metadata) -> bool {
    let root = &tree.node(Tree::ROOT).metadata;
    let label = root.xattrs().filter(|(name, _)| *name == SELINUX);
    is_stub_name(name)
        && metadata.mode == 0o644
        && (metadata.uid, metadata.gid, metadata.mtime) == (root.uid, root.gid, root.mtime)
        && metadata.xattrs().eq(label)
}

/// The attributes of stubs: those of the root that a policy asks for.
pub(super) fn stub_xattrs(tree: &Tree, version: Version) -> Vec<Xattr<'_>> {
    let root = &tree.node(Tree::ROOT).metadata;
    root.xattrs().filter(|(name, _)| *name == SELINUX).map(|pair| Xattr::borrowed(pair, version)).collect()
}

/// What else an inode is, beside what its node says.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Role {
    /// The content of the file is an object, or has holes alone.
    pub(super) outside: Outside,
    /// A whiteout that is escaped.
    pub(super) whiteout: bool,
    /// A directory with such whiteouts.
    pub(super) has_whiteouts: bool,
}

/// Where a regular file's bytes are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Outside {
    /// In the image, or it is no regular file.
    #[default]
    No,
    /// Nowhere: all are zeros.
    Holes,
    /// In an object.
    Object(Object),
}

/// The attributes of a node's inode: first those for overlayfs, then the node's own in the order of their names.
pub(super) fn xattrs<'a>(tree: &'a Tree, node: NodeId, role: Role, version: Version) -> Vec<Xattr<'a>> {
    let mut all = Vec::new();
    let mut add = |name: Cow<'a, [u8]>, value: Cow<'a, [u8]>| {
        // A name that is there twice would hide one of both.
        if !all.iter().any(|xattr: &Xattr<'_>| *xattr.name() == *name) {
            all.push(Xattr::new(name, value, version));
        }
    };
    match role.outside {
        Outside::No => {}
        Outside::Holes => add(METACOPY.into(), b"".into()),
        Outside::Object(object) => {
            let metacopy = if object.enforced { metacopy(object) } else { Vec::new() };
            add(METACOPY.into(), metacopy.into());
            add(REDIRECT.into(), format!("/{}", Object::path(&object.digest)).into_bytes().into());
        }
    }
    if role.whiteout {
        WHITEOUT.into_iter().for_each(|name| add(name.into(), b"".into()));
    }
    if role.has_whiteouts {
        WHITEOUTS.into_iter().for_each(|name| add(name.into(), b"".into()));
        if version == Version::V1 {
            OPAQUES.into_iter().for_each(|name| add(name.into(), OPAQUE_WHITEOUTS.into()));
        }
    }
    for (name, value) in tree.node(node).metadata.xattrs() {
        let name = match name.strip_prefix(OVERLAY) {
            Some(rest) => Cow::Owned([OVERLAY_ESCAPED, rest].concat()),
            None => Cow::Borrowed(name),
        };
        add(name, value.into());
    }
    if node == Tree::ROOT && version != Version::V2 {
        // Nothing of the layers below, which are objects, is to be seen in the root.
        add(OPAQUE.into(), b"y".into());
    }
    all
}

/// `struct ovl_metacopy`: that the file's bytes are elsewhere, and their digest.
fn metacopy(object: Object) -> Vec<u8> {
    let digest = object.digest.as_bytes();
    let algorithm = match object.digest.algorithm() {
        hash::Algorithm::Sha256 => 1,
        hash::Algorithm::Sha512 => 2,
    };
    [&[0, 4 + digest.len() as u8, 0, algorithm], digest].concat()
}
