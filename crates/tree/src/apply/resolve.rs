//! Finding directories by path. Symlinks are followed inside the tree, as a process with its root there
//! would see them: an absolute target starts at the root, and `..` at the root stays there.

use std::collections::BTreeSet;

use crate::find::LINKS_MAX;
use crate::{COMPONENT_MAX, Fault, Kind, Metadata, NodeId, Path, Tree};

/// How many components of symlinks one layer may make us follow. The largest layers need some ten million; a
/// chain of long links can ask for 80,000 with each of millions of entries, which would take hours.
pub(super) const STEPS_MAX: u64 = 1 << 26;

/// What happens where the path has no such directory.
pub(super) enum Missing<'a> {
    /// It is made: 0755, owned by root, at the epoch.
    Make,
    /// There is nothing to find. A symlink at a path that the layer itself hides counts as missing, too: what
    /// the layer has there has no lower entries.
    Stop {
        /// Paths at which the layer puts a directory, or removes what is there.
        hidden: &'a BTreeSet<Path>,
        /// Set when a symlink was followed.
        through_link: &'a mut bool,
    },
}

/// The directory that `path` leads to; `None` if it is missing and [`Missing::Stop`] was asked for. Adds to
/// `steps` what was followed.
pub(super) fn directory(
    tree: &mut Tree,
    path: &Path,
    mut missing: Missing<'_>,
    steps: &mut u64,
) -> Result<Option<NodeId>, Fault> {
    // The directories from the root down to where we stand, for `..`.
    let mut way = vec![Tree::ROOT];
    // Names on the way below them that are no directories: missing, or, the first of them, in the way. A `..`
    // takes one back, as it does for container runtimes, which look at the text of links.
    let mut missed: Vec<Box<[u8]>> = Vec::new();
    let mut in_the_way = false;
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
                if missed.pop().is_none() && way.len() > 1 {
                    way.pop();
                }
                in_the_way &= !missed.is_empty();
                continue;
            }
            _ => {}
        }
        let here = *way.last().expect("the root is never popped");
        let next = if missed.is_empty() { tree.child(here, name) } else { None };
        let Some(next) = next else {
            missed.push(name.into());
            continue;
        };
        match &tree.node(next).kind {
            Kind::Directory(_) => way.push(next),
            Kind::Symlink(text) => {
                if let Missing::Stop { hidden, through_link } = &mut missing {
                    let textual = from_link.is_none() && links == 0;
                    if textual && hidden.contains(&path.start(passed)) {
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
                *steps += text.iter().filter(|&&b| b == b'/').count() as u64 + 1;
                if *steps > STEPS_MAX {
                    return Err(Fault::TooManySteps { limit: STEPS_MAX });
                }
                detour.extend(text.split(|&b| b == b'/').rev().map(Box::from));
            }
            _ => {
                missed.push(name.into());
                in_the_way = true;
            }
        }
    }
    let here = way.pop().expect("the root is never popped");
    if in_the_way {
        return Err(Fault::ParentNotDirectory { name: missed.swap_remove(0) });
    }
    match missing {
        Missing::Make => make(tree, here, missed).map(Some),
        Missing::Stop { .. } => Ok(missed.is_empty().then_some(here)),
    }
}

/// Makes directories below `here`, each in the one before.
fn make(tree: &mut Tree, mut here: NodeId, names: Vec<Box<[u8]>>) -> Result<NodeId, Fault> {
    if let Some(name) = names.iter().find(|name| name.len() > COMPONENT_MAX) {
        return Err(Fault::LinkComponentTooLong { length: name.len() });
    }
    for name in names {
        let made = tree.add(Metadata::implicit(), Kind::Directory(Default::default()));
        tree.link(here, &name, made);
        here = made;
    }
    Ok(here)
}

/// The node that `path` names; a symlink in its last place is not followed. There is none where the way to it
/// leads nowhere.
pub(super) fn node(tree: &mut Tree, path: &Path, steps: &mut u64) -> Result<Option<NodeId>, Fault> {
    let Some((parent, name)) = path.split() else { return Ok(Some(Tree::ROOT)) };
    let nothing = BTreeSet::new();
    let missing = Missing::Stop { hidden: &nothing, through_link: &mut false };
    match directory(tree, &parent, missing, steps) {
        Ok(parent) => Ok(parent.and_then(|parent| tree.child(parent, name))),
        Err(fault @ Fault::TooManySteps { .. }) => Err(fault),
        Err(_) => Ok(None),
    }
}
