//! Directories: blocks of names, and the index over them.

use tree::{Kind, Tree};
use zerocopy::IntoBytes;

use crate::checksum::{crc32c, inode_seed};
use crate::format::{
    DIR_TAIL_FT, DIR_TAIL_SIZE, DX_NODE_ENTRIES, DX_ROOT_ENTRIES, DirEntry, DirEntryTail, DxEntry,
    DxRootInfo, HASH_HALF_MD4, INO_FIRST, INO_ROOT,
};
use crate::plan::directories::{Name, Packed, entry_length, node_limit, pack, room, root_limit};
use crate::plan::survey::{Inode, Subject, Survey};
use crate::write::Sink;
use crate::{BlockSize, Error, Layout};

const FT_REG_FILE: u8 = 1;
const FT_DIR: u8 = 2;
const FT_CHRDEV: u8 = 3;
const FT_BLKDEV: u8 = 4;
const FT_FIFO: u8 = 5;
const FT_SOCK: u8 = 6;
const FT_SYMLINK: u8 = 7;

/// Writes all directories.
pub(crate) fn write(layout: &Layout, tree: &Tree, seed: u32, sink: &mut Sink<'_>) -> Result<(), Error> {
    for (place, inode) in layout.survey.inodes.iter().enumerate().filter(|(_, inode)| inode.directory) {
        let ino = Survey::number(place);
        let packed = repack(layout, tree, ino, inode);
        let directory = Encoder {
            layout,
            tree,
            ino,
            parent: inode.parent,
            seed: inode_seed(seed, ino, 0),
            packed: &packed,
        };
        let mut blocks = layout.blocks_of(ino);
        directory.encode(|bytes| match blocks.next() {
            Some(block) => sink.put(block * u64::from(layout.block_size()), bytes),
            None => Ok(()),
        })?;
    }
    Ok(())
}

/// The names as they were planned.
pub(crate) fn repack<'a>(layout: &Layout, tree: &'a Tree, ino: u32, inode: &Inode) -> Packed<'a> {
    let node = match inode.subject {
        Subject::Node(node) => Some(node),
        _ => None,
    };
    let adds_lost_found = ino == INO_ROOT && layout.survey.adds_lost_found;
    pack(tree, node, adds_lost_found, layout.survey.is_lost_found(ino), &layout.options)
}

struct Encoder<'a> {
    layout: &'a Layout,
    tree: &'a Tree,
    ino: u32,
    parent: u32,
    seed: u32,
    packed: &'a Packed<'a>,
}

impl Encoder<'_> {
    fn size(&self) -> BlockSize {
        self.layout.options.block_size
    }

    /// Gives the blocks in their order: the index from the top, then the names.
    fn encode(&self, mut put: impl FnMut(&[u8]) -> std::io::Result<()>) -> std::io::Result<()> {
        let mut block = vec![0; self.size().bytes() as usize];
        if let Some(levels) = &self.packed.index {
            self.encode_index(levels, &mut block, &mut put)?;
        }
        let mut names = self.packed.names.iter();
        for (nth, leaf) in self.packed.leaves.iter().enumerate() {
            block.fill(0);
            let mut at = 0;
            let mut last = 0;
            if nth == 0 && self.packed.index.is_none() {
                self.entry(&mut block, 0, self.ino, b".", FT_DIR, 12);
                self.entry(&mut block, 12, self.parent, b"..", FT_DIR, 12);
                (at, last) = (24, 12);
            }
            for name in names.by_ref().take(leaf.names) {
                let (ino, kind) = self.target(name);
                let length = entry_length(name.name.len());
                self.entry(&mut block, at, ino, name.name, kind, length);
                last = at;
                at += length;
            }
            // The last entry reaches to the end; in a block without names an unused one does.
            let length = (room(self.size()) - last) as u16;
            block[last + 4..last + 6].copy_from_slice(&length.to_le_bytes());
            self.seal_names(&mut block);
            put(&block)?;
        }
        Ok(())
    }

    fn encode_index(
        &self,
        levels: &[usize],
        block: &mut [u8],
        put: &mut impl FnMut(&[u8]) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        let size = self.size();
        // First hash of each node of a level, from the leaves upwards.
        let leaves: Vec<u32> = self.packed.leaves.iter().map(|leaf| leaf.hash).collect();
        let mut hashes = vec![leaves];
        for &count in levels.iter().rev() {
            let below = &hashes[hashes.len() - 1];
            hashes.push((0..count).map(|node| below[share(below.len(), count, node).start]).collect());
        }
        let top = &hashes[hashes.len() - 1];
        block.fill(0);
        self.entry(block, 0, self.ino, b".", FT_DIR, 12);
        self.entry(block, 12, self.parent, b"..", FT_DIR, size.bytes() as usize - 12);
        let info = DxRootInfo {
            reserved_zero: 0.into(),
            hash_version: HASH_HALF_MD4,
            info_length: 8,
            indirect_levels: levels.len() as u8,
            unused_flags: 0,
        };
        block[24..32].copy_from_slice(info.as_bytes());
        let mut child = 1;
        self.seal_index(block, DX_ROOT_ENTRIES, root_limit(size), top, &mut child);
        put(block)?;
        for (level, &count) in levels.iter().enumerate() {
            let below = &hashes[hashes.len() - 2 - level];
            for node in 0..count {
                block.fill(0);
                self.entry(block, 0, 0, b"", 0, size.bytes() as usize);
                let hashes = &below[share(below.len(), count, node)];
                self.seal_index(block, DX_NODE_ENTRIES, node_limit(size), hashes, &mut child);
                put(block)?;
            }
        }
        Ok(())
    }

    /// Fills in index entries, which lead to the blocks from `child` on, and the checksum.
    fn seal_index(&self, block: &mut [u8], start: usize, limit: usize, hashes: &[u32], child: &mut u32) {
        for (&hash, slot) in hashes.iter().zip(block[start..].chunks_exact_mut(8)) {
            let entry = DxEntry { hash: hash.into(), block: (*child).into() };
            slot.copy_from_slice(entry.as_bytes());
            *child += 1;
        }
        block[start..start + 2].copy_from_slice(&(limit as u16).to_le_bytes());
        block[start + 2..start + 4].copy_from_slice(&(hashes.len() as u16).to_le_bytes());
        // `ext4_dx_csum`: the entries in use, then the tail with a checksum of zero.
        let register = crc32c(self.seed, &block[..start + hashes.len() * 8]);
        let checksum = crc32c(register, &[0; 8]);
        let tail = start + limit * 8;
        block[tail + 4..tail + 8].copy_from_slice(&checksum.to_le_bytes());
    }

    fn seal_names(&self, block: &mut [u8]) {
        let end = room(self.size());
        let tail = DirEntryTail {
            reserved_zero1: 0.into(),
            rec_len: (DIR_TAIL_SIZE as u16).into(),
            reserved_zero2: 0,
            reserved_ft: DIR_TAIL_FT,
            checksum: crc32c(self.seed, &block[..end]).into(),
        };
        block[end..].copy_from_slice(tail.as_bytes());
    }

    fn entry(&self, block: &mut [u8], at: usize, ino: u32, name: &[u8], file_type: u8, length: usize) {
        let entry = DirEntry {
            inode: ino.into(),
            rec_len: (length as u16).into(),
            name_len: name.len() as u8,
            file_type,
        };
        block[at..at + 8].copy_from_slice(entry.as_bytes());
        block[at + 8..at + 8 + name.len()].copy_from_slice(name);
    }

    fn target(&self, name: &Name<'_>) -> (u32, u8) {
        let Some(node) = name.node else {
            return (INO_FIRST, FT_DIR);
        };
        let file_type = match self.tree.node(node).kind {
            Kind::Directory(_) => FT_DIR,
            Kind::File(_) => FT_REG_FILE,
            Kind::Symlink(_) => FT_SYMLINK,
            Kind::CharDevice(_) => FT_CHRDEV,
            Kind::BlockDevice(_) => FT_BLKDEV,
            Kind::Fifo => FT_FIFO,
            Kind::Socket => FT_SOCK,
        };
        (self.layout.survey.numbers[node.index()], file_type)
    }
}

/// Which of `children` belong to the node `node` of `nodes`: as evenly as it goes.
fn share(children: usize, nodes: usize, node: usize) -> std::ops::Range<usize> {
    children * node / nodes..children * (node + 1) / nodes
}
