//! Group descriptors and bitmaps.

use zerocopy::{FromZeros, IntoBytes};

use crate::checksum::crc32c;
use crate::format::{BG_BLOCK_UNINIT, BG_INODE_UNINIT, GroupDescriptor};
use crate::plan::groups::Run;
use crate::write::Sink;
use crate::write::superblock::halves;
use crate::{Error, Layout};

/// Writes the bitmaps of all groups. Returns the descriptors, padded to whole blocks.
pub(crate) fn write_bitmaps(layout: &Layout, seed: u32, sink: &mut Sink<'_>) -> Result<Vec<u8>, Error> {
    let groups = &layout.placed.groups;
    let block = u64::from(layout.block_size());
    let mut descriptors = Vec::with_capacity((groups.descriptor_blocks * block) as usize);
    let mut fixed = groups.fixed.as_slice();
    let mut blocks = vec![0; block as usize];
    let mut inodes = vec![0; block as usize];
    // The inode bitmaps of 16 groups follow their block bitmaps: two passes keep the writes together.
    let mut inode_bitmaps: Vec<(u64, Vec<u8>)> = Vec::new();
    for (group, (place, counts)) in (0u32..).zip(groups.places.iter().zip(&layout.groups)) {
        let mut descriptor = GroupDescriptor::new_zeroed();
        (descriptor.block_bitmap_lo, descriptor.block_bitmap_hi) = halves(place.block_bitmap);
        (descriptor.inode_bitmap_lo, descriptor.inode_bitmap_hi) = halves(place.inode_bitmap);
        (descriptor.inode_table_lo, descriptor.inode_table_hi) = halves(place.inode_table);
        // Counts in two halves of 16 bits.
        let counts16 = |count: u32| ((count as u16).into(), ((count >> 16) as u16).into());
        (descriptor.free_blocks_count_lo, descriptor.free_blocks_count_hi) = counts16(counts.free_blocks);
        (descriptor.free_inodes_count_lo, descriptor.free_inodes_count_hi) = counts16(counts.free_inodes);
        (descriptor.used_dirs_count_lo, descriptor.used_dirs_count_hi) = counts16(counts.used_directories);
        // Inodes are used from the front, so what is free was never used.
        (descriptor.itable_unused_lo, descriptor.itable_unused_hi) = counts16(counts.free_inodes);
        descriptor.flags = counts.flags.into();

        while fixed.first().is_some_and(|run| run.end() <= groups.group_start(group)) {
            fixed = &fixed[1..];
        }
        if counts.flags & BG_BLOCK_UNINIT == 0 {
            fill_blocks(layout, group, fixed, &mut blocks);
            let checksum = crc32c(seed, &blocks);
            descriptor.block_bitmap_csum_lo = (checksum as u16).into();
            descriptor.block_bitmap_csum_hi = ((checksum >> 16) as u16).into();
            sink.put(place.block_bitmap * block, &blocks)?;
        }
        if counts.flags & BG_INODE_UNINIT == 0 {
            inodes.fill(0);
            set(&mut inodes, 0, u64::from(groups.inodes_per_group - counts.free_inodes));
            // Bits that stand for no inode are set, and not part of the checksum.
            set(&mut inodes, groups.inodes_per_group.into(), block * 8);
            let checksum = crc32c(seed, &inodes[..groups.inodes_per_group as usize / 8]);
            descriptor.inode_bitmap_csum_lo = (checksum as u16).into();
            descriptor.inode_bitmap_csum_hi = ((checksum >> 16) as u16).into();
            inode_bitmaps.push((place.inode_bitmap, inodes.clone()));
        }
        let checksum = crc32c(crc32c(seed, &group.to_le_bytes()), descriptor.as_bytes());
        descriptor.checksum = (checksum as u16).into();
        descriptors.extend_from_slice(descriptor.as_bytes());

        let flex_is_full = (group + 1) % crate::format::FLEX == 0 || group + 1 == groups.count();
        for (place, bitmap) in inode_bitmaps.drain(..if flex_is_full { inode_bitmaps.len() } else { 0 }) {
            sink.put(place * block, &bitmap)?;
        }
    }
    descriptors.resize((groups.descriptor_blocks * block) as usize, 0);
    Ok(descriptors)
}

/// Makes the block bitmap of a group. `fixed` starts with the first run that reaches into it.
fn fill_blocks(layout: &Layout, group: u32, fixed: &[Run], bitmap: &mut [u8]) {
    let groups = &layout.placed.groups;
    let (start, end) = (groups.group_start(group), groups.group_end(group));
    bitmap.fill(0);
    set(bitmap, 0, layout.placed.end.clamp(start, end) - start);
    for run in fixed.iter().take_while(|run| run.start < end) {
        set(bitmap, run.start.max(start) - start, run.end().min(end) - start);
    }
    set(bitmap, end - start, bitmap.len() as u64 * 8);
}

/// Sets the bits from `start` up to `end`.
fn set(bitmap: &mut [u8], start: u64, end: u64) {
    let (mut bit, end) = (start as usize, end as usize);
    while bit < end && bit % 8 != 0 {
        bitmap[bit / 8] |= 1 << (bit % 8);
        bit += 1;
    }
    while bit + 8 <= end {
        bitmap[bit / 8] = 0xff;
        bit += 8;
    }
    while bit < end {
        bitmap[bit / 8] |= 1 << (bit % 8);
        bit += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::set;

    #[test]
    fn bits() {
        for (start, end) in [(0, 0), (0, 32), (3, 5), (7, 9), (8, 16), (1, 31), (31, 32), (5, 24)] {
            let mut bitmap = [0; 4];
            set(&mut bitmap, start, end);
            let expected = (start..end).fold(0u32, |bits, bit| bits | 1 << bit);
            assert_eq!(u32::from_le_bytes(bitmap), expected, "{start}..{end}");
        }
    }
}
