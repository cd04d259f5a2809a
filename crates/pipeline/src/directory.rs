//! A tree as a plain directory of the host.
//!
//! Everything is made beneath one directory handle, a name at a time and never through a symlink, in a
//! directory that only this user can enter until it is finished. Two passes: the first makes everything, the
//! second gives the directories their owners, modes and times, since a mode such as 0555 would keep an
//! unprivileged user from filling them.

mod descent;
mod metadata;
mod remove;
mod shortfall;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags};
use tree::{Device, Kind, NodeId, Tree, Visit};

use crate::event::Report;
use crate::output;
use crate::publish;
use crate::scratch;
use crate::spool::Spool;
use descent::Descent;
pub(crate) use metadata::describe;
pub(crate) use remove::remove;
pub use shortfall::{Error, Unkept};

/// A directory that is being made and does not have its name yet.
pub struct Unpublished {
    path: PathBuf,
    beside: scratch::Registered,
    /// The directory, held.
    _held: File,
    /// What this user or this filesystem could not hold.
    pub unkept: Unkept,
}

/// Refuses a place for the output before any work is done: only a name that is free, or an empty directory.
pub fn check_free(path: &Path) -> io::Result<()> {
    match fs::read_dir(path) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(io::Error::new(ErrorKind::DirectoryNotEmpty, "the directory is not empty")),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

impl Unpublished {
    /// Makes the whole tree in a directory beside `path`.
    pub fn write(tree: &Tree, spool: &Spool, path: &Path, report: Report<'_>) -> Result<Unpublished, Error> {
        let outside = |cause| Error { path: Box::default(), cause };
        check_free(path).map_err(outside)?;
        let path: PathBuf = path.components().collect();
        scratch::remove_leftovers(&path);
        let beside = scratch::Registered::beside(&path);
        fs::DirBuilder::new().mode(0o700).create(beside.path()).map_err(outside)?;
        let root = descent::open(beside.path()).map_err(outside)?;
        scratch::hold(&root);
        let held = root.try_clone().map_err(outside)?;
        let mut unpublished = Unpublished { path, beside, _held: held, unkept: Unkept::default() };

        let mut maker =
            Maker { tree, spool, report, unkept: Unkept::default(), first_names: BTreeMap::new() };
        maker.make_all(Descent::new(root.try_clone().map_err(outside)?))?;
        maker.finish_directories(Descent::new(root))?;
        unpublished.unkept = maker.unkept;
        Ok(unpublished)
    }

    /// Makes everything durable and lets the name mean it.
    pub fn publish(self) -> io::Result<()> {
        let directory = File::open(publish::directory_of(&self.path))?;
        // One call for the whole filesystem is much cheaper than one for each of 100,000 files.
        host::sync_filesystem(&directory)?;
        fs::rename(self.beside.path(), &self.path)?;
        self.beside.keep();
        publish::sync_directory(&self.path)
    }
}

struct Maker<'a> {
    tree: &'a Tree,
    spool: &'a Spool,
    report: Report<'a>,
    unkept: Unkept,
    /// Where the nodes with several names got their first.
    first_names: BTreeMap<NodeId, Box<[u8]>>,
}

impl Maker<'_> {
    fn make_all(&mut self, mut descent: Descent) -> Result<(), Error> {
        let mut walk = self.tree.walk();
        while let Some(visit) = walk.step() {
            self.step(&mut descent, &visit).map_err(|cause| Error { path: visit.path.into(), cause })?;
        }
        Ok(())
    }

    fn step(&mut self, descent: &mut Descent, visit: &Visit<'_>) -> io::Result<()> {
        if visit.node == Tree::ROOT {
            return Ok(());
        }
        descent.leave_until(visit.parent)?;
        let node = self.tree.node(visit.node);
        if node.names > 1 && !matches!(node.kind, Kind::Directory(_)) {
            if let Some(first) = self.first_names.get(&visit.node) {
                return self.link(descent, first, visit.name);
            }
            self.first_names.insert(visit.node, visit.path.into());
        }
        let here = descent.here();
        match &node.kind {
            Kind::Directory(_) => {
                rustix::fs::mkdirat(here, visit.name, Mode::RWXU)?;
                descent.enter(visit.node, visit.name)
            }
            Kind::File(content) => {
                let file = metadata::create(here, visit.name)?;
                output::fill(&file, content, self.spool)?;
                (self.report)(crate::Event::Write { done: content.data_length(), total: 0 });
                describe(&file, node, &mut self.unkept)
            }
            Kind::Symlink(text) => {
                rustix::fs::symlinkat(&**text, here, visit.name)?;
                metadata::describe_name(here, visit.name, node, &mut self.unkept)
            }
            Kind::Fifo | Kind::Socket | Kind::CharDevice(_) | Kind::BlockDevice(_) => {
                if metadata::make_special(here, visit.name, &node.kind)? {
                    return metadata::describe_name(here, visit.name, node, &mut self.unkept);
                }
                // A file in its place that says what should be there.
                self.unkept.devices += 1;
                let file = metadata::create(here, visit.name)?;
                describe(&file, node, &mut self.unkept)
            }
        }
    }

    fn link(&self, descent: &Descent, first: &[u8], name: &[u8]) -> io::Result<()> {
        let (parent, old) = match first.iter().rposition(|&b| b == b'/') {
            Some(slash) => (descent.open_from_root(&first[..slash])?, &first[slash + 1..]),
            None => (descent.open_from_root(b"")?, first),
        };
        Ok(rustix::fs::linkat(&parent, old, descent.here(), name, AtFlags::empty())?)
    }

    /// Gives the directories what they were to have, the deepest first.
    fn finish_directories(&mut self, mut descent: Descent) -> Result<(), Error> {
        let mut walk = self.tree.walk();
        let mut last: Box<[u8]> = Box::default();
        let unkept = &mut self.unkept;
        let tree = self.tree;
        let mut finish = |handle: &File, node: NodeId| describe(handle, tree.node(node), unkept);
        let done = loop {
            let Some(visit) = walk.step() else {
                break descent.leave_all(&mut finish);
            };
            if visit.node == Tree::ROOT || tree.entries(visit.node).is_none() {
                continue;
            }
            last = visit.path.into();
            let entered = descent
                .leave_until_with(visit.parent, &mut finish)
                .and_then(|()| descent.enter(visit.node, visit.name));
            if entered.is_err() {
                break entered;
            }
        };
        done.map_err(|cause| Error { path: last, cause })
    }
}

/// What a device, fifo or socket is called in `user.containers.override_stat`.
fn special_type(kind: &Kind) -> Option<String> {
    let numbers = |word: &str, Device { major, minor }: &Device| format!("{word}-{major}-{minor}");
    Some(match kind {
        Kind::CharDevice(device) => numbers("char", device),
        Kind::BlockDevice(device) => numbers("block", device),
        Kind::Fifo => "pipe".into(),
        Kind::Socket => "socket".into(),
        Kind::Directory(_) => "dir".into(),
        Kind::File(_) => "file".into(),
        Kind::Symlink(_) => return None,
    })
}

/// How files are opened here: for writing, new, never through a link.
const NEW_FILE: OFlags =
    OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
