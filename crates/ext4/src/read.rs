//! Reading an ext4 filesystem, as far as [`dump`](Filesystem::dump) needs it.
//!
//! What is read may come from anybody: nothing is believed that is not checked against the bounds of the
//! filesystem, and checksums are verified where there are any.

mod directories;
mod dump;
mod error;
mod extents;
mod inodes;
mod xattrs;

use tree::Input;
use zerocopy::{FromBytes, FromZeros, IntoBytes};

pub use error::{Place, ReadError};

use crate::checksum::{crc32c, seed};
use crate::format::{GroupDescriptor, MAGIC, SUPERBLOCK_OFFSET, Superblock, incompat, ro_compat};

/// Incompatible features that this reader knows.
const KNOWN: u32 = incompat::FILETYPE
    | incompat::EXTENTS
    | incompat::BIT64
    | incompat::FLEX_BG
    | incompat::EA_INODE
    | incompat::CSUM_SEED
    | incompat::LARGEDIR;

/// An ext4 filesystem that is read.
pub struct Filesystem<'a> {
    input: &'a dyn Input,
    superblock: Superblock,
    block_size: u64,
    blocks: u64,
    groups: u32,
    descriptor_size: u64,
    /// Where checksums start from, if the filesystem has them.
    seed: Option<u32>,
}

impl<'a> Filesystem<'a> {
    /// Reads and checks the superblock.
    pub fn open(input: &'a dyn Input) -> Result<Filesystem<'a>, ReadError> {
        let mut superblock = Superblock::new_zeroed();
        input.read(SUPERBLOCK_OFFSET, superblock.as_mut_bytes()).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => ReadError::NotExt4,
            _ => ReadError::Io(error),
        })?;
        let sb = &superblock;
        if sb.magic.get() != MAGIC {
            return Err(ReadError::NotExt4);
        }
        let corrupt = |what| Err(ReadError::Corrupt { place: Place::Superblock, what });
        let has_checksums = sb.feature_ro_compat.get() & ro_compat::METADATA_CSUM != 0;
        if has_checksums && crc32c(!0, &sb.as_bytes()[..1020]) != sb.checksum.get() {
            return corrupt("the checksum is wrong");
        }
        let incompatible = sb.feature_incompat.get();
        if incompatible & incompat::RECOVER != 0 {
            return Err(ReadError::Unsupported {
                what: "journal that was not replayed (`e2fsck -fy`)".into(),
            });
        }
        if incompatible & !KNOWN != 0 {
            let what = format!("incompatible features {:#x}", incompatible & !KNOWN);
            return Err(ReadError::Unsupported { what });
        }
        if sb.log_block_size.get() > 6 {
            return corrupt("its blocks are larger than 64 KiB");
        }
        let block_size = 1024u64 << sb.log_block_size.get();
        let in_bitmap = block_size * 8;
        let high = if incompatible & incompat::BIT64 != 0 { sb.blocks_count_hi.get() } else { 0 };
        let blocks = u64::from(high) << 32 | u64::from(sb.blocks_count_lo.get());
        let first = u64::from(sb.first_data_block.get());
        if first != u64::from(block_size == 1024) || blocks <= first || blocks > 1 << 48 {
            return corrupt("the number of blocks is impossible");
        }
        let (per_group, inodes) = (u64::from(sb.blocks_per_group.get()), sb.inodes_per_group.get());
        if per_group == 0 || (per_group > in_bitmap && sb.feature_ro_compat.get() & ro_compat::BIGALLOC == 0)
        {
            return corrupt("the number of blocks of a group is impossible");
        }
        let groups = (blocks - first).div_ceil(per_group);
        let Ok(groups) = u32::try_from(groups) else { return corrupt("there are too many groups") };
        if inodes == 0
            || u64::from(inodes) > in_bitmap
            || u64::from(sb.inodes_count.get()) > u64::from(groups) * u64::from(inodes)
        {
            return corrupt("the number of inodes is impossible");
        }
        let inode_size = u64::from(sb.inode_size.get());
        if !inode_size.is_power_of_two() || !(128..=block_size).contains(&inode_size) {
            return corrupt("the size of inodes is impossible");
        }
        let descriptor_size = match incompatible & incompat::BIT64 {
            0 => 32,
            _ => u64::from(sb.desc_size.get()),
        };
        if !descriptor_size.is_power_of_two() || !(32..=1024).contains(&descriptor_size) {
            return corrupt("the size of group descriptors is impossible");
        }
        let kept = incompatible & incompat::CSUM_SEED != 0;
        let start = if kept { sb.checksum_seed.get() } else { seed(&sb.uuid) };
        let seed = has_checksums.then_some(start);
        Ok(Filesystem { input, block_size, blocks, groups, descriptor_size, seed, superblock })
    }

    fn block(&self, number: u64, place: Place) -> Result<Vec<u8>, ReadError> {
        if number >= self.blocks {
            return Err(ReadError::Corrupt { place, what: "a block lies behind the end of the filesystem" });
        }
        let mut bytes = vec![0; self.block_size as usize];
        self.input.read(number * self.block_size, &mut bytes)?;
        Ok(bytes)
    }

    fn group(&self, group: u32) -> Result<GroupDescriptor, ReadError> {
        let table = (u64::from(self.superblock.first_data_block.get()) + 1) * self.block_size;
        let mut bytes = vec![0; self.descriptor_size as usize];
        self.input.read(table + u64::from(group) * self.descriptor_size, &mut bytes)?;
        if let Some(seed) = self.seed {
            let stated = u16::from_le_bytes([bytes[0x1e], bytes[0x1f]]);
            bytes[0x1e..0x20].fill(0);
            if crc32c(crc32c(seed, &group.to_le_bytes()), &bytes) as u16 != stated {
                let place = Place::Group(group);
                return Err(ReadError::Corrupt { place, what: "the checksum is wrong" });
            }
        }
        // Those of 32 bytes are the first half of the others.
        bytes.resize(size_of::<GroupDescriptor>().max(bytes.len()), 0);
        let (descriptor, _) = GroupDescriptor::read_from_prefix(&bytes).expect("it was made long enough");
        Ok(descriptor)
    }
}
