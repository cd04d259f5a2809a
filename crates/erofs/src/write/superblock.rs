//! The superblock.

use zerocopy::IntoBytes;

use crate::checksum::crc32c;
use crate::format::{
    DEVICE_SLOT_SIZE, DeflateConfiguration, DeviceSlot, Lz4Configuration, MAGIC, SUPERBLOCK_OFFSET,
    Superblock, ZSTD_WINDOW_BITS_MIN, ZstdConfiguration,
};
use crate::plan::Width;
use crate::plan::survey::Inode;
use crate::press::WINDOW_BITS;
use crate::{Algorithm, Compression, Layout};

/// Puts the superblock into the block that holds it, which starts at `at` and holds all that else lies in it: the
/// checksum covers what follows the superblock, too.
pub(crate) fn write(layout: &Layout, block: &mut [u8], at: u64) {
    let covered = &mut block[(SUPERBLOCK_OFFSET - at) as usize..];
    let mut superblock = superblock(layout);
    covered[..size_of::<Superblock>()].copy_from_slice(superblock.as_bytes());
    let configuration = configuration(layout);
    covered[size_of::<Superblock>()..][..configuration.len()].copy_from_slice(&configuration);
    superblock.checksum = crc32c(covered).into();
    covered[..size_of::<Superblock>()].copy_from_slice(superblock.as_bytes());
}

/// The table of devices. Their blocks are counted behind the filesystem's, for who puts all behind one another.
pub(crate) fn devices(layout: &Layout) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(layout.devices.len() * DEVICE_SLOT_SIZE as usize);
    let mut start = layout.placed.blocks;
    for device in &layout.devices {
        let blocks = device.blocks(layout.options.block_size);
        // Together they have no more than addresses number: the plan looked.
        let slot = DeviceSlot {
            tag: device.padded_tag(),
            blocks: (blocks as u32).into(),
            uniaddr: (start as u32).into(),
            blocks_hi: ((blocks >> 32) as u16).into(),
            uniaddr_hi: ((start >> 32) as u16).into(),
            reserved: [0; 52],
        };
        bytes.extend_from_slice(slot.as_bytes());
        start += blocks;
    }
    bytes
}

/// What the algorithm wants to know: the length of it, and it.
fn configuration(layout: &Layout) -> Vec<u8> {
    let compression = layout.options.compression.filter(|_| layout.has_configurations());
    let Some(Compression { algorithm, cluster }) = compression else { return Vec::new() };
    let configuration = match algorithm {
        Algorithm::Lz4 | Algorithm::Lz4hc(_) => {
            let blocks = (cluster.bytes() / layout.block_size()) as u16;
            Lz4Configuration {
                max_distance: u16::MAX.into(),
                max_pclusterblks: blocks.into(),
                reserved: [0; 10],
            }
            .as_bytes()
            .to_vec()
        }
        Algorithm::Deflate(_) => {
            DeflateConfiguration { windowbits: 15, reserved: [0; 5] }.as_bytes().to_vec()
        }
        Algorithm::Zstd(_) => {
            let windowlog = WINDOW_BITS - ZSTD_WINDOW_BITS_MIN;
            ZstdConfiguration { format: 0, windowlog, reserved: [0; 4] }.as_bytes().to_vec()
        }
    };
    [&(configuration.len() as u16).to_le_bytes()[..], &configuration].concat()
}

fn superblock(layout: &Layout) -> Superblock {
    let (options, survey, placed) = (&layout.options, &layout.survey, &layout.placed);
    let features = layout.features();
    let root = survey.inodes.first().map_or(0, |root: &Inode| root.nid);
    // It was placed first, at most behind the first block.
    let (root_nid, rootnid_8b) = match layout.width {
        Width::Narrow => (root as u16, 0),
        Width::Wide => ((placed.blocks >> 32) as u16, root),
    };
    Superblock {
        magic: MAGIC.into(),
        checksum: 0.into(),
        feature_compat: features.compat.into(),
        blkszbits: options.block_size.bits(),
        sb_extslots: 0,
        root_nid: root_nid.into(),
        inos: layout.inodes().into(),
        build_time: survey.epoch.seconds.into(),
        build_time_nsec: survey.epoch.nanoseconds.into(),
        blocks: (placed.blocks as u32).into(),
        meta_blkaddr: (placed.metadata as u32).into(),
        xattr_blkaddr: ((placed.shared / u64::from(layout.block_size())) as u32).into(),
        uuid: options.uuid,
        volume_name: options.label.padded(),
        feature_incompat: features.incompat.into(),
        available_compr_algs: match layout.algorithm() {
            Some(algorithm) if layout.has_configurations() => (1 << algorithm.number()).into(),
            _ => 0.into(),
        },
        // The plan looked that both are small.
        extra_devices: (layout.devices.len() as u16).into(),
        devt_slotoff: match layout.devices.len() {
            0 => 0.into(),
            _ => ((placed.devices / DEVICE_SLOT_SIZE) as u16).into(),
        },
        dirblkbits: 0,
        xattr_prefix_count: 0,
        xattr_prefix_start: 0.into(),
        packed_nid: placed.packed.into(),
        xattr_filter_reserved: 0,
        reserved: [0; 7],
        rootnid_8b: rootnid_8b.into(),
        reserved2: [0; 8],
    }
}
