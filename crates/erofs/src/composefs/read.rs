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
    BLOCK, BLOCK_BITS, FEATURES, HAS_ACL, HEADER_MAGIC, HEADER_VERSION, Header, MAGIC, S_IFDIR, SLOT,
    SUPERBLOCK_OFFSET, Superblock, Version,
};
use super::objects::{Files, Objects};
use bytes::Bytes;
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

impl Reader<'_> {
    fn root(&mut self, nid: u64) -> Result<(), Corrupt> {
        let mut inode = self.inode(nid)?;
        if inode.file_type() != S_IFDIR {
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
        let names = directory::names(&self.source, &here.inode)?;
        let (mut subdirectories, mut dots, mut has_whiteouts) = (0, [false; 2], false);
        let is_root = here.node == Tree::ROOT;
        // The metadata first, since stubs are known by the root's.
        let links = here.inode.links;
        let metadata = here.inode.metadata();
        self.tree.node_mut(here.node).metadata = metadata;
        for name in names {
            self.names += 1;
            // Each takes bytes of its own, unless directories share blocks.
            if self.names > self.source.bytes.length() / 12 {
                return Err(here.inode.corrupt("more names than the image has room for"));
            }
            let wrong = |what| Err(Corrupt { offset: name.offset, what });
            match name.bytes {
                b"." | b".." => {
                    let is_parent = name.bytes == b"..";
                    let nid = if is_parent { here.parent } else { here.inode.nid };
                    if name.nid != nid || name.file_type != 2 {
                        return wrong("`.` or `..` leads elsewhere");
                    }
                    dots[usize::from(is_parent)] = true;
                    continue;
                }
                _ => {}
            }
            // Whatever has the name: the directory of objects is hidden.
            self.stubs += usize::from(is_root && super::order::is_stub_name(name.bytes));
            if let Some(leaf) = self.leaves.get_mut(&name.nid) {
                leaf.names += 1;
                let (node, mode) = (leaf.node, leaf.mode);
                if super::write::file_type(mode) != name.file_type {
                    return wrong("a name has another type than its inode");
                }
                let Some(node) = node else { return wrong("a second name for a stub") };
                if matches!(self.tree.node(node).kind, Kind::CharDevice(tree::Device::NONE)) {
                    return wrong("a second name for a whiteout");
                }
                self.tree.grow_name(here.node, name.bytes, node).or(wrong("not a file's name"))?;
                continue;
            }
            let mut inode = self.inode(name.nid)?;
            if super::write::file_type(inode.mode) != name.file_type {
                return wrong("a name has another type than its inode");
            }
            let file_type = inode.file_type();
            let found = unescape::leaf(&mut inode, self.source.version)?;
            has_whiteouts |= found.whiteout;
            let (nid, links, mode) = (inode.nid, u64::from(inode.links), inode.mode);
            let metadata = inode.metadata();
            let kind = inode.kind(found.whiteout);
            let is_stub = is_root && self.source.version != Version::V2 && {
                super::order::is_stub_name(name.bytes)
                    && super::overlay::is_whiteout(&kind)
                    && !found.whiteout
            };
            if is_stub {
                if !super::overlay::is_stub(&self.tree, name.bytes, &metadata) {
                    return wrong("a stub with other metadata than the root's");
                }
                self.leaves.insert(nid, Leaf { node: None, mode, names: 1, links });
                continue;
            }
            if self.source.version != Version::V2 && super::overlay::is_whiteout(&kind) && !found.whiteout {
                return wrong("a whiteout that is not escaped");
            }
            let grown = self.tree.grow(here.node, name.bytes, metadata, kind);
            let Ok(node) = grown else { return wrong("not a file's name") };
            if let Some(object) = found.object {
                self.objects.set(node, object);
            }
            if file_type == S_IFDIR {
                subdirectories += 1;
                if self.directories.insert(nid, node).is_some() {
                    return wrong("a second name for a directory");
                }
                pending.push(Pending { inode, node, parent: here.inode.nid });
            } else {
                self.leaves.insert(nid, Leaf { node: Some(node), mode, names: 1, links });
            }
        }
        if dots != [true; 2] {
            return Err(here.inode.corrupt("a directory without `.` or `..`"));
        }
        if links != 2 + subdirectories {
            return Err(here.inode.corrupt("another number of links than of directories"));
        }
        if has_whiteouts {
            unescape::directory(&mut here.inode, self.source.version)?;
            let metadata = here.inode.metadata();
            self.tree.node_mut(here.node).metadata = metadata;
        }
        Ok(())
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
