//! Inodes, as they are read.

use tree::Time;
use zerocopy::{FromBytes, IntoBytes};

use super::{Filesystem, Place, ReadError};
use crate::checksum::{crc32c, inode_seed};
use crate::format::{self, EXTRA_ISIZE, FL_EXTENTS, S_IFLNK};

/// Bytes of an inode before `i_extra_isize`.
const OLD: usize = 128;

/// An inode that was read.
pub(super) struct Inode {
    pub(super) number: u32,
    /// Its fields. Those that the disk does not have are 0.
    pub(super) fields: format::Inode,
    /// Attributes behind the fields, from their magic number on; nothing where there is no room for them.
    pub(super) behind: Vec<u8>,
    /// Where the checksums of its blocks start from, if there are any.
    pub(super) seed: Option<u32>,
}

impl Filesystem<'_> {
    /// Reads an inode by its number.
    pub(super) fn inode(&self, number: u32) -> Result<Inode, ReadError> {
        let place = Place::Inode(number);
        let corrupt = |what| Err(ReadError::Corrupt { place, what });
        if number == 0 || number > self.superblock.inodes_count.get() {
            return corrupt("there is no such inode");
        }
        let in_group = self.superblock.inodes_per_group.get();
        let group = self.group((number - 1) / in_group)?;
        let table = u64::from(group.inode_table_hi.get()) << 32 | u64::from(group.inode_table_lo.get());
        let size = u64::from(self.superblock.inode_size.get());
        let within = u64::from((number - 1) % in_group) * size;
        if table >= self.blocks || within / self.block_size >= self.blocks - table {
            return corrupt("its table lies behind the end of the filesystem");
        }
        let mut bytes = vec![0; size as usize];
        self.input.read(table * self.block_size + within, &mut bytes)?;
        // What lies between the old fields and the attributes, of which a kernel may know more or less than we do.
        let extra = match bytes.get(OLD..OLD + 2) {
            Some(extra) => usize::from(u16::from_le_bytes([extra[0], extra[1]])),
            None => 0,
        };
        if extra % 4 != 0 || OLD + extra > bytes.len() {
            return corrupt("its length is impossible");
        }
        let behind = bytes[OLD + extra..].to_vec();
        let mut whole = bytes.clone();
        whole.resize(size_of::<format::Inode>().max(whole.len()), 0);
        if extra < usize::from(EXTRA_ISIZE) {
            whole[OLD + extra..OLD + usize::from(EXTRA_ISIZE)].fill(0);
        }
        let (fields, _) = format::Inode::read_from_prefix(&whole).expect("it was made long enough");
        let seed = self.seed.map(|seed| inode_seed(seed, number, fields.generation.get()));
        if let Some(seed) = seed {
            bytes[0x7c..0x7e].fill(0);
            if extra >= 4 {
                bytes[0x82..0x84].fill(0);
            }
            let found = crc32c(seed, &bytes);
            let is_right = found as u16 == fields.checksum_lo.get()
                && (extra < 4 || (found >> 16) as u16 == fields.checksum_hi.get());
            // One that was never used may have none.
            if !is_right && fields.as_bytes().iter().any(|&byte| byte != 0) {
                return corrupt("the checksum is wrong");
            }
        }
        Ok(Inode { number, fields, behind, seed })
    }
}

impl Inode {
    pub(super) fn place(&self) -> Place {
        Place::Inode(self.number)
    }

    /// The type, as `S_IFMT` cuts it out of the mode.
    pub(super) fn file_type(&self) -> u16 {
        self.fields.mode.get() & 0o170_000
    }

    pub(super) fn size(&self) -> u64 {
        u64::from(self.fields.size_high.get()) << 32 | u64::from(self.fields.size_lo.get())
    }

    pub(super) fn uid(&self) -> u32 {
        u32::from(self.fields.uid_high.get()) << 16 | u32::from(self.fields.uid.get())
    }

    pub(super) fn gid(&self) -> u32 {
        u32::from(self.fields.gid_high.get()) << 16 | u32::from(self.fields.gid.get())
    }

    /// The last modification: 34 bits of seconds, and nanoseconds.
    pub(super) fn mtime(&self) -> Time {
        let extra = self.fields.mtime_extra.get();
        let seconds = i64::from(self.fields.mtime.get() as i32) + (i64::from(extra & 3) << 32);
        Time { seconds, nanoseconds: extra >> 2 }
    }

    pub(super) fn has_extents(&self) -> bool {
        self.fields.flags.get() & FL_EXTENTS != 0
    }

    /// The text of a link that lies in the inode itself.
    pub(super) fn short_text(&self) -> Option<&[u8]> {
        let length = usize::try_from(self.size()).ok()?;
        let is_here = self.file_type() == S_IFLNK && !self.has_extents();
        self.fields.block.get(..length).filter(|_| is_here)
    }

    /// Major and minor number of a device: the old form in the first word or the new one in the second.
    pub(super) fn device(&self) -> (u32, u32) {
        let word = |at: usize| {
            let bytes = &self.fields.block[at * 4..at * 4 + 4];
            u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
        };
        match (word(0), word(1)) {
            (0, new) => ((new >> 8) & 0xfff, (new & 0xff) | ((new >> 12) & 0xf_ff00)),
            (old, _) => ((old >> 8) & 0xff, old & 0xff),
        }
    }
}
