//! Changes to a finished tree that the caller asked for.

use crate::{NodeId, Time, Tree};

/// Lets nothing in the tree be younger than `latest`, so that what a build stamped with its own time gives
/// the same bytes again. See <https://reproducible-builds.org/specs/source-date-epoch/>.
pub fn clamp_mtime(tree: &mut Tree, latest: Option<i64>) {
    let Some(seconds) = latest else { return };
    let latest = Time { seconds, nanoseconds: 0 };
    for node in &mut tree.nodes {
        node.metadata.mtime = node.metadata.mtime.min(latest);
    }
}

/// Gives the root the metadata of `/usr`, since layers seldom say what the root's is, and runtimes do not agree on it
/// either. Without a directory of that name nothing changes.
pub fn root_from_usr(tree: &mut Tree) {
    if let Some(usr) = directory(tree, b"usr") {
        tree.node_mut(Tree::ROOT).metadata = tree.node(usr).metadata.clone();
    }
}

/// Empties `/run`, on which a filesystem of its own is mounted wherever the tree runs, and gives it the time of
/// `/usr`. Building an image leaves the places of its own mounts there.
pub fn empty_run(tree: &mut Tree) {
    if let Some(run) = directory(tree, b"run") {
        tree.unlink_all(run);
        if let Some(usr) = directory(tree, b"usr") {
            tree.node_mut(run).metadata.mtime = tree.node(usr).metadata.mtime;
        }
    }
}

/// Leaves the extended attributes of which `keep` says so.
pub fn keep_xattrs(tree: &mut Tree, keep: impl Fn(&[u8]) -> bool) {
    for node in &mut tree.nodes {
        if let Some(xattrs) = &mut node.metadata.xattrs {
            xattrs.retain(|name, _| keep(name));
        }
        if node.metadata.xattrs.as_ref().is_some_and(|xattrs| xattrs.is_empty()) {
            node.metadata.xattrs = None;
        }
    }
}

/// The directory of that name in the root.
fn directory(tree: &Tree, name: &[u8]) -> Option<NodeId> {
    let node = *tree.entries(Tree::ROOT)?.get(name)?;
    tree.entries(node).map(|_| node)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Directory, Dump, Kind, Metadata, Xattrs};

    #[test]
    fn what_runtimes_do_not_agree_on() {
        let mut tree = Tree::default();
        let xattrs: Xattrs = [(b"user.a"[..].into(), b"b"[..].into())].into();
        let mtime = Time { seconds: 7, nanoseconds: 0 };
        let usr = Metadata { mode: 0o711, mtime, xattrs: Some(Box::new(xattrs)), ..Metadata::implicit() };
        tree.grow(Tree::ROOT, b"usr", usr, Kind::Directory(Directory::new())).unwrap();
        let run =
            tree.grow(Tree::ROOT, b"run", Metadata::implicit(), Kind::Directory(Directory::new())).unwrap();
        tree.grow(run, b"pid", Metadata::implicit(), Kind::Fifo).unwrap();
        root_from_usr(&mut tree);
        empty_run(&mut tree);
        assert_eq!(
            Dump(&tree).to_string(),
            "drwx--x--x 0:0 - 7 / user.a=62\ndrwxr-xr-x 0:0 - 7 /run\ndrwx--x--x 0:0 - 7 /usr user.a=62\n"
        );
        keep_xattrs(&mut tree, |name| name != b"user.a");
        assert!(!Dump(&tree).to_string().contains("user.a"));
    }
}
