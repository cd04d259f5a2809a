//! A hash tree behind a filesystem, as dm-verity wants it: who knows the hash at its root knows every byte.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use hash::Digest;
use hash::dm_verity::{self, BlockHasher, HASH, HASH_BLOCK};
use host::FileExt;

use crate::gpt::Table;
use crate::identity::Identity;
use crate::in_order::in_order;
use crate::options::Options;
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
    /// Where the filesystem begins in its file, in bytes.
    pub data_offset: u64,
    /// Where the superblock begins in its file, in bytes: behind the filesystem, or at the start of a file of its own.
    pub offset: u64,
    /// How many blocks of the filesystem it covers: all.
    pub data_blocks: u64,
    /// Bytes of such a block.
    pub data_block: u32,
}

impl Verity {
    /// Where all will be, for a filesystem of so many bytes and a tree right behind it.
    pub(crate) fn plan(salt: [u8; HASH], size: u64, data_block: u32) -> Verity {
        let offset = size.next_multiple_of(HASH_BLOCK as u64);
        let data_blocks = size / u64::from(data_block);
        Verity { root: [0; HASH], salt, data_offset: 0, offset, data_blocks, data_block }
    }

    /// Where the tree ends in its file.
    pub(crate) fn end(&self) -> u64 {
        self.offset + dm_verity::length(self.data_blocks)
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
        let (mut below, mut from, mut block) = (data, self.data_offset, self.data_block as usize);
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
        let Some((_, data_block)) = options.format.framed() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "only a filesystem has blocks"));
        };
        let identity = Identity::derive(manifest, &options.spelled());
        let mut verity = Verity::plan(identity.verity_salt, size, data_block);
        verity.offset = 0;
        let file = Unpublished::create(tree, verity.end())?;
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
                if whole(middle).end() < length { low = middle + 1 } else { high = middle }
            }
            if whole(low).end() != length {
                continue;
            }
            let Some(found) = Verity::read(file, (0, whole(low).offset), whole(low).offset)? else {
                continue;
            };
            if found.data_block == data_block
                && (found.offset, found.end()) == (whole(found.data_blocks).offset, length)
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Finds the tree of a disk's root, in the partition that is for it. `None` if there is none, or it is another root's:
    /// the UUIDs of both partitions are the halves of the hash at the root.
    pub fn find_in(file: &File, table: &Table) -> io::Result<Option<Verity>> {
        let Some((root, Some(tree))) = table.root() else { return Ok(None) };
        let found = Verity::read(file, (root.offset, root.length), tree.offset)?;
        let fits = |found: &Verity| found.end() <= tree.offset.saturating_add(tree.length);
        Ok(found.filter(|found| fits(found) && found.halves() == (root.uuid, tree.uuid)))
    }

    /// Reads a tree's superblock, and computes the root. `None` unless it is one over data of at most so many bytes.
    fn read(file: &File, (data_offset, size): (u64, u64), offset: u64) -> io::Result<Option<Verity>> {
        let mut superblock = [0; 512];
        match file.read_exact_at(&mut superblock, offset) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        // What it says of itself; all else in it follows from that.
        let number = |at: usize, bytes: usize| {
            superblock[at..at + bytes].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
        };
        let (data_block, data_blocks) = (number(64, 4) as u32, number(72, 8));
        let length = data_blocks.checked_mul(data_block.into());
        if !DATA_BLOCKS.contains(&data_block) || data_blocks == 0 || length.is_none_or(|length| length > size)
        {
            return Ok(None);
        }
        let (mut uuid, mut salt) = ([0; 16], [0; HASH]);
        uuid.copy_from_slice(&superblock[16..32]);
        salt.copy_from_slice(&superblock[88..88 + HASH]);
        let hasher = BlockHasher::new(salt);
        if superblock != hasher.superblock(uuid, data_blocks, data_block) {
            return Ok(None);
        }
        let top = dm_verity::levels(data_blocks).last().map(|top| offset + top.offset);
        let mut block = vec![0; if top.is_some() { HASH_BLOCK } else { data_block as usize }];
        match file.read_exact_at(&mut block, top.unwrap_or(data_offset)) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let root = hasher.block(&block);
        Ok(Some(Verity { root, salt, data_offset, offset, data_blocks, data_block }))
    }

    /// The halves of the root, which name the partitions of the data and of the tree.
    pub(crate) fn halves(&self) -> ([u8; 16], [u8; 16]) {
        let (mut first, mut last) = ([0; 16], [0; 16]);
        first.copy_from_slice(&self.root[..16]);
        last.copy_from_slice(&self.root[16..]);
        (first, last)
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
