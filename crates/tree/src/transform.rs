//! Changes to a finished tree that the caller asked for.

use std::collections::BTreeMap;

use crate::{Kind, NodeId, Time, Tree};

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
    empty(tree, b"run");
}

/// Empties a directory of the root, and gives it the time of `/usr`. Says whether there is such a directory.
pub fn empty(tree: &mut Tree, name: &[u8]) -> bool {
    let Some(found) = directory(tree, name) else { return false };
    tree.unlink_all(found);
    if let Some(usr) = directory(tree, b"usr") {
        tree.node_mut(found).metadata.mtime = tree.node(usr).metadata.mtime;
    }
    true
}

/// Lets the extended attribute `xattr` of everything be what `label` says of its path, or not be there. A node has one
/// value: where its names are to have others, those after the first name become nodes of their own.
pub fn label(tree: &mut Tree, xattr: &[u8], mut label: impl FnMut(&[u8], &Kind) -> Option<Box<[u8]>>) {
    let mut names = Vec::new();
    let mut walk = tree.walk();
    while let Some(visit) = walk.step() {
        let value = label(visit.path, &tree.node(visit.node).kind);
        names.push((visit.parent, Box::<[u8]>::from(visit.name), visit.node, value));
    }
    let mut labelled: BTreeMap<NodeId, Option<Box<[u8]>>> = BTreeMap::new();
    for (parent, name, mut node, value) in names {
        match labelled.get(&node) {
            Some(first) if *first == value => continue,
            Some(_) => {
                let copy = tree.node(node).clone();
                node = tree.add(copy.metadata, copy.kind);
                tree.link(parent, &name, node);
            }
            None => {}
        }
        let xattrs = &mut tree.node_mut(node).metadata.xattrs;
        match &value {
            Some(value) => {
                xattrs.get_or_insert_default().insert(xattr.into(), value.clone());
            }
            None => {
                if let Some(some) = xattrs {
                    some.remove(xattr);
                }
                if xattrs.as_ref().is_some_and(|some| some.is_empty()) {
                    *xattrs = None;
                }
            }
        }
        labelled.insert(node, value);
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
        assert!(empty(&mut tree, b"usr") && !empty(&mut tree, b"boot"));
    }

    #[test]
    fn labels_take_names_apart() {
        let mut tree = Tree::default();
        let file = tree.grow(Tree::ROOT, b"a", Metadata::implicit(), Kind::Fifo).unwrap();
        for name in [b"b", b"c", b"d"] {
            tree.grow_name(Tree::ROOT, name, file).unwrap();
        }
        let of_path = |path: &[u8], _: &Kind| match path {
            b"" | b"d" => None,
            b"c" => Some(b"2"[..].into()),
            _ => Some(b"1"[..].into()),
        };
        label(&mut tree, b"user.l", of_path);
        let said = Dump(&tree).to_string();
        assert_eq!(
            said,
            "drwxr-xr-x 0:0 - 0 /\nprwxr-xr-x 0:0 - 0 /a user.l=31\nprwxr-xr-x 0:0 - 0 /b = /a user.l=31\n\
             prwxr-xr-x 0:0 - 0 /c user.l=32\nprwxr-xr-x 0:0 - 0 /d\n"
        );
        assert_eq!(tree.node(file).names, 2);
        label(&mut tree, b"user.l", |_, _| None);
        assert!(!Dump(&tree).to_string().contains("user.l"));
    }
}
