//! Other devices that hold contents, and what the algorithms want to know.

use zerocopy::FromBytes;

use super::{Filesystem, Place, ReadError};
use crate::format::{
    DEVICE_SLOT_SIZE, DeflateConfiguration, DeviceSlot, Lz4Configuration, LzmaConfiguration,
    SUPERBLOCK_OFFSET, Superblock, ZSTD_WINDOW_BITS_MIN, ZstdConfiguration, incompat,
};

/// A device with contents.
pub(super) struct Device {
    /// What it is known by.
    pub(super) tag: Box<[u8]>,
    pub(super) blocks: u64,
    /// Where its blocks come among those of all; 0 if they do not.
    pub(super) start: u64,
}

/// Names of algorithms by number.
pub(super) const ALGORITHMS: [&str; 4] = ["lz4", "lzma", "deflate", "zstd"];

impl Filesystem<'_> {
    pub(super) fn read_devices(&self) -> Result<Vec<Device>, ReadError> {
        let count = match self.has(incompat::DEVICE_TABLE) {
            true => self.superblock.extra_devices.get(),
            false => 0,
        };
        let table = u64::from(self.superblock.devt_slotoff.get()) * DEVICE_SLOT_SIZE;
        let mut devices = Vec::new();
        for number in 1..=count {
            let at = table + u64::from(number - 1) * DEVICE_SLOT_SIZE;
            let bytes = self.bytes(at, DEVICE_SLOT_SIZE, Place::Device(number))?;
            let slot = DeviceSlot::read_from_bytes(&bytes).expect("it has the length");
            let upper = |bits: u16| if self.has(incompat::WIDE) { u64::from(bits) << 32 } else { 0 };
            let tag = slot.tag.split(|&byte| byte == 0).next().unwrap_or_default();
            devices.push(Device {
                tag: tag.into(),
                blocks: upper(slot.blocks_hi.get()) | u64::from(slot.blocks.get()),
                start: upper(slot.uniaddr_hi.get()) | u64::from(slot.uniaddr.get()),
            });
        }
        Ok(devices)
    }

    /// What stands behind the superblock of each algorithm that is in use, as words.
    pub(super) fn algorithms(&self) -> Result<Vec<String>, ReadError> {
        let bits = self.superblock.available_compr_algs.get();
        if !self.has(incompat::COMPR_CFGS) {
            // Then it is LZ4, and the field says how far that looks back.
            let distance = if bits == 0 { u16::MAX } else { bits };
            let is_used = self.has(incompat::ZERO_PADDING);
            return Ok(is_used.then(|| format!("lz4 (looking back {distance})")).into_iter().collect());
        }
        let slots = u64::from(self.superblock.sb_extslots);
        let mut at = SUPERBLOCK_OFFSET + size_of::<Superblock>() as u64 + 16 * slots;
        let mut words = Vec::new();
        for bit in (0..16u16).filter(|bit| bits >> bit & 1 == 1) {
            at = at.next_multiple_of(4);
            let length = self.bytes(at, 2, Place::Superblock)?;
            let length = u64::from(u16::from_le_bytes([length[0], length[1]]));
            let bytes = self.bytes(at + 2, length, Place::Superblock)?;
            at += 2 + length;
            let word = configuration(usize::from(bit), &bytes);
            let what = "what it says of an algorithm is cut short";
            words.push(word.ok_or(ReadError::Corrupt { place: Place::Superblock, what })?);
        }
        Ok(words)
    }
}

fn configuration(algorithm: usize, bytes: &[u8]) -> Option<String> {
    Some(match algorithm {
        0 => {
            let (lz4, _) = Lz4Configuration::read_from_prefix(bytes).ok()?;
            let (distance, blocks) = (lz4.max_distance.get(), lz4.max_pclusterblks.get());
            format!("lz4 (looking back {distance}, clusters of up to {blocks} blocks)")
        }
        1 => {
            let (lzma, _) = LzmaConfiguration::read_from_prefix(bytes).ok()?;
            format!("lzma (looking back {})", lzma.dict_size.get())
        }
        2 => {
            let (deflate, _) = DeflateConfiguration::read_from_prefix(bytes).ok()?;
            format!("deflate (looking back 2^{})", deflate.windowbits)
        }
        3 => {
            let (zstd, _) = ZstdConfiguration::read_from_prefix(bytes).ok()?;
            format!("zstd (looking back 2^{})", u16::from(zstd.windowlog) + u16::from(ZSTD_WINDOW_BITS_MIN))
        }
        number => format!("algorithm {number}"),
    })
}
