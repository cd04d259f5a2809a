//! The tree itself: nodes, and directories that name them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Content;

/// A point in time: seconds since 1970 (negative before it) and nanoseconds after that second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Time {
    /// Whole seconds, rounded down.
    pub seconds: i64,
    /// 0 to 999,999,999.
    pub nanoseconds: u32,
}

/// Extended attributes by full name (`security.capability`), sorted. Values are as `getxattr` gives them.
pub type Xattrs = BTreeMap<Box<[u8]>, Box<[u8]>>;

/// What every node has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Permission bits with setuid, setgid and sticky; at most 0o7777.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last modification.
    pub mtime: Time,
    /// Extended attributes; boxed, since few nodes have any.
    pub xattrs: Option<Box<Xattrs>>,
}

impl Metadata {
    /// What a directory gets that no layer describes: 0755, owned by root, at the epoch.
    pub fn implicit() -> Metadata {
        Metadata { mode: 0o755, uid: 0, gid: 0, mtime: Time::default(), xattrs: None }
    }

    /// The extended attributes in order of their names.
    pub fn xattrs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.xattrs.iter().flat_map(|map| map.iter().map(|(name, value)| (&**name, &**value)))
    }
}

/// A device's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

impl Device {
    /// The number that stands for nothing; a character device with it is overlayfs's whiteout.
    pub const NONE: Device = Device { major: 0, minor: 0 };

    /// Both numbers in one, as C libraries give them in `st_rdev` (`makedev`).
    pub fn joined(self) -> u64 {
        let (major, minor) = (u64::from(self.major), u64::from(self.minor));
        (major & 0xffff_f000) << 32 | (major & 0xfff) << 8 | (minor & 0xffff_ff00) << 12 | minor & 0xff
    }

    /// Takes apart what [`Device::joined`] gives.
    pub fn split(joined: u64) -> Device {
        Device {
            major: ((joined >> 32) & 0xffff_f000 | (joined >> 8) & 0xfff) as u32,
            minor: ((joined >> 12) & 0xffff_ff00 | joined & 0xff) as u32,
        }
    }
}

/// A directory's entries by name, in the order of their bytes.
pub type Directory = BTreeMap<Box<[u8]>, NodeId>;

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A directory and its entries. Serialised without them: in a [`Change`](crate::Change) it has none.
    Directory(#[serde(skip)] Directory),
    /// A regular file.
    File(Content),
    /// A symbolic link: its text, verbatim, 1 to 4095 bytes.
    Symlink(#[serde(with = "serde_bytes")] Box<[u8]>),
    /// A character device.
    CharDevice(Device),
    /// A block device.
    BlockDevice(Device),
    /// A named pipe.
    Fifo,
    /// A socket's name.
    Socket,
}

/// One file, directory or other thing. A hard link is a second name for the same node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Owner, mode, time, attributes.
    pub metadata: Metadata,
    /// What it is.
    pub kind: Kind,
    /// How many names it has in the tree; 1 for a directory, the root included, whatever lies in it.
    pub names: u32,
}

/// Names a node of one [`Tree`], until the next layer is applied to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(crate) u32);

/// A merged filesystem tree.
#[derive(Debug, Clone)]
pub struct Tree {
    pub(crate) nodes: Vec<Node>,
    /// How many nodes there were when those without a name were last dropped.
    pub(crate) swept: usize,
}

impl Default for Tree {
    /// Only a root: 0755, 0:0, at the epoch.
    fn default() -> Tree {
        let root = Node { metadata: Metadata::implicit(), kind: Kind::Directory(Directory::new()), names: 1 };
        Tree { nodes: vec![root], swept: 1 }
    }
}

impl Tree {
    /// The root directory.
    pub const ROOT: NodeId = NodeId(0);

    /// The node that `id` names.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// The node that `id` names, to change. Directories' entries must not be changed this way, since names
    /// are counted.
    pub fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id.0 as usize]
    }

    /// The entries of a directory; `None` where `id` is something else.
    pub fn entries(&self, id: NodeId) -> Option<&Directory> {
        match &self.node(id).kind {
            Kind::Directory(entries) => Some(entries),
            _ => None,
        }
    }

    /// One more than the highest node number: the length for a table indexed by [`NodeId::index`].
    pub fn table_length(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn add(&mut self, metadata: Metadata, kind: Kind) -> NodeId {
        let id = NodeId(u32::try_from(self.nodes.len()).expect("entries are capped far below 2^32"));
        self.nodes.push(Node { metadata, kind, names: 0 });
        id
    }
}

impl NodeId {
    /// A number below [`Tree::table_length`], for tables beside the tree.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}
