//! Finding what a path names, as a process with its root in the tree would.

use crate::{Kind, NodeId, Path, Tree, escape};

/// How many symlinks one path may lead through, as in Linux (`MAXSYMLINKS`).
pub(crate) const LINKS_MAX: usize = 40;

/// Why a path names nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// There is no such name.
    #[error("there is no /{}", escape(path))]
    Missing {
        /// Where the name would be, links followed; without a leading slash.
        path: Box<[u8]>,
    },
    /// Something on the way is no directory.
    #[error("/{} is not a directory", escape(path))]
    NotDirectory {
        /// What it is; without a leading slash.
        path: Box<[u8]>,
    },
    /// Following symlinks does not end.
    #[error("the path leads through more than {LINKS_MAX} symlinks")]
    LinkLoop,
}

impl Tree {
    /// What `path` leads to. Symlinks are followed inside the tree, the last one too: an absolute one starts at
    /// the root, and `..` at the root stays there.
    pub fn find(&self, path: &Path) -> Result<NodeId, Lost> {
        self.find_from_root(path, true)
    }

    /// What the name at the end of `path` names, be it a symlink.
    pub fn find_name(&self, path: &Path) -> Result<NodeId, Lost> {
        self.find_from_root(path, false)
    }

    fn find_from_root(&self, path: &Path, follow_last: bool) -> Result<NodeId, Lost> {
        // From the root down to where we stand, for `..` and for messages.
        let mut way: Vec<(Box<[u8]>, NodeId)> = Vec::new();
        // What is still to be gone, the next name last.
        let mut left: Vec<Box<[u8]>> = path.components().rev().map(Box::from).collect();
        let mut links = 0;
        while let Some(name) = left.pop() {
            let here = way.last().map_or(Tree::ROOT, |(_, node)| *node);
            let Some(entries) = self.entries(here) else {
                return Err(Lost::NotDirectory { path: joined(&way, None) });
            };
            match &*name {
                b"" | b"." => continue,
                b".." => {
                    way.pop();
                    continue;
                }
                _ => {}
            }
            let Some(&node) = entries.get(&name) else {
                return Err(Lost::Missing { path: joined(&way, Some(&name)) });
            };
            match &self.node(node).kind {
                Kind::Symlink(text) if follow_last || !left.is_empty() => {
                    links += 1;
                    if links > LINKS_MAX {
                        return Err(Lost::LinkLoop);
                    }
                    if text.starts_with(b"/") {
                        way.clear();
                    }
                    left.extend(text.split(|&b| b == b'/').rev().map(Box::from));
                }
                _ => way.push((name, node)),
            }
        }
        Ok(way.last().map_or(Tree::ROOT, |(_, node)| *node))
    }
}

/// The names of a way, and one more, as a path.
fn joined(way: &[(Box<[u8]>, NodeId)], name: Option<&[u8]>) -> Box<[u8]> {
    let names: Vec<&[u8]> = way.iter().map(|(name, _)| &**name).chain(name).collect();
    names.join(&b'/').into()
}
