//! Extent trees: in the inode, and in blocks below it.

use zerocopy::IntoBytes;

use crate::checksum::{crc32c, inode_seed};
use crate::format::{EXTENT_MAGIC, EXTENTS_IN_INODE, ExtentHeader, ExtentIndex, ExtentLeaf};
use crate::plan::extents::{Extent, of, per_block};
use crate::write::Sink;
use crate::{Error, Layout};

/// What an index entry says: the first block of the file below it, and where it leads.
type Child = (u32, u64);

/// The 60 bytes that an inode has for its extents.
pub(crate) fn root(layout: &Layout, ino: u32) -> [u8; 60] {
    let extents = of(&layout.placed.extents, ino);
    let mut bytes = [0; 60];
    let max = EXTENTS_IN_INODE;
    match layout.extent_tree_blocks(ino) {
        None => encode(&mut bytes, max, 0, extents.iter().map(leaf)),
        Some(blocks) => {
            let (depth, children) =
                build(extents, blocks, per_block(layout.options.block_size), |_, _, _| Ok(()))
                    .unwrap_or_default();
            encode(&mut bytes, max, depth, children.iter().map(index));
        }
    }
    bytes
}

/// Writes the blocks of all trees.
pub(crate) fn write_trees(layout: &Layout, seed: u32, sink: &mut Sink<'_>) -> Result<(), Error> {
    let size = layout.block_size();
    let each = per_block(layout.options.block_size);
    let mut bytes = vec![0; size as usize];
    for tree in &layout.placed.extent_trees {
        let seed = inode_seed(seed, tree.ino, 0);
        build(of(&layout.placed.extents, tree.ino), &tree.blocks, each, |block, depth, entries| {
            bytes.fill(0);
            match entries {
                Entries::Leaves(extents) => encode(&mut bytes, each, depth, extents.iter().map(leaf)),
                Entries::Children(children) => encode(&mut bytes, each, depth, children.iter().map(index)),
            }
            // `struct ext4_extent_tail`, behind the last entry that would fit.
            let tail = 12 + 12 * each;
            let checksum = crc32c(seed, &bytes[..tail]);
            bytes[tail..tail + 4].copy_from_slice(&checksum.to_le_bytes());
            sink.put(block * u64::from(size), &bytes)
        })?;
    }
    Ok(())
}

impl Layout {
    /// Blocks of an inode's extent tree, if the inode does not hold all.
    pub(crate) fn extent_tree_blocks(&self, ino: u32) -> Option<&[u64]> {
        let trees = &self.placed.extent_trees;
        trees.binary_search_by_key(&ino, |tree| tree.ino).ok().map(|at| &*trees[at].blocks)
    }
}

/// What a block of a tree holds.
enum Entries<'a> {
    Leaves(&'a [Extent]),
    Children(&'a [Child]),
}

/// Goes through the blocks of a tree, leaves first. Returns the depth and entries that the inode holds.
fn build(
    extents: &[Extent],
    blocks: &[u64],
    each: usize,
    mut visit: impl FnMut(u64, u16, Entries<'_>) -> std::io::Result<()>,
) -> std::io::Result<(u16, Vec<Child>)> {
    let mut blocks = blocks.iter().copied();
    let mut children = Vec::new();
    for (part, block) in extents.chunks(each).zip(&mut blocks) {
        visit(block, 0, Entries::Leaves(part))?;
        children.push((part[0].logical, block));
    }
    let mut depth = 1;
    while children.len() > EXTENTS_IN_INODE {
        let mut parents = Vec::new();
        for (part, block) in children.chunks(each).zip(&mut blocks) {
            visit(block, depth, Entries::Children(part))?;
            parents.push((part[0].0, block));
        }
        children = parents;
        depth += 1;
    }
    Ok((depth, children))
}

fn leaf(extent: &Extent) -> [u8; 12] {
    let entry = ExtentLeaf {
        block: extent.logical.into(),
        // 32,768 itself still means "initialised" (`EXT_INIT_MAX_LEN`).
        len: (extent.length as u16).into(),
        start_hi: ((extent.start >> 32) as u16).into(),
        start_lo: (extent.start as u32).into(),
    };
    zerocopy::transmute!(entry)
}

fn index(&(logical, block): &Child) -> [u8; 12] {
    let entry = ExtentIndex {
        block: logical.into(),
        leaf_lo: (block as u32).into(),
        leaf_hi: ((block >> 32) as u16).into(),
        unused: 0.into(),
    };
    zerocopy::transmute!(entry)
}

fn encode(bytes: &mut [u8], max: usize, depth: u16, entries: impl ExactSizeIterator<Item = [u8; 12]>) {
    let header = ExtentHeader {
        magic: EXTENT_MAGIC.into(),
        entries: (entries.len() as u16).into(),
        max: (max as u16).into(),
        depth: depth.into(),
        generation: 0.into(),
    };
    bytes[..12].copy_from_slice(header.as_bytes());
    for (slot, entry) in bytes[12..].chunks_exact_mut(12).zip(entries) {
        slot.copy_from_slice(&entry);
    }
}
