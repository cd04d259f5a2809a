//! Finding directories by path. Symlinks are followed inside the tree, as a process with its root there
//! would see them: an absolute target starts at the root, and `..` at the root stays there.

use std::collections::BTreeSet;

use crate::{COMPONENT_MAX, Fault, Kind, Metadata, NodeId, Path, Tree};

/// How many symlinks one path may follow, as in Linux (`MAXSYMLINKS`).
pub(super) const LINKS_MAX: usize = 40;

/// What happens where the path has no such directory.
pub(super) enum Missing<'a> {
    /// It is made: 0755, owned by root, at the epoch.
    Make,
    /// There is nothing to find. A symlink at a path that the layer itself makes a directory counts as
    /// missing, too: the new directory has no lower entries.
    Stop {
        /// Directories that the layer puts.
        new_directories: &'a BTreeSet<Path>,
        /// Set when a symlink was followed.
        through_link: &'a mut bool,
    },
}

/// The directory that `path` leads to; `None` if it is missing and [`Missing::Stop`] was asked for.
pub(super) fn directory(
    tree: &mut Tree,
    path: &Path,
    mut missing: Missing<'_>,
) -> Result<Option<NodeId>, Fault> {
    // The directories from the root down to where we stand, for `..`.
    let mut way = vec![Tree::ROOT];
    // What is left of the links followed, next component last.
    let mut detour: Vec<Box<[u8]>> = Vec::new();
    let mut names = path.components();
    let mut passed = 0;
    let mut links = 0;
    loop {
        let from_link = detour.pop();
        let name: &[u8] = match &from_link {
            Some(name) => name,
            None => match names.next() {
                Some(name) => {
                    passed += 1;
                    name
                }
                None => break,
            },
        };
        match name {
            b"" | b"." => continue,
            b".." => {
                if way.len() > 1 {
                    way.pop();
                }
                continue;
            }
            _ => {}
        }
        let here = *way.last().expect("the root is never popped");
        let Some(next) = tree.child(here, name) else {
            match missing {
                Missing::Stop { .. } => return Ok(None),
                Missing::Make if name.len() > COMPONENT_MAX => {
                    return Err(Fault::LinkComponentTooLong { length: name.len() });
                }
                Missing::Make => {
                    let made = tree.add(Metadata::implicit(), Kind::Directory(Default::default()));
                    tree.link(here, name, made);
                    way.push(made);
                    continue;
                }
            }
        };
        match &tree.node(next).kind {
            Kind::Directory(_) => way.push(next),
            Kind::Symlink(text) => {
                if let Missing::Stop { new_directories, through_link } = &mut missing {
                    let textual = from_link.is_none() && links == 0;
                    if textual && new_directories.contains(&prefix(path, passed)) {
                        return Ok(None);
                    }
                    **through_link = true;
                }
                links += 1;
                if links > LINKS_MAX {
                    return Err(Fault::LinkLoop { name: name.into(), limit: LINKS_MAX });
                }
                if text.starts_with(b"/") {
                    way.truncate(1);
                }
                detour.extend(text.split(|&b| b == b'/').rev().map(Box::from));
            }
            _ => return Err(Fault::ParentNotDirectory { name: name.into() }),
        }
    }
    Ok(way.pop())
}

/// The node that `path` names; a symlink in its last place is not followed.
pub(super) fn node(tree: &mut Tree, path: &Path) -> Option<NodeId> {
    let Some((parent, name)) = path.split() else { return Some(Tree::ROOT) };
    let nothing = BTreeSet::new();
    let missing = Missing::Stop { new_directories: &nothing, through_link: &mut false };
    let parent = directory(tree, &parent, missing).ok().flatten()?;
    tree.child(parent, name)
}

/// The first `count` components of a path.
fn prefix(path: &Path, count: usize) -> Path {
    path.components().take(count).fold(Path::root(), |path, name| path.join(name))
}
