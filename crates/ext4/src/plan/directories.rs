//! How the names of a directory spread over its blocks.

use tree::{NodeId, Tree};

use crate::format::{DIR_TAIL_SIZE, DX_NODE_ENTRIES, DX_ROOT_ENTRIES, DX_TAIL_SIZE};
use crate::hash::{NameHash, half_md4};
use crate::{BlockSize, Options, Profile};

/// The name that every filesystem has in its root.
pub(crate) const LOST_FOUND: &[u8] = b"lost+found";
/// Bytes that `lost+found` has at least, so that fsck need not find room while it repairs.
const LOST_FOUND_SIZE: usize = 16_384;

/// A name in a directory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Name<'a> {
    pub(crate) name: &'a [u8],
    /// What it names; `None` for a `lost+found` that the tree does not have.
    pub(crate) node: Option<NodeId>,
}

/// The names of a directory and the blocks that they fill.
#[derive(Debug)]
pub(crate) struct Packed<'a> {
    /// In the order of the blocks: by bytes, in a hashed directory by hash.
    pub(crate) names: Vec<Name<'a>>,
    /// For each block of names the first hash and how many names it holds.
    pub(crate) leaves: Vec<Leaf>,
    /// Index blocks below the root of the index, by level from the top; `None` if there is no index.
    pub(crate) index: Option<Vec<usize>>,
}

/// A block of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leaf {
    /// The first name's hash; bit 0 says that names of the same hash stand in the block before too.
    pub(crate) hash: u32,
    pub(crate) names: usize,
}

impl Packed<'_> {
    pub(crate) fn blocks(&self) -> usize {
        self.leaves.len() + self.index.as_ref().map_or(0, |levels| 1 + levels.iter().sum::<usize>())
    }
}

/// Bytes of an entry with a name so long: a multiple of 4.
pub(crate) fn entry_length(name: usize) -> usize {
    (8 + name).next_multiple_of(4)
}

/// Bytes that a block has for names: behind them is the checksum's entry.
pub(crate) fn room(size: BlockSize) -> usize {
    size.bytes() as usize - DIR_TAIL_SIZE
}

/// `.` and `..`
const DOTS: usize = 24;

/// Spreads a directory's names. `adds_lost_found`: it is a root that lacks one; `is_lost_found`: it is one.
pub(crate) fn pack<'a>(
    tree: &'a Tree,
    directory: Option<NodeId>,
    adds_lost_found: bool,
    is_lost_found: bool,
    options: &Options,
) -> Packed<'a> {
    let size = options.block_size;
    let mut names: Vec<Name<'_>> = directory
        .and_then(|node| tree.entries(node))
        .into_iter()
        .flatten()
        .map(|(name, node)| Name { name, node: Some(*node) })
        .collect();
    if adds_lost_found {
        let place = names.partition_point(|entry| entry.name < LOST_FOUND);
        names.insert(place, Name { name: LOST_FOUND, node: None });
    }
    let least = if is_lost_found { LOST_FOUND_SIZE / size.bytes() as usize } else { 1 };
    if let Some(leaves) = linear(&names, least, size) {
        return Packed { names, leaves, index: None };
    }

    let mut hashed: Vec<(NameHash, Name<'_>)> =
        names.into_iter().map(|entry| (half_md4(entry.name, &options.hash_seed), entry)).collect();
    hashed.sort_unstable_by_key(|(hash, entry)| (*hash, entry.name));
    // A block with room left takes a new name without a split: e2fsck -D leaves a fifth as well.
    let fill = match options.profile {
        Profile::ReadOnly => room(size),
        _ => room(size) / 5 * 4,
    };
    let leaves = leaves(hashed.iter().map(|(hash, entry)| (hash.major, entry.name.len())), fill);
    let index = index_levels(leaves.len(), options);
    Packed { names: hashed.into_iter().map(|(_, entry)| entry).collect(), leaves, index: Some(index) }
}

/// Names one after the other in exactly `blocks` blocks, or `None` if they do not fit.
fn linear(names: &[Name<'_>], blocks: usize, size: BlockSize) -> Option<Vec<Leaf>> {
    let mut leaves = vec![Leaf { hash: 0, names: 0 }];
    let mut filled = DOTS;
    for entry in names {
        let length = entry_length(entry.name.len());
        if filled + length > room(size) {
            if leaves.len() == blocks {
                return None;
            }
            leaves.push(Leaf { hash: 0, names: 0 });
            filled = 0;
        }
        filled += length;
        if let Some(leaf) = leaves.last_mut() {
            leaf.names += 1;
        }
    }
    leaves.resize(blocks, Leaf { hash: 0, names: 0 });
    Some(leaves)
}

/// Cuts sorted names, given as hash and length, into blocks of at most `fill` bytes.
fn leaves(names: impl Iterator<Item = (u32, usize)>, fill: usize) -> Vec<Leaf> {
    let mut leaves: Vec<Leaf> = Vec::new();
    let mut filled = usize::MAX / 2;
    let mut before = None;
    for (hash, name) in names {
        let length = entry_length(name);
        if filled + length > fill {
            // Bit 0 of an index hash means "continued" (`ext4_htree_next_block`).
            let continued = u32::from(before == Some(hash));
            leaves.push(Leaf { hash: hash | continued, names: 0 });
            filled = 0;
        }
        filled += length;
        before = Some(hash);
        if let Some(leaf) = leaves.last_mut() {
            leaf.names += 1;
        }
    }
    leaves
}

/// Entries of the index's first block.
pub(crate) fn root_limit(size: BlockSize) -> usize {
    (size.bytes() as usize - DX_ROOT_ENTRIES - DX_TAIL_SIZE) / 8
}

/// Entries of its other blocks.
pub(crate) fn node_limit(size: BlockSize) -> usize {
    (size.bytes() as usize - DX_NODE_ENTRIES - DX_TAIL_SIZE) / 8
}

/// Index blocks of each level below the root, from the top.
fn index_levels(leaves: usize, options: &Options) -> Vec<usize> {
    let each = match options.profile {
        Profile::ReadOnly => node_limit(options.block_size),
        _ => node_limit(options.block_size) / 5 * 4,
    };
    let mut levels = Vec::new();
    let mut children = leaves;
    while children > root_limit(options.block_size) {
        children = children.div_ceil(each);
        levels.insert(0, children);
    }
    levels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_hashes_that_do_not_fit_continue() {
        let names = [(2, 4), (4, 4), (4, 4), (4, 4), (6, 4)];
        let cut = leaves(names.into_iter(), 24);
        let shape: Vec<_> = cut.iter().map(|leaf| (leaf.hash, leaf.names)).collect();
        assert_eq!(shape, [(2, 2), (5, 2), (6, 1)]);
    }

    #[test]
    fn index_grows_by_levels() {
        let rw = Options::default();
        let ro = Options { profile: Profile::ReadOnly, ..Options::default() };
        assert_eq!((root_limit(BlockSize::B4096), node_limit(BlockSize::B4096)), (507, 510));
        assert_eq!(index_levels(507, &rw), []);
        assert_eq!(index_levels(508, &rw), [2]);
        assert_eq!(index_levels(507 * 510, &ro), [507]);
        assert_eq!(index_levels(507 * 510 + 1, &ro), [1, 508]);
    }
}
