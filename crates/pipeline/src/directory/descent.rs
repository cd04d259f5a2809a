//! Going down and up a directory by handles, one name at a time.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use tree::{NodeId, Tree};

/// How many handles of ancestors stay open. Deeper ancestors are found again through `..`, and recognised.
const OPEN_MAX: usize = 128;

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The way from a root directory to where we stand.
pub(super) struct Descent {
    way: Vec<Level>,
}

struct Level {
    node: NodeId,
    /// Device and inode, by which a directory is recognised.
    identity: (u64, u64),
    /// Open unless it is far above.
    handle: Option<File>,
}

/// Opens a directory of the host.
pub(super) fn open(path: &Path) -> io::Result<File> {
    Ok(rustix::fs::open(path, DIRECTORY, Mode::empty())?.into())
}

fn open_at(parent: &File, name: &[u8]) -> io::Result<File> {
    Ok(rustix::fs::openat(parent, OsStr::from_bytes(name), DIRECTORY, Mode::empty())?.into())
}

fn identity(handle: &File) -> io::Result<(u64, u64)> {
    let found = handle.metadata()?;
    Ok((found.dev(), found.ino()))
}

impl Descent {
    /// Starts at the tree's root.
    pub(super) fn new(root: File) -> Descent {
        let identity = identity(&root).unwrap_or_default();
        Descent { way: vec![Level { node: Tree::ROOT, identity, handle: Some(root) }] }
    }

    /// The directory where we stand.
    pub(super) fn here(&self) -> &File {
        self.way.last().and_then(|level| level.handle.as_ref()).expect("the last level is always open")
    }

    /// Goes down into `name`.
    pub(super) fn enter(&mut self, node: NodeId, name: &[u8]) -> io::Result<()> {
        let handle = open_at(self.here(), name)?;
        self.way.push(Level { node, identity: identity(&handle)?, handle: Some(handle) });
        // The root stays open: links are looked up from it.
        if let Some(far) = self.way.len().checked_sub(OPEN_MAX + 1)
            && far > 0
        {
            self.way[far].handle = None;
        }
        Ok(())
    }

    /// Goes up until we stand in `node`.
    pub(super) fn leave_until(&mut self, node: NodeId) -> io::Result<()> {
        self.leave_until_with(node, &mut |_, _| Ok(()))
    }

    /// Goes up until we stand in `node`; `last_look` sees each directory that is left.
    pub(super) fn leave_until_with(
        &mut self,
        node: NodeId,
        last_look: &mut dyn FnMut(&File, NodeId) -> io::Result<()>,
    ) -> io::Result<()> {
        while self.way.last().is_some_and(|level| level.node != node) && self.way.len() > 1 {
            self.leave(last_look)?;
        }
        Ok(())
    }

    /// Goes up to the root; `last_look` sees it as well.
    pub(super) fn leave_all(
        &mut self,
        last_look: &mut dyn FnMut(&File, NodeId) -> io::Result<()>,
    ) -> io::Result<()> {
        while self.way.len() > 1 {
            self.leave(last_look)?;
        }
        last_look(self.here(), Tree::ROOT)
    }

    /// Goes up by one.
    pub(super) fn up(&mut self) -> io::Result<()> {
        self.leave(&mut |_, _| Ok(()))
    }

    fn leave(&mut self, last_look: &mut dyn FnMut(&File, NodeId) -> io::Result<()>) -> io::Result<()> {
        // The way up first: afterwards the directory may have a mode that does not let us through.
        let left = self.way.pop().expect("the root is not left");
        let handle = left.handle.expect("the last level is always open");
        let parent = self.way.last_mut().expect("the root is not left");
        if parent.handle.is_none() {
            let found = open_at(&handle, b"..")?;
            if identity(&found)? != parent.identity {
                return Err(io::Error::other("somebody moved a directory while it was being written"));
            }
            parent.handle = Some(found);
        }
        last_look(&handle, left.node)
    }

    /// Opens the directory at a path from the root, name by name.
    pub(super) fn open_from_root(&self, path: &[u8]) -> io::Result<File> {
        let root = self.way[0].handle.as_ref().expect("the root stays open");
        let mut handle = root.try_clone()?;
        for name in path.split(|&b| b == b'/').filter(|name| !name.is_empty()) {
            handle = open_at(&handle, name)?;
        }
        Ok(handle)
    }
}
