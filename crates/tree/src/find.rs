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
    /// Following paths has taken all steps that were allowed.
    #[error("there is no end to the paths that are followed")]
    Endless,
}

/// Where a path leads, and by which names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trail {
    /// What is there; no symlink.
    pub node: NodeId,
    /// Paths of the symlinks that the last name led through, and at last of what is there. All are without links on
    /// the way to the last name, and without a leading slash.
    pub names: Vec<Box<[u8]>>,
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

    /// Follows a path as a process opens it: with `..`, doubled slashes and symlinks in it, from the root whether it
    /// begins with a slash or not. Each component that is gone takes one of `steps`.
    pub fn follow(&self, path: &[u8], steps: &mut u64) -> Result<Trail, Lost> {
        let mut links = Vec::new();
        let way = self.go(path, true, steps, |way| links.push(way))?;
        links.push(joined(&way, None));
        Ok(Trail { node: end(&way), names: links })
    }

    fn find_from_root(&self, path: &Path, follow_last: bool) -> Result<NodeId, Lost> {
        let mut steps = u64::MAX;
        Ok(end(&self.go(path.as_bytes(), follow_last, &mut steps, |_| {})?))
    }

    /// Goes along a path; `last_link` is told where the last name is if that is a link.
    fn go<'a>(
        &'a self,
        path: &'a [u8],
        follow_last: bool,
        steps: &mut u64,
        mut last_link: impl FnMut(Box<[u8]>),
    ) -> Result<Way<'a>, Lost> {
        // From the root down to where we stand, for `..` and for messages.
        let mut way: Way<'_> = Vec::new();
        // What is still to be gone, the next name last.
        let mut left: Vec<&[u8]> = path.split(|&b| b == b'/').rev().collect();
        let mut links = 0;
        while let Some(name) = left.pop() {
            *steps = steps.checked_sub(1).ok_or(Lost::Endless)?;
            let Some(entries) = self.entries(end(&way)) else {
                return Err(Lost::NotDirectory { path: joined(&way, None) });
            };
            match name {
                b"" | b"." => continue,
                b".." => {
                    way.pop();
                    continue;
                }
                _ => {}
            }
            let Some((name, &node)) = entries.get_key_value(name) else {
                return Err(Lost::Missing { path: joined(&way, Some(name)) });
            };
            match &self.node(node).kind {
                Kind::Symlink(text) if follow_last || !left.is_empty() => {
                    links += 1;
                    if links > LINKS_MAX {
                        return Err(Lost::LinkLoop);
                    }
                    if left.is_empty() {
                        last_link(joined(&way, Some(name)));
                    }
                    if text.starts_with(b"/") {
                        way.clear();
                    }
                    left.extend(text.split(|&b| b == b'/').rev());
                }
                _ => way.push((name, node)),
            }
        }
        Ok(way)
    }
}

/// Names and what they name, from the root down.
type Way<'a> = Vec<(&'a [u8], NodeId)>;

/// Where a way ends.
fn end(way: &Way<'_>) -> NodeId {
    way.last().map_or(Tree::ROOT, |(_, node)| *node)
}

/// The names of a way, and one more, as a path.
fn joined(way: &[(&[u8], NodeId)], name: Option<&[u8]>) -> Box<[u8]> {
    let names: Vec<&[u8]> = way.iter().map(|(name, _)| *name).chain(name).collect();
    names.join(&b'/').into()
}
