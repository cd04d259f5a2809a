//! Reading an image: strictly, since what overlayfs makes of it decides what a program sees.
//!
//! Whatever another reader might take in two ways is refused: numbers of links that are not those of the names, names
//! out of order, attributes that point outside of the image.

mod bytes;
mod directory;
mod inode;
mod unescape;

use std::collections::BTreeMap;

use tree::{Kind, NodeId, Tree};

use super::format::{
    BLOCK, BLOCK_BITS, DIRENT_SIZE, FEATURES, HAS_ACL, HEADER_MAGIC, HEADER_VERSION, Header, MAGIC, S_IFDIR,
    SLOT, SUPERBLOCK_OFFSET, Superblock, Version,
};
use super::objects::{Files, Objects};
use super::order::is_stub_name;
use super::overlay::{is_stub, is_whiteout};
use crate::parse::file_type_number;
use bytes::Bytes;
use directory::Name;
use inode::Inode;

/// Most bytes that come out of an image together, names, attributes and contents, however often it refers to them: far
/// more than those of the largest images, and no more than a layer's metadata may have.
const OUTPUT_MAX: u64 = 512 << 20;

/// Why bytes are not an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid composefs image: at byte {offset}: {what}")]
pub struct Corrupt {
    /// Where, in bytes from the start of the image.
    pub offset: u64,
    /// What is wrong there.
    pub what: &'static str,
}

/// What an image says.
#[derive(Debug, Clone)]
pub struct Image {
    /// Which format it has.
    pub version: Version,
    /// The tree, as it was before it was written: without stubs, and without what is there for overlayfs.
    pub files: Files,
}

/// Reads an image.
pub fn read(image: &[u8]) -> Result<Image, Corrupt> {
    let bytes = Bytes::new(image);
    let (version, has_acl) = header(bytes)?;
    let superblock: Superblock = bytes.get(SUPERBLOCK_OFFSET)?;
    check_superblock(bytes, &superblock)?;
    let root = u64::from(superblock.root_nid.get());
    let inos = superblock.inos.get();
    let source = inode::Source { bytes, superblock, version };
    let mut reader = Reader {
        source,
        tree: Tree::default(),
        objects: Objects::default(),
        leaves: BTreeMap::new(),
        directories: BTreeMap::new(),
        stubs: 0,
        names: 0,
        output: 0,
        has_acl: false,
    };
    reader.root(root)?;
    reader.check_links()?;
    let found = reader.leaves.len() as u64 + reader.directories.len() as u64;
    if found != inos {
        return Err(Corrupt {
            offset: SUPERBLOCK_OFFSET,
            what: "another number of inodes than the superblock says",
        });
    }
    if reader.has_acl != has_acl && version != Version::V2 {
        return Err(Corrupt { offset: 8, what: "the flag for access control lists is wrong" });
    }
    Ok(Image { version, files: Files { tree: reader.tree, objects: reader.objects } })
}

fn header(bytes: Bytes<'_>) -> Result<(Version, bool), Corrupt> {
    let header: Header = bytes.get(0)?;
    let wrong = |offset, what| Err(Corrupt { offset, what });
    if header.magic.get() != HEADER_MAGIC {
        return wrong(0, "not composefs's magic number");
    }
    if header.version.get() != HEADER_VERSION || header.unused != [0; 16] {
        return wrong(4, "a header of another version");
    }
    if header.flags.get() & !HAS_ACL != 0 {
        return wrong(8, "unknown flags");
    }
    match Version::from_number(header.composefs_version.get()) {
        Some(version) => Ok((version, header.flags.get() & HAS_ACL != 0)),
        None => wrong(12, "unknown version of the format"),
    }
}

fn check_superblock(bytes: Bytes<'_>, superblock: &Superblock) -> Result<(), Corrupt> {
    let checks = [
        (superblock.magic.get() == MAGIC, "not EROFS's magic number"),
        (superblock.blkszbits == BLOCK_BITS, "blocks of other than 4096 bytes"),
        (superblock.feature_compat.get() == FEATURES, "other features than composefs uses"),
        (superblock.feature_incompat.get() == 0, "features that composefs does not use"),
        (superblock.meta_blkaddr.get() == 0, "inodes that do not count from the start"),
        (superblock.build_time_nsec.get() < 1_000_000_000, "more nanoseconds than a second has"),
        (
            u64::from(superblock.blocks.get()) * BLOCK == bytes.length(),
            "another size than the superblock says",
        ),
    ];
    match checks.into_iter().find(|(holds, _)| !holds) {
        Some((_, what)) => Err(Corrupt { offset: SUPERBLOCK_OFFSET, what }),
        None => Ok(()),
    }
}

struct Reader<'a> {
    source: inode::Source<'a>,
    tree: Tree,
    objects: Objects,
    /// What is no directory, by number: its node if the tree has it, its names, and those that it should have.
    leaves: BTreeMap<u64, Leaf>,
    /// Directories that were read, by number.
    directories: BTreeMap<u64, NodeId>,
    /// Stubs in the root.
    stubs: usize,
    names: u64,
    output: u64,
    has_acl: bool,
}

struct Leaf {
    /// `None` for stubs.
    node: Option<NodeId>,
    mode: u16,
    names: u64,
    links: u64,
}

/// A directory that is still to be read.
struct Pending {
    inode: Inode,
    node: NodeId,
    parent: u64,
}

/// What a name that was not met before is of.
enum New {
    /// A directory, which is still to be read.
    Directory(Pending),
    /// A whiteout that was escaped, of which its directory must say that it has some.
    Whiteout,
    Other,
}

impl Reader<'_> {
    fn root(&mut self, nid: u64) -> Result<(), Corrupt> {
        let mut inode = self.inode(nid)?;
        if inode.fields.file_type() != S_IFDIR {
            return Err(inode.corrupt("the root is not a directory"));
        }
        unescape::root(&mut inode, self.source.version)?;
        self.directories.insert(nid, Tree::ROOT);
        let mut pending = vec![Pending { inode, node: Tree::ROOT, parent: nid }];
        while let Some(next) = pending.pop() {
            self.directory(next, &mut pending)?;
        }
        if self.source.version != Version::V2 && self.stubs != 256 {
            return Err(Corrupt {
                offset: nid * SLOT,
                what: "the root does not hide all directories of objects",
            });
        }
        Ok(())
    }

    fn inode(&mut self, nid: u64) -> Result<Inode, Corrupt> {
        let inode = self.source.inode(nid)?;
        self.has_acl |= inode.has_acl;
        self.output += inode.output();
        if self.output > OUTPUT_MAX {
            return Err(inode.corrupt("more attributes and contents than an image may have"));
        }
        Ok(inode)
    }

    fn directory(&mut self, mut here: Pending, pending: &mut Vec<Pending>) -> Result<(), Corrupt> {
        // The metadata first, since stubs are known by the root's.
        self.tree.node_mut(here.node).metadata = here.inode.metadata();
        let (mut subdirectories, mut dots, mut has_whiteouts) = (0, [false; 2], false);
        for name in directory::names(&self.source, &here.inode)? {
            self.names += 1;
            // Each takes bytes of its own, unless directories share blocks.
            if self.names > self.source.bytes.length() / DIRENT_SIZE as u64 {
                return Err(here.inode.corrupt("more names than the image has room for"));
            }
            if let b"." | b".." = name.bytes {
                let is_parent = name.bytes == b"..";
                let nid = if is_parent { here.parent } else { here.inode.nid };
                if name.nid != nid || name.file_type != file_type_number(S_IFDIR) {
                    return Err(name.corrupt("`.` or `..` leads elsewhere"));
                }
                dots[usize::from(is_parent)] = true;
                continue;
            }
            // Whatever has the name: the directory of objects is hidden.
            self.stubs += usize::from(here.node == Tree::ROOT && is_stub_name(name.bytes));
            if self.leaves.contains_key(&name.nid) {
                self.second_name(&here, name)?;
                continue;
            }
            match self.first_name(&here, name)? {
                New::Directory(directory) => {
                    subdirectories += 1;
                    pending.push(directory);
                }
                New::Whiteout => has_whiteouts = true,
                New::Other => {}
            }
        }
        if dots != [true; 2] {
            return Err(here.inode.corrupt("a directory without `.` or `..`"));
        }
        if here.inode.fields.links != 2 + subdirectories {
            return Err(here.inode.corrupt("another number of links than of directories"));
        }
        if has_whiteouts {
            unescape::directory(&mut here.inode, self.source.version)?;
            self.tree.node_mut(here.node).metadata = here.inode.metadata();
        }
        Ok(())
    }

    /// One more name for something that is no directory.
    fn second_name(&mut self, here: &Pending, name: Name<'_>) -> Result<(), Corrupt> {
        let Some(leaf) = self.leaves.get_mut(&name.nid) else { return Ok(()) };
        leaf.names += 1;
        if file_type_number(leaf.mode) != name.file_type {
            return Err(name.corrupt("a name has another type than its inode"));
        }
        let Some(node) = leaf.node else { return Err(name.corrupt("a second name for a stub")) };
        if is_whiteout(&self.tree.node(node).kind) {
            return Err(name.corrupt("a second name for a whiteout"));
        }
        let grown = self.tree.grow_name(here.node, name.bytes, node);
        grown.map_err(|_| name.corrupt("not a file's name"))
    }

    fn first_name(&mut self, here: &Pending, name: Name<'_>) -> Result<New, Corrupt> {
        let mut inode = self.inode(name.nid)?;
        if file_type_number(inode.fields.mode) != name.file_type {
            return Err(name.corrupt("a name has another type than its inode"));
        }
        let found = unescape::leaf(&mut inode, self.source.version)?;
        let (metadata, kind) = (inode.metadata(), inode.kind(found.whiteout));
        let mut leaf =
            Leaf { node: None, mode: inode.fields.mode, names: 1, links: inode.fields.links.into() };
        if is_whiteout(&kind) && !found.whiteout && self.source.version != Version::V2 {
            if here.node != Tree::ROOT || !is_stub(&self.tree, name.bytes, &metadata) {
                return Err(name.corrupt("a whiteout that is neither escaped nor a stub"));
            }
            self.leaves.insert(inode.nid, leaf);
            return Ok(New::Other);
        }
        let is_directory = matches!(kind, Kind::Directory(_));
        let grown = self.tree.grow(here.node, name.bytes, metadata, kind);
        let node = grown.map_err(|_| name.corrupt("not a file's name"))?;
        if let Some(object) = found.object {
            self.objects.set(node, object);
        }
        if is_directory {
            if self.directories.insert(inode.nid, node).is_some() {
                return Err(name.corrupt("a second name for a directory"));
            }
            return Ok(New::Directory(Pending { inode, node, parent: here.inode.nid }));
        }
        leaf.node = Some(node);
        self.leaves.insert(inode.nid, leaf);
        Ok(if found.whiteout { New::Whiteout } else { New::Other })
    }

    fn check_links(&self) -> Result<(), Corrupt> {
        match self.leaves.iter().find(|(_, leaf)| leaf.names != leaf.links) {
            Some((nid, _)) => {
                Err(Corrupt { offset: nid * SLOT, what: "another number of links than of names" })
            }
            None => Ok(()),
        }
    }
}
