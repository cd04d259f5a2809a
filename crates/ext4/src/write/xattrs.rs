//! Extended attributes as bytes: in inodes and in blocks.

use std::mem::size_of;

use tree::Tree;
use zerocopy::IntoBytes;

use crate::checksum::crc32c;
use crate::format::{XATTR_MAGIC, XattrEntry, XattrHeader};
use crate::plan::xattrs::{Xattr, arrange};
use crate::write::Sink;
use crate::{BlockSize, Error, Layout};

/// How entries refer to values in inodes of their own.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Values {
    /// The number of the first such inode.
    pub(crate) first: u32,
    /// The filesystem's checksum seed.
    pub(crate) seed: u32,
}

/// The attributes that an inode holds behind its fields. Their hashes are 0, as the kernel leaves them.
pub(crate) fn encode_in_inode(xattrs: &[Xattr<'_>]) -> [u8; 96] {
    let mut bytes = [0; 96];
    if !xattrs.is_empty() {
        bytes[..4].copy_from_slice(&XATTR_MAGIC.to_le_bytes());
        encode(&mut bytes[4..], 0, xattrs, Values::default(), false);
    }
    bytes
}

/// A block of attributes, its checksum left out.
pub(crate) fn encode_block(xattrs: &[Xattr<'_>], refcount: u32, values: Values, size: BlockSize) -> Vec<u8> {
    let mut bytes = vec![0; size.bytes() as usize];
    let hash = encode(&mut bytes, size_of::<XattrHeader>(), xattrs, values, true);
    let header = XattrHeader {
        magic: XATTR_MAGIC.into(),
        refcount: refcount.into(),
        blocks: 1.into(),
        hash: hash.into(),
        checksum: 0.into(),
        reserved: [0.into(); 3],
    };
    bytes[..size_of::<XattrHeader>()].copy_from_slice(header.as_bytes());
    bytes
}

/// Writes the blocks of attributes.
pub(crate) fn write_blocks(
    layout: &Layout,
    tree: &Tree,
    seed: u32,
    sink: &mut Sink<'_>,
) -> Result<(), Error> {
    let size = layout.options.block_size;
    for (planned, &block) in layout.survey.xattr_blocks.iter().zip(&layout.placed.xattr_blocks) {
        let arranged = arrange(&tree.node(planned.node).metadata, size, b"")?;
        let values = Values { first: planned.values, seed };
        let mut bytes = encode_block(&arranged.in_block, planned.refcount, values, size);
        // `ext4_xattr_block_csum` takes in where the block lies.
        let checksum = crc32c(crc32c(seed, &block.to_le_bytes()), &bytes);
        bytes[16..20].copy_from_slice(&checksum.to_le_bytes());
        sink.put(block * u64::from(size.bytes()), &bytes)?;
    }
    Ok(())
}

/// Writes entries from `start` on, and their values from the end on downwards. Offsets count from the start
/// of `bytes`. Returns the hash over all entries.
fn encode(bytes: &mut [u8], start: usize, xattrs: &[Xattr<'_>], mut values: Values, hashed: bool) -> u32 {
    let mut at = start;
    let mut end = bytes.len();
    let mut all = 0u32;
    let mut unhashed = false;
    for xattr in xattrs {
        let size = xattr.value.len();
        let mut entry = XattrEntry {
            name_len: xattr.name.len() as u8,
            name_index: xattr.index,
            value_offs: 0.into(),
            value_inum: 0.into(),
            value_size: (size as u32).into(),
            hash: 0.into(),
        };
        if xattr.external {
            entry.value_inum = values.first.into();
            values.first += 1;
            let checksum = crc32c(values.seed, &xattr.value);
            entry.hash = entry_hash(xattr.name, &checksum.to_le_bytes()).into();
        } else {
            if size > 0 {
                end -= size.next_multiple_of(4);
                entry.value_offs = (end as u16).into();
                bytes[end..end + size].copy_from_slice(&xattr.value);
            }
            if hashed {
                entry.hash = entry_hash(xattr.name, &xattr.value).into();
            }
        }
        unhashed |= entry.hash == 0;
        all = all.rotate_left(16) ^ entry.hash.get();
        bytes[at..at + 16].copy_from_slice(entry.as_bytes());
        bytes[at + 16..at + 16 + xattr.name.len()].copy_from_slice(xattr.name);
        at += (16 + xattr.name.len()).next_multiple_of(4);
    }
    // "Block is not shared if an entry's hash value == 0" (`ext4_xattr_rehash`).
    if unhashed { 0 } else { all }
}

/// The hash of a name and its value (`ext4_xattr_hash_entry_signed`, which all kernels and e2fsprogs accept).
fn entry_hash(name: &[u8], value: &[u8]) -> u32 {
    let mut hash = 0u32;
    for &byte in name {
        hash = hash.rotate_left(5) ^ byte as i8 as u32;
    }
    for word in value.chunks(4) {
        let mut padded = [0; 4];
        padded[..word.len()].copy_from_slice(word);
        hash = hash.rotate_left(16) ^ u32::from_le_bytes(padded);
    }
    hash
}
