//! Devices beside the filesystem: tarballs, in which contents stay where they are.

use tree::{Content, Kind, Span, Tree};

use crate::plan::width::{Width, too_large};
use crate::{BlockSize, Error, Options};

/// Bytes of a device's name in the filesystem (`erofs_deviceslot.tag`).
const TAG_LENGTH: usize = 64;

/// Their table comes before the root, whose number has 16 bits.
const DEVICES: usize = 8192;

/// A device beside the filesystem that holds contents as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The layer whose content space it is: there alone no block need be filled up with zeros.
    pub layer: u32,
    /// What it is known by; 64 bytes of it are kept.
    pub tag: Box<[u8]>,
    /// Its bytes. A part of a block at its end is not used.
    pub length: u64,
}

impl Device {
    /// Whole blocks.
    pub(crate) fn blocks(&self, size: BlockSize) -> u64 {
        self.length / u64::from(size.bytes())
    }

    /// The start of its name, filled up with zeros.
    pub(crate) fn padded_tag(&self) -> [u8; TAG_LENGTH] {
        let mut tag = [0; TAG_LENGTH];
        let length = self.tag.len().min(TAG_LENGTH);
        tag[..length].copy_from_slice(&self.tag[..length]);
        tag
    }
}

/// Where a file lies on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outside {
    /// Number of the device, from 1.
    pub(crate) device: u16,
    /// Its first block there.
    pub(crate) block: u32,
}

/// Where a file's blocks lie on one of `devices`, which are in the order of their layers; `None` if not all of it lies
/// there in blocks.
pub(crate) fn outside(devices: &[Device], content: &Content, size: BlockSize) -> Option<Outside> {
    let &Content::Whole(Span { layer, offset, length }) = content else { return None };
    let place = devices.binary_search_by_key(&layer, |device| device.layer).ok()?;
    let block = u64::from(size.bytes());
    let end = offset.checked_add(length)?.div_ceil(block);
    let fits = offset.is_multiple_of(block) && end <= devices[place].blocks(size);
    // Neither number has more bits: `used` looked.
    fits.then_some(Outside { device: place as u16 + 1, block: (offset / block) as u32 })
}

/// Those on which some file of `tree` lies, in the order of their layers.
pub(crate) fn used(tree: &Tree, devices: &[Device], options: &Options) -> Result<Vec<Device>, Error> {
    let size = options.block_size;
    let mut all = devices.to_vec();
    all.sort_by_key(|device| device.layer);
    if let Some(blocks) =
        all.iter().map(|device| device.blocks(size)).find(|&blocks| blocks > u32::MAX.into())
    {
        return Err(too_large(blocks, options, Width::Narrow));
    }
    if all.len() > DEVICES {
        return Err(Error::Option { what: "an index leads to at most 8192 devices" });
    }
    let mut is_used = vec![false; all.len()];
    let mut walk = tree.walk();
    while let Some(visit) = walk.step() {
        if let Kind::File(content) = &tree.node(visit.node).kind
            && let Some(Outside { device, .. }) = outside(&all, content, size)
        {
            is_used[usize::from(device) - 1] = true;
        }
    }
    let mut is_used = is_used.into_iter();
    all.retain(|_| is_used.next() == Some(true));
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_in_whole_blocks() {
        let device = |layer, length| Device { layer, tag: Box::default(), length };
        let devices = [device(2, 10_239), device(5, 1024)];
        for (layer, offset, length, found) in [
            (2, 512, 1, Some((1, 1))),
            (5, 0, 1024, Some((2, 0))),
            (5, 512, 513, None),
            // The last block is not whole.
            (2, 9216, 512, Some((1, 18))),
            (2, 9216, 513, None),
            (2, 100, 10, None),
            (3, 512, 10, None),
            (2, u64::MAX - 511, 512, None),
        ] {
            let content = Content::Whole(Span { layer, offset, length });
            let outside = outside(&devices, &content, BlockSize::B512);
            let expected = found.map(|(device, block)| Outside { device, block });
            assert_eq!(outside, expected, "{content:?}");
        }
    }
}
