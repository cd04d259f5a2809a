//! The inodes of an image, before any has a place.

use tree::{Content, Kind, Metadata, NodeId, Time, Tree, Visit};

use super::error::Error;
use super::format::{
    BLOCK, BLOCK_BITS, CHUNK_BLOCKS_BITS_MAX, DIRENT_SIZE, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK,
    S_IFREG, S_IFSOCK, TAIL_MAX, Version,
};
use super::objects::Objects;
use super::order::{Order, Origin};
use super::overlay::{self, Outside, Role};
use super::plan::{IMAGE_CONTENT_MAX, LINK_TEXT_MAX, OBJECT_SIZE_MAX};
use super::xattrs::Xattr;

/// An inode.
#[derive(Debug)]
pub(super) struct Inode<'a> {
    /// Type and permissions.
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: Time,
    pub(super) links: u32,
    pub(super) data: Data<'a>,
}

/// What an inode holds.
#[derive(Debug)]
pub(super) enum Data<'a> {
    /// Nothing: pipes, sockets, empty files.
    None,
    /// A device's number.
    Device(u32),
    Directory(Directory<'a>),
    /// A file's bytes.
    Bytes(&'a [u8]),
    /// A symlink's text.
    Text(&'a [u8]),
    /// A file of this size, whose bytes are not here.
    Outside(u64),
}

/// A directory's names in blocks.
#[derive(Debug)]
pub(super) struct Directory<'a> {
    pub(super) blocks: Vec<Vec<Entry<'a>>>,
    /// Those behind the inode.
    pub(super) tail: Vec<Entry<'a>>,
}

/// A name in a directory.
#[derive(Debug, Clone)]
pub(super) struct Entry<'a> {
    pub(super) name: &'a [u8],
    /// The inode's place.
    pub(super) place: u32,
}

impl Entry<'_> {
    fn length(&self) -> u64 {
        (DIRENT_SIZE + self.name.len()) as u64
    }
}

/// Bytes of names that are in one block.
fn length(entries: &[Entry<'_>]) -> u64 {
    entries.iter().map(Entry::length).sum()
}

impl<'a> Directory<'a> {
    /// Fills blocks with sorted names.
    fn new(entries: Vec<Entry<'a>>) -> Directory<'a> {
        let (mut blocks, mut tail, mut used) = (Vec::new(), Vec::new(), 0);
        for entry in entries {
            used += entry.length();
            if used > BLOCK {
                used = entry.length();
                blocks.push(std::mem::take(&mut tail));
            }
            tail.push(entry);
        }
        if used > TAIL_MAX {
            blocks.push(std::mem::take(&mut tail));
        }
        Directory { blocks, tail }
    }
}

/// How much of an inode's data lies behind it, and how many blocks it has elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) size: u64,
    pub(super) blocks: u64,
    pub(super) tail: u64,
}

/// Two to the power of so many blocks are a chunk of a file of `size` bytes whose bytes lie outside.
pub(super) fn chunk_blocks_bits(size: u64, version: Version) -> u8 {
    match version {
        // One chunk, as large as can be.
        Version::V2 => CHUNK_BLOCKS_BITS_MAX,
        Version::V0 | Version::V1 => {
            let bits = size.max(2).next_power_of_two().trailing_zeros() as u8;
            bits.saturating_sub(BLOCK_BITS).min(CHUNK_BLOCKS_BITS_MAX)
        }
    }
}

impl Data<'_> {
    /// How it is divided as long as nothing else makes it move.
    pub(super) fn extent(&self, version: Version) -> Extent {
        match self {
            Data::None | Data::Device(_) => Extent { size: 0, blocks: 0, tail: 0 },
            Data::Directory(directory) => {
                let (blocks, tail) = (directory.blocks.len() as u64, length(&directory.tail));
                Extent { size: blocks * BLOCK + tail, blocks, tail }
            }
            Data::Text(text) => Extent { size: text.len() as u64, blocks: 0, tail: text.len() as u64 },
            Data::Bytes(bytes) => {
                let size = bytes.len() as u64;
                let tail = size % BLOCK;
                match version == Version::V2 || tail <= TAIL_MAX {
                    true => Extent { size, blocks: size / BLOCK, tail },
                    false => Extent { size, blocks: size / BLOCK + 1, tail: 0 },
                }
            }
            Data::Outside(size) => {
                let chunk = 1u64 << (chunk_blocks_bits(*size, version) + BLOCK_BITS);
                Extent { size: *size, blocks: 0, tail: 4 * size.div_ceil(chunk) }
            }
        }
    }
}

/// Inodes with the attributes of each, in the order of the image.
pub(super) type Collected<'a> = (Vec<Inode<'a>>, Vec<Vec<Xattr<'a>>>);

/// Makes the inodes of a tree.
pub(super) fn collect<'a>(
    tree: &'a Tree,
    objects: &Objects,
    order: &Order,
    version: Version,
) -> Result<Collected<'a>, Error> {
    let about = look(tree, objects, order, version)?;
    let (mut inodes, mut xattrs) = (Vec::new(), Vec::new());
    for (origin, about) in order.origins.iter().zip(&about) {
        match *origin {
            Origin::Node(node) => {
                inodes.push(inode(tree, node, about, order));
                xattrs.push(overlay::xattrs(tree, node, about.role, version));
            }
            Origin::Stub => {
                let root = &tree.node(Tree::ROOT).metadata;
                inodes.push(Inode { links: 1, data: Data::Device(0), ..of(root, S_IFCHR | 0o644) });
                xattrs.push(overlay::stub_xattrs(tree, version));
            }
        }
    }
    Ok((inodes, xattrs))
}

/// What is known of an inode only from where its names are.
#[derive(Debug, Clone, Copy)]
struct About {
    parent: NodeId,
    role: Role,
}

/// Looks at every name, refuses what an image cannot hold, and finds whiteouts and objects.
fn look(tree: &Tree, objects: &Objects, order: &Order, version: Version) -> Result<Vec<About>, Error> {
    let mut about = vec![About { parent: Tree::ROOT, role: Role::default() }; order.origins.len()];
    let mut walk = tree.walk();
    while let Some(visit) = walk.step() {
        let node = tree.node(visit.node);
        let limit = |what, value, max| Error::Limit { path: visit.path.into(), what, value, max };
        let invalid = |what| Error::Invalid { path: visit.path.into(), what };
        let is_stub = |visit: &Visit<'_>| {
            visit.parent == Tree::ROOT && overlay::is_stub(tree, visit.name, &node.metadata)
        };
        let place = order.place(visit.node) as usize;
        about[place].parent = visit.parent;
        match &node.kind {
            Kind::Symlink(text) if text.is_empty() => return Err(invalid("symlink without a text")),
            Kind::Symlink(text) if text.len() > LINK_TEXT_MAX => {
                return Err(limit("a symlink's text in bytes", text.len() as u64, LINK_TEXT_MAX as u64));
            }
            Kind::CharDevice(device) | Kind::BlockDevice(device)
                if u32::try_from(device.joined()).is_err() =>
            {
                return Err(limit("a device's number", device.joined(), u32::MAX.into()));
            }
            Kind::File(Content::Inline(bytes)) if bytes.len() > IMAGE_CONTENT_MAX => {
                return Err(limit(
                    "content of a file in the image",
                    bytes.len() as u64,
                    IMAGE_CONTENT_MAX as u64,
                ));
            }
            Kind::File(Content::Inline(bytes)) if version == Version::V2 && bytes.len() as u64 > TAIL_MAX => {
                return Err(limit(
                    "content of a file in an image of version 2",
                    bytes.len() as u64,
                    TAIL_MAX,
                ));
            }
            Kind::File(Content::Empty | Content::Inline(_)) if objects.get(visit.node).is_some() => {
                return Err(invalid("an object where the content is in the image"));
            }
            Kind::File(Content::Empty | Content::Inline(_)) => {}
            Kind::File(content) => {
                if content.size() > OBJECT_SIZE_MAX {
                    return Err(limit("a file's size", content.size(), OBJECT_SIZE_MAX));
                }
                about[place].role.outside = objects.get(visit.node).map_or(Outside::Holes, Outside::Object);
            }
            kind if overlay::is_whiteout(kind) && node.names > 1 => {
                return Err(invalid("a whiteout (character device 0,0) with more than one name"));
            }
            kind if overlay::is_whiteout(kind) && version != Version::V2 && !is_stub(&visit) => {
                about[place].role.whiteout = true;
                about[order.place(visit.parent) as usize].role.has_whiteouts = true;
            }
            _ => {}
        }
    }
    Ok(about)
}

/// An inode with a node's metadata.
fn of(metadata: &Metadata, mode: u16) -> Inode<'static> {
    let Metadata { uid, gid, mtime, .. } = *metadata;
    Inode { mode, uid, gid, mtime, links: 0, data: Data::None }
}

fn inode<'a>(tree: &'a Tree, id: NodeId, about: &About, order: &Order) -> Inode<'a> {
    let node = tree.node(id);
    let (file_type, data) = match &node.kind {
        Kind::Directory(_) => (S_IFDIR, Data::Directory(directory(tree, id, about.parent, order))),
        Kind::File(Content::Empty) => (S_IFREG, Data::None),
        Kind::File(Content::Inline(bytes)) if bytes.is_empty() => (S_IFREG, Data::None),
        Kind::File(Content::Inline(bytes)) => (S_IFREG, Data::Bytes(bytes)),
        Kind::File(content) if content.size() == 0 => (S_IFREG, Data::None),
        Kind::File(content) => (S_IFREG, Data::Outside(content.size())),
        Kind::Symlink(text) => (S_IFLNK, Data::Text(text)),
        _ if about.role.whiteout => (S_IFREG, Data::None),
        // That it has 32 bits was looked at.
        Kind::CharDevice(device) => (S_IFCHR, Data::Device(device.joined() as u32)),
        Kind::BlockDevice(device) => (S_IFBLK, Data::Device(device.joined() as u32)),
        Kind::Fifo => (S_IFIFO, Data::None),
        Kind::Socket => (S_IFSOCK, Data::None),
    };
    let links = match tree.entries(id) {
        Some(entries) => 2 + entries.values().filter(|entry| tree.entries(**entry).is_some()).count() as u32,
        None => node.names,
    };
    Inode { links, data, ..of(&node.metadata, file_type | node.metadata.mode) }
}

fn directory<'a>(tree: &'a Tree, id: NodeId, parent: NodeId, order: &Order) -> Directory<'a> {
    let own = tree.entries(id).into_iter().flatten();
    let mut entries: Vec<Entry<'a>> =
        own.map(|(name, &node)| Entry { name, place: order.place(node) }).collect();
    entries.push(Entry { name: b".", place: order.place(id) });
    entries.push(Entry { name: b"..", place: order.place(parent) });
    if id == Tree::ROOT {
        entries.extend(order.stubs.iter().map(|&(name, place)| Entry { name, place }));
    }
    entries.sort_unstable_by_key(|entry| entry.name);
    Directory::new(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks() {
        for (size, bits) in [
            (1, 0),
            (4096, 0),
            (4097, 1),
            (8192, 1),
            (8193, 2),
            (1 << 43, 31),
            ((1 << 43) + 1, 31),
            (1 << 45, 31),
        ] {
            assert_eq!(chunk_blocks_bits(size, Version::V1), bits, "{size}");
        }
        assert_eq!(Data::Outside((1 << 43) + 1).extent(Version::V1).tail, 8);
        assert_eq!(Data::Outside(1 << 20).extent(Version::V2).tail, 4);
    }
}
