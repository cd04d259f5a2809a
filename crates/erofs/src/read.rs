//! Reading an EROFS filesystem, as far as [`dump`](Filesystem::dump) needs it: where everything lies, and not what files
//! hold.
//!
//! What is read may come from anybody: nothing is believed that is not checked against the bounds of the filesystem.

mod chunks;
mod clusters;
mod devices;
mod directories;
mod dump;
mod error;
mod inodes;
mod prefixes;
mod slots;
mod xattrs;

use tree::{Input, Time};
use zerocopy::{FromZeros, IntoBytes};

pub use error::{Place, ReadError};

use crate::checksum::crc32c;
use crate::format::{FEATURES, MAGIC, SUPERBLOCK_OFFSET, Superblock, WIDE_NULL_ADDRESS, compat, incompat};
use devices::Device;

/// An EROFS filesystem that is read.
pub struct Filesystem<'a> {
    input: &'a dyn Input,
    superblock: Superblock,
    block_size: u64,
    /// Where inodes are counted from, in bytes.
    metadata: u64,
    /// The root's number.
    root: u64,
    /// All blocks, and their bytes.
    blocks: u64,
    end: u64,
    devices: Vec<Device>,
}

impl<'a> Filesystem<'a> {
    /// Reads and checks the superblock.
    pub fn open(input: &'a dyn Input) -> Result<Filesystem<'a>, ReadError> {
        let mut superblock = Superblock::new_zeroed();
        input.read(SUPERBLOCK_OFFSET, superblock.as_mut_bytes()).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => ReadError::NotErofs,
            _ => ReadError::Io(error),
        })?;
        if superblock.magic.get() != MAGIC {
            return Err(ReadError::NotErofs);
        }
        let corrupt = |what| Err(ReadError::Corrupt { place: Place::Superblock, what });
        if !(9..=16).contains(&superblock.blkszbits) {
            return corrupt("its blocks are smaller than 512 bytes or larger than 64 KiB");
        }
        let block_size = 1 << superblock.blkszbits;
        check_checksum(input, &superblock, block_size)?;
        let known = FEATURES[1].iter().fold(0, |all, (bit, _)| all | bit);
        let unknown = superblock.feature_incompat.get() & !known;
        if unknown != 0 {
            return Err(ReadError::Unsupported { what: format!("incompatible features {unknown:#x}") });
        }
        if superblock.dirblkbits != 0 {
            return Err(ReadError::Unsupported {
                what: "blocks of names that are larger than others".into(),
            });
        }
        if superblock.build_time_nsec.get() >= 1_000_000_000 {
            return corrupt("its time has more nanoseconds than a second has");
        }
        let (mut blocks, mut root) = (u64::from(superblock.blocks.get()), superblock.root_nid.get().into());
        if superblock.feature_incompat.get() & incompat::WIDE != 0 && superblock.rootnid_8b.get() != 0 {
            blocks |= root << 32;
            root = superblock.rootnid_8b.get();
        }
        let metadata = u64::from(superblock.meta_blkaddr.get());
        if metadata >= blocks || u64::from(superblock.xattr_blkaddr.get()) > blocks {
            return corrupt("inodes or attributes lie behind the end of the filesystem");
        }
        let mut filesystem = Filesystem {
            input,
            block_size,
            metadata: metadata * block_size,
            root,
            blocks,
            end: blocks * block_size,
            devices: Vec::new(),
            superblock,
        };
        filesystem.devices = filesystem.read_devices()?;
        Ok(filesystem)
    }

    fn has(&self, feature: u32) -> bool {
        self.superblock.feature_incompat.get() & feature != 0
    }

    /// The time of small inodes.
    fn epoch(&self) -> Time {
        Time { seconds: self.superblock.build_time.get(), nanoseconds: self.superblock.build_time_nsec.get() }
    }

    /// So many bytes of metadata. Who asks for more than a few must know that there is a reason for it.
    fn bytes(&self, at: u64, length: u64, place: Place) -> Result<Vec<u8>, ReadError> {
        if at.checked_add(length).is_none_or(|end| end > self.end) {
            return Err(ReadError::Corrupt { place, what: "it reaches behind the end of the filesystem" });
        }
        let mut bytes = vec![0; length as usize];
        self.input.read(at, &mut bytes)?;
        Ok(bytes)
    }

    /// Checks that blocks of contents exist, on the filesystem's own device or on one that is mapped behind it.
    fn check_blocks(&self, start: u64, blocks: u64, place: Place) -> Result<(), ReadError> {
        let mapped = self.devices.iter().filter(|device| device.start > 0);
        let end = mapped.map(|device| device.start + device.blocks).fold(self.blocks, u64::max);
        let end = end.min(WIDE_NULL_ADDRESS);
        if start.checked_add(blocks).is_none_or(|stop| stop > end) {
            return Err(ReadError::Corrupt { place, what: "a block lies behind the end of the filesystem" });
        }
        Ok(())
    }
}

fn check_checksum(input: &dyn Input, superblock: &Superblock, block_size: u64) -> Result<(), ReadError> {
    if superblock.feature_compat.get() & compat::SB_CHKSUM == 0 {
        return Ok(());
    }
    // To the end of its block.
    let length = block_size - if block_size > SUPERBLOCK_OFFSET { SUPERBLOCK_OFFSET } else { 0 };
    let mut covered = vec![0; length as usize];
    input.read(SUPERBLOCK_OFFSET, &mut covered)?;
    covered[4..8].fill(0);
    if crc32c(&covered) != superblock.checksum.get() {
        return Err(ReadError::Corrupt { place: Place::Superblock, what: "the checksum is wrong" });
    }
    Ok(())
}
