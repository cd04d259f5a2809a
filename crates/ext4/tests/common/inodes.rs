//! What no other reader here shows: link counts and extended attributes, straight from the inodes. `fuzz` looks
//! through these eyes, too.
//!
//! Written after the kernel's documentation (`filesystems/ext4`), and without a line of the writer's. Inodes are not
//! looked up by name, which others do: what all of them have together is what all nodes of the tree have.

use std::collections::BTreeMap;

use tree::{Kind, Node, Tree};

/// An attribute's name: the number that ext4 has for its prefix, and the rest.
type Name = (u8, Vec<u8>);

/// A value, or its length if it lies in an inode of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Bytes(Vec<u8>),
    Elsewhere(usize),
}

/// Mode with the type, owner, group, link count, attributes.
type Inode = (u16, u32, u32, u32, BTreeMap<Name, Value>);

const ROOT: u64 = 2;
const LOST_AND_FOUND: u64 = 11;
/// A value that lies in an inode of its own has this one (`EXT4_EA_INODE_FL`).
const VALUE_INODE: u32 = 0x20_0000;
/// The inodes of a group were never written (`EXT4_BG_INODE_UNINIT`).
const UNWRITTEN: u16 = 1;
const XATTR_MAGIC: u32 = 0xea02_0000;
/// Access control lists, which the disk spells in another way than the tree.
const ACLS: [u8; 2] = [2, 3];

/// Checks the inodes of a filesystem of which `read` fills a buffer from an offset on.
pub(crate) fn compare(tree: &Tree, read: &dyn Fn(u64, &mut [u8])) {
    // The filesystem gets one if the tree has nothing of that name.
    let added = tree.entries(Tree::ROOT).is_some_and(|root| !root.contains_key(&b"lost+found"[..]));
    let mut found = Disk::new(read).inodes(if added { LOST_AND_FOUND } else { LOST_AND_FOUND - 1 });
    // Those of which more is known choose first.
    let elsewhere =
        |inode: &Inode| inode.4.values().filter(|value| matches!(value, Value::Elsewhere(_))).count();
    found.sort_by_key(elsewhere);
    let mut seen = vec![false; tree.table_length()];
    // By all that is the same wherever values lie, which is the writer's choice.
    let mut expected: BTreeMap<_, Vec<Inode>> = BTreeMap::new();
    let mut count = 0;
    let mut walk = tree.walk();
    while let Some(visit) = walk.step() {
        if !std::mem::replace(&mut seen[visit.node.index()], true) {
            let inode = expected_inode(tree, tree.node(visit.node), added && visit.path.is_empty());
            expected.entry(outline(&inode)).or_default().push(inode);
            count += 1;
        }
    }
    assert_eq!(found.len(), count, "inodes");
    for found in found {
        let alike = expected.entry(outline(&found)).or_default();
        match alike.iter().position(|expected| agree(&found, expected)) {
            Some(place) => alike.swap_remove(place),
            None => panic!("{found:?} is none of {alike:?}"),
        };
    }
}

/// An inode with the lengths of its attributes' values.
fn outline(inode: &Inode) -> (u16, u32, u32, u32, BTreeMap<Name, usize>) {
    let (mode, uid, gid, links, xattrs) = inode;
    let length = |value: &Value| match value {
        Value::Bytes(bytes) => bytes.len(),
        Value::Elsewhere(length) => *length,
    };
    (*mode, *uid, *gid, *links, xattrs.iter().map(|(name, value)| (name.clone(), length(value))).collect())
}

/// Whether the values of two inodes with the same outline are the same, as far as they are known.
fn agree(found: &Inode, expected: &Inode) -> bool {
    let is_same =
        |(found, expected): (&Value, &Value)| matches!(found, Value::Elsewhere(_)) || found == expected;
    found.4.values().zip(expected.4.values()).all(is_same)
}

fn expected_inode(tree: &Tree, node: &Node, has_another: bool) -> Inode {
    let metadata = &node.metadata;
    let (file_type, links) = match &node.kind {
        Kind::Directory(entries) => {
            let below = entries.values().filter(|&&node| tree.entries(node).is_some()).count();
            let links = 2 + below + usize::from(has_another);
            // "More than 64,998 subdirectories" are counted as none (`dir_nlink`).
            (0o040_000, if links >= 65_000 { 1 } else { links as u32 })
        }
        Kind::File(_) => (0o100_000, node.names),
        Kind::Symlink(_) => (0o120_000, node.names),
        Kind::CharDevice(_) => (0o020_000, node.names),
        Kind::BlockDevice(_) => (0o060_000, node.names),
        Kind::Fifo => (0o010_000, node.names),
        Kind::Socket => (0o140_000, node.names),
    };
    let mut xattrs = BTreeMap::new();
    for (name, value) in metadata.xattrs() {
        for (prefix, index) in [(&b"user."[..], 1), (b"trusted.", 4), (b"security.", 6)] {
            if let Some(rest) = name.strip_prefix(prefix).filter(|rest| !rest.is_empty()) {
                xattrs.insert((index, rest.to_vec()), Value::Bytes(value.to_vec()));
            }
        }
    }
    (file_type | metadata.mode, metadata.uid, metadata.gid, links, xattrs)
}

struct Disk<'a> {
    read: &'a dyn Fn(u64, &mut [u8]),
    superblock: Vec<u8>,
    block_size: u64,
}

impl<'a> Disk<'a> {
    fn new(read: &'a dyn Fn(u64, &mut [u8])) -> Disk<'a> {
        let mut superblock = vec![0; 1024];
        read(1024, &mut superblock);
        let block_size = 1024 << u32_at(&superblock, 24);
        Disk { read, superblock, block_size }
    }

    fn bytes(&self, offset: u64, length: u64) -> Vec<u8> {
        let mut bytes = vec![0; length as usize];
        (self.read)(offset, &mut bytes);
        bytes
    }

    /// All inodes in use but those up to `reserved`, the root excepted, and those of values.
    fn inodes(&self, reserved: u64) -> Vec<Inode> {
        let superblock = &self.superblock;
        let (count, in_group) = (u64::from(u32_at(superblock, 0)), u64::from(u32_at(superblock, 40)));
        let inode_size = u64::from(u16_at(superblock, 88));
        let is_64_bit = u32_at(superblock, 96) & 0x80 != 0;
        let descriptor_size = if is_64_bit { u64::from(u16_at(superblock, 254)) } else { 32 };
        let descriptors = if self.block_size == 1024 { 2048 } else { self.block_size };
        let mut found = Vec::new();
        for group in 0..count.div_ceil(in_group) {
            let descriptor = self.bytes(descriptors + group * descriptor_size, descriptor_size);
            let high = |at| if is_64_bit { u64::from(u32_at(&descriptor, at)) << 32 } else { 0 };
            let table = u64::from(u32_at(&descriptor, 8)) | high(40);
            let unused_high = if is_64_bit { u64::from(u16_at(&descriptor, 50)) << 16 } else { 0 };
            let unused = u64::from(u16_at(&descriptor, 28)) | unused_high;
            if u16_at(&descriptor, 18) & UNWRITTEN != 0 {
                continue;
            }
            let inodes = self.bytes(table * self.block_size, (in_group - unused) * inode_size);
            for (number, inode) in (group * in_group + 1..).zip(inodes.chunks(inode_size as usize)) {
                let of_tree = number > reserved || number == ROOT;
                let in_use = u16_at(inode, 26) > 0 && u32_at(inode, 32) & VALUE_INODE == 0;
                if in_use && of_tree {
                    found.push(self.inode(inode));
                }
            }
        }
        found
    }

    fn inode(&self, inode: &[u8]) -> Inode {
        let wide = |low, high| u32::from(u16_at(inode, low)) | u32::from(u16_at(inode, high)) << 16;
        let mut xattrs = BTreeMap::new();
        let behind = 128 + usize::from(u16_at(inode, 128));
        if inode.len() >= behind + 4 && u32_at(inode, behind) == XATTR_MAGIC {
            // Offsets count from the first entry.
            read_xattrs(&inode[behind + 4..], 0, &mut xattrs);
        }
        let block = u64::from(u32_at(inode, 104)) | u64::from(u16_at(inode, 118)) << 32;
        if block != 0 {
            let bytes = self.bytes(block * self.block_size, self.block_size);
            assert_eq!(u32_at(&bytes, 0), XATTR_MAGIC);
            read_xattrs(&bytes, 32, &mut xattrs);
        }
        (u16_at(inode, 0), wide(2, 120), wide(24, 122), u16_at(inode, 26).into(), xattrs)
    }
}

/// Reads entries from `at` on; values lie at offsets from the start of `bytes`.
fn read_xattrs(bytes: &[u8], mut at: usize, xattrs: &mut BTreeMap<Name, Value>) {
    while at + 16 <= bytes.len() && u32_at(bytes, at) != 0 {
        let (length, index) = (usize::from(bytes[at]), bytes[at + 1]);
        let (offset, size) = (usize::from(u16_at(bytes, at + 2)), u32_at(bytes, at + 8) as usize);
        let value = match u32_at(bytes, at + 4) {
            0 => Value::Bytes(bytes[offset..offset + size].to_vec()),
            _ => Value::Elsewhere(size),
        };
        let name = bytes[at + 16..at + 16 + length].to_vec();
        if !ACLS.contains(&index) {
            assert!(xattrs.insert((index, name), value).is_none(), "an attribute stands twice");
        }
        at += (16 + length).next_multiple_of(4);
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
