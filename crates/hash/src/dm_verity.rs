//! Hash trees as dm-verity has them, so that a kernel can check a whole filesystem block by block while it is read.
//!
//! ```text
//! data blocks │ superblock │ top level: one block │ … │ hashes of all data blocks
//! ```
//!
//! See the kernel's `Documentation/admin-guide/device-mapper/verity.rst` for the tree, and cryptsetup's `DMVerity` for
//! the superblock. Hashes are SHA-256 with the salt in front (`hash_type` 1), 128 of them fill a block. This module
//! says what stands where, and hashes blocks; it holds nothing but the salt.

use ring::digest::{Context, SHA256};

/// Bytes of a block of hashes, and of the room for the superblock.
pub const HASH_BLOCK: usize = 4096;

/// Bytes of a hash.
pub const HASH: usize = 32;

/// Hashes in a block.
const PER_BLOCK: u64 = (HASH_BLOCK / HASH) as u64;

/// One level of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// Where it begins, in bytes behind the start of the superblock.
    pub offset: u64,
    /// How many hashes it has: one for each block of the level below, or of the data.
    pub hashes: u64,
}

impl Level {
    /// How many blocks it fills, the last with zeros.
    pub fn blocks(&self) -> u64 {
        self.hashes.div_ceil(PER_BLOCK)
    }
}

/// The levels of the tree over so many blocks, that with the data's hashes first; none if there is but one block, whose
/// hash is the root.
pub fn levels(data_blocks: u64) -> Vec<Level> {
    let mut levels = Vec::new();
    let mut hashes = data_blocks;
    while hashes > 1 {
        levels.push(Level { offset: 0, hashes });
        hashes = hashes.div_ceil(PER_BLOCK);
    }
    // The top comes first, so that a reader finds it without counting.
    let mut offset = HASH_BLOCK as u64;
    for level in levels.iter_mut().rev() {
        level.offset = offset;
        offset += level.blocks() * HASH_BLOCK as u64;
    }
    levels
}

/// Bytes of the superblock and the tree over so many blocks.
pub fn length(data_blocks: u64) -> u64 {
    let blocks: u64 = levels(data_blocks).iter().map(Level::blocks).sum();
    (1 + blocks) * HASH_BLOCK as u64
}

/// Hashes blocks, with a salt.
#[derive(Clone)]
pub struct BlockHasher {
    salted: Context,
    salt: [u8; HASH],
}

impl BlockHasher {
    /// One with this salt.
    pub fn new(salt: [u8; HASH]) -> BlockHasher {
        let mut salted = Context::new(&SHA256);
        salted.update(&salt);
        BlockHasher { salted, salt }
    }

    /// The hash of a block, of the data or of a level, which the last of a level is with zeros behind its hashes.
    pub fn block(&self, block: &[u8]) -> [u8; HASH] {
        let mut context = self.salted.clone();
        context.update(block);
        context.finish().as_ref().try_into().expect("a SHA-256 has 32 bytes")
    }

    /// The superblock of a tree over so many blocks of so many bytes.
    pub fn superblock(&self, uuid: [u8; 16], data_blocks: u64, data_block: u32) -> [u8; 512] {
        let mut superblock = [0; 512];
        let mut put = |at: usize, bytes: &[u8]| superblock[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, b"verity\0\0");
        put(8, &1u32.to_le_bytes());
        put(12, &1u32.to_le_bytes());
        put(16, &uuid);
        put(32, b"sha256");
        put(64, &data_block.to_le_bytes());
        put(68, &(HASH_BLOCK as u32).to_le_bytes());
        put(72, &data_blocks.to_le_bytes());
        put(80, &(HASH as u16).to_le_bytes());
        put(88, &self.salt);
        superblock
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree over `data`, in memory, behind its superblock; and the root.
    fn tree(hasher: &BlockHasher, data: &[u8], data_block: usize) -> (Vec<u8>, [u8; HASH]) {
        let count = (data.len() / data_block) as u64;
        let mut tree = vec![0; length(count) as usize];
        tree[..512].copy_from_slice(&hasher.superblock([7; 16], count, data_block as u32));
        let mut hashes: Vec<u8> = data.chunks(data_block).flat_map(|block| hasher.block(block)).collect();
        for level in levels(count) {
            assert_eq!(hashes.len() as u64, level.hashes * HASH as u64);
            hashes.resize(hashes.len().next_multiple_of(HASH_BLOCK), 0);
            tree[level.offset as usize..][..hashes.len()].copy_from_slice(&hashes);
            hashes = hashes.chunks(HASH_BLOCK).flat_map(|block| hasher.block(block)).collect();
        }
        (tree, hashes.try_into().unwrap())
    }

    /// What `veritysetup format` of cryptsetup 2.6 makes of bytes that count up from 0: the root, and the SHA-256 of
    /// what it writes.
    #[test]
    fn trees_of_all_heights() {
        let hasher = BlockHasher::new([0x5a; 32]);
        for (blocks, data_block, root, whole) in GOLDEN {
            let data: Vec<u8> = (0..blocks * data_block).map(|n| (n % 251) as u8).collect();
            let (tree, found) = tree(&hasher, &data, *data_block);
            let hex: String = found.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(
                (hex.as_str(), crate::Digest::sha256(&tree).hex().as_str()),
                (*root, *whole),
                "{blocks}"
            );
        }
    }

    #[test]
    fn places() {
        assert_eq!(levels(0), []);
        assert_eq!(levels(1), []);
        assert_eq!(levels(128), [Level { offset: 4096, hashes: 128 }]);
        let two = [Level { offset: 8192, hashes: 129 }, Level { offset: 4096, hashes: 2 }];
        assert_eq!((levels(129), length(129)), (two.to_vec(), 4096 * 4));
        // All that a file can have.
        assert_eq!(levels(1 << 51).len(), 8);
    }

    const GOLDEN: &[(usize, usize, &str, &str)] = &[
        (
            1,
            4096,
            "c73ef18a004c4b4f0ebf486ae0782514d0c44322578154d0d16259e4c615cc2b",
            "d9b6c74078e545a6a073169e12c32e4d7c59b49cea7cf1cab12e33a5ca769f91",
        ),
        (
            2,
            4096,
            "5e04547d5524bc9e5485bb778c11f33147c7ac0a1111acb5aa38a3efcb61c3e5",
            "7ebcbd73dbcaab9c62afcd220799bca49f554e17aad255cbbe175e88385a90e0",
        ),
        (
            128,
            4096,
            "bbd15b9f6968ce38b346093795149c56e3493b1393a14415132568c34e4c3563",
            "eee7fea309144ba4d772d54417be1c30567efeed90dc30914a170613517b72e2",
        ),
        (
            129,
            4096,
            "3fa9930e3c662c1d39cf4953fbf86cfdc6f0b2a5b9f95cde236c051ed5af190e",
            "a16b9f6c35c2300b46a9af951509ea1600c61a72d0c6e6ea0a5cca70f38673df",
        ),
        (
            300,
            1024,
            "ac511f0715ab51ef615e30b3ba6e26e2d2ebd787d4a58134844867ba140d287b",
            "bfbfd703271377af8484c80dd251a416d5462732e539006b3a66f304c76c50d4",
        ),
        (
            16385,
            512,
            "0cf2792febfb1b6eb988492d5f30a5aa6ed18125c39ebf91cf3f7ad24876d4e1",
            "f333eb20a9ca6b897599dc810f7e5eae346f22da0e1aa975739a8cddd4ca92a1",
        ),
    ];
}
