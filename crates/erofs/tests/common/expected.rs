//! What a tree looks like from outside. `fuzz` compares with it, too.

use std::collections::BTreeMap;

use testkit::listing::{Kind as Type, Line};
use testkit::sums;
use tree::{Kind, Tree};

use super::contents::bytes_in;

/// What a listing of the tree's files must say.
pub(crate) fn lines(tree: &Tree) -> Vec<Line> {
    let mut first: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
    let mut lines = Vec::new();
    let mut walk = tree.walk();
    while let Some(visit) = walk.step() {
        let name = first.entry(visit.node.index()).or_insert_with(|| visit.path.to_vec());
        *name = visit.path.to_vec().min(name.clone());
        lines.push((visit.path.to_vec(), visit.node));
    }
    lines.sort();
    let line = |(path, node): (Vec<u8>, tree::NodeId)| {
        let first = &first[&node.index()];
        let node = tree.node(node);
        let metadata = &node.metadata;
        let kind = match &node.kind {
            Kind::Directory(_) => Type::Directory,
            Kind::File(content) => {
                Type::File { size: content.size(), sha256: sums::sha256_of(&bytes_in(content)) }
            }
            Kind::Symlink(text) => Type::Symlink { target: text.to_vec() },
            Kind::CharDevice(device) => Type::Character { major: device.major, minor: device.minor },
            Kind::BlockDevice(device) => Type::Block { major: device.major, minor: device.minor },
            Kind::Fifo => Type::Fifo,
            Kind::Socket => Type::Socket,
        };
        let known = |name: &[u8]| {
            [&b"user."[..], b"trusted.", b"security.", b"system.posix_acl_"]
                .iter()
                .any(|prefix| name.starts_with(prefix))
        };
        Line {
            same_as: (*first != path).then(|| first.clone()),
            path,
            kind,
            mode: metadata.mode.into(),
            uid: metadata.uid,
            gid: metadata.gid,
            mtime: (metadata.mtime.seconds, metadata.mtime.nanoseconds.into()),
            links: node.names.into(),
            xattrs: metadata
                .xattrs()
                .filter(|(name, _)| known(name))
                .map(|(name, value)| (name.to_vec(), value.to_vec()))
                .collect(),
        }
    };
    lines.into_iter().map(line).collect()
}
