//! A hash tree behind a filesystem, as dm-verity wants it: who knows the hash at its root knows every byte.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use hash::Digest;
use hash::dm_verity::{self, BlockHasher, HASH, HASH_BLOCK};
use host::FileExt;

use crate::identity::Identity;
use crate::in_order::in_order;
use crate::options::{Format, Options};
use crate::output::sparse::is_zero;
use crate::publish::Unpublished;

/// Bytes that one thread hashes at a time: whole blocks of every size.
const PART: u64 = 4 << 20;

/// Blocks of these sizes can be data: those of the filesystems.
const DATA_BLOCKS: [u32; 4] = [4096, 1024, 2048, 512];

/// What one has to know of a hash tree to use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verity {
    /// The hash at the root.
    pub root: [u8; HASH],
    /// What stands in front of all that is hashed.
    pub salt: [u8; HASH],
    /// Where the superblock begins, in bytes: behind the filesystem, or at the start of a file of its own.
    pub offset: u64,
    /// How many blocks of the filesystem it covers: all.
    pub data_blocks: u64,
    /// Bytes of such a block.
    pub data_block: u32,
    /// Bytes of the file that has the tree.
    pub length: u64,
}

impl Verity {
    /// Where all will be, for a filesystem of so many bytes.
    pub(crate) fn plan(salt: [u8; HASH], size: u64, data_block: u32) -> Verity {
        let data_blocks = size / u64::from(data_block);
        let offset = size.next_multiple_of(HASH_BLOCK as u64);
        let length = offset + dm_verity::length(data_blocks);
        Verity { root: [0; HASH], salt, offset, data_blocks, data_block, length }
    }

    /// Writes the tree over the filesystem in `data` into a file that is zero where the tree will be, perhaps the same,
    /// and learns the root.
    pub(crate) fn write(
        &mut self,
        data: &File,
        tree: &File,
        uuid: [u8; 16],
        threads: usize,
    ) -> io::Result<()> {
        let hasher = BlockHasher::new(self.salt);
        let (mut below, mut from, mut block) = (data, 0, self.data_block as usize);
        for level in &dm_verity::levels(self.data_blocks) {
            let to = self.offset + level.offset;
            hash_level((below, from), (level.hashes, block), (tree, to), &hasher, threads)?;
            (below, from, block) = (tree, to, HASH_BLOCK);
        }
        let mut top = vec![0; block];
        below.read_exact_at(&mut top, from)?;
        self.root = hasher.block(&top);
        tree.write_all_at(&hasher.superblock(uuid, self.data_blocks, self.data_block), self.offset)
    }

    /// Writes the tree over a rootfs of so many bytes into a file of its own.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a format that has no blocks.
    pub fn write_beside(
        (manifest, options): (&Digest, &Options),
        rootfs: &Path,
        size: u64,
        tree: &Path,
    ) -> io::Result<Verity> {
        let data_block = match &options.format {
            Format::Ext4(ext4) => ext4.options.block_size.bytes(),
            Format::Erofs(erofs) => erofs.options.block_size.bytes(),
            _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "only a filesystem has blocks")),
        };
        let identity = Identity::derive(manifest, &options.spelled());
        let mut verity = Verity::plan(identity.verity_salt, size, data_block);
        (verity.length, verity.offset) = (verity.length - verity.offset, 0);
        let file = Unpublished::create(tree, verity.length)?;
        verity.write(&File::open(rootfs)?, &file.file, identity.verity_uuid, options.layers.threads())?;
        file.publish()?;
        Ok(verity)
    }

    /// Finds the tree at the end of a file of so many bytes. `None` if there is none that covers all before it.
    pub fn find(file: &File, length: u64) -> io::Result<Option<Verity>> {
        for data_block in DATA_BLOCKS {
            // The longer the data, the longer the whole. What is shorter than a block of hashes changes nothing, so that
            // a few lengths may fit, with one place for the superblock.
            let whole = |blocks: u64| Verity::plan([0; HASH], blocks * u64::from(data_block), data_block);
            let (mut low, mut high) = (1, length / u64::from(data_block) + 1);
            while low < high {
                let middle = low.midpoint(high);
                if whole(middle).length < length { low = middle + 1 } else { high = middle }
            }
            if whole(low).length != length {
                continue;
            }
            let mut superblock = [0; 512];
            file.read_exact_at(&mut superblock, whole(low).offset)?;
            // What it says of itself; all else in it follows from its place.
            let count = superblock[72..80].iter().rev().fold(0, |count, byte| count << 8 | u64::from(*byte));
            let mut found = if count >= low && count - low < 8 { whole(count) } else { continue };
            if (found.offset, found.length) != (whole(low).offset, length) {
                continue;
            }
            let mut uuid = [0; 16];
            uuid.copy_from_slice(&superblock[16..32]);
            found.salt.copy_from_slice(&superblock[88..88 + HASH]);
            let hasher = BlockHasher::new(found.salt);
            if superblock != hasher.superblock(uuid, found.data_blocks, data_block) {
                continue;
            }
            let top = dm_verity::levels(found.data_blocks).last().map(|top| found.offset + top.offset);
            let mut block = vec![0; if top.is_some() { HASH_BLOCK } else { data_block as usize }];
            file.read_exact_at(&mut block, top.unwrap_or(0))?;
            found.root = hasher.block(&block);
            return Ok(Some(found));
        }
        Ok(None)
    }

    /// The root in digits, as every tool takes it.
    pub fn root_hex(&self) -> String {
        hex(&self.root)
    }

    /// The salt in digits.
    pub fn salt_hex(&self) -> String {
        hex(&self.salt)
    }

    /// Writes the root's digits into a file beside the output, where systemd looks for it.
    pub fn write_root(&self, output: &Path) -> io::Result<PathBuf> {
        let path = output.with_extension("roothash");
        let file = Unpublished::create(&path, 0)?;
        (&file.file).write_all(self.root_hex().as_bytes())?;
        file.publish()?;
        Ok(path)
    }
}

/// Hashes so many blocks of so many bytes from one place on, and puts the hashes at another. What is read last may be zeros
/// behind the hashes of the level below.
fn hash_level(
    (below, from): (&File, u64),
    (blocks, block): (u64, usize),
    (tree, to): (&File, u64),
    hasher: &BlockHasher,
    threads: usize,
) -> io::Result<()> {
    let per_part = PART / block as u64;
    let of_zeros = hasher.block(&vec![0; block]);
    let hash = |buffer: &mut Vec<u8>, part: usize| {
        let first = part as u64 * per_part;
        let count = per_part.min(blocks - first) as usize;
        buffer.resize(count * block, 0);
        below.read_exact_at(buffer, from + first * block as u64)?;
        let hashes = buffer.chunks(block).map(|block| match is_zero(block) {
            true => of_zeros,
            false => hasher.block(block),
        });
        Ok(hashes.collect::<Vec<_>>().concat())
    };
    let parts = usize::try_from(blocks.div_ceil(per_part)).map_err(io::Error::other)?;
    in_order(parts, threads, Vec::new, hash, |part, hashes: io::Result<Vec<u8>>| {
        tree.write_all_at(&hashes?, to + part as u64 * per_part * HASH as u64)
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
