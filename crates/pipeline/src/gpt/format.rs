//! The structures on the disk, declared once.
//!
//! Names are those of the UEFI specification 2.10, 5.2.3 (protective MBR), 5.3.2 (header) and 5.3.3 (entries), in the
//! spelling of Rust. All numbers are little-endian.

use std::mem::{offset_of, size_of};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, little_endian as le};

/// What a header begins with.
pub(super) const SIGNATURE: [u8; 8] = *b"EFI PART";
/// 1.0, the only one there is.
pub(super) const REVISION: u32 = 0x0001_0000;
/// How many entries there are: as many as every tool makes, since at least 16 KiB are to be kept for them.
pub(super) const ENTRIES: usize = 128;
/// Bytes of all entries.
pub(super) const ENTRIES_LENGTH: u64 = (ENTRIES * size_of::<Entry>()) as u64;
/// The type of the MBR's only partition, which keeps those away who do not know what follows.
pub(super) const OS_TYPE_GPT_PROTECTIVE: u8 = 0xee;

/// The first sector's first 512 bytes.
#[derive(Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct ProtectiveMbr {
    pub(super) boot_code: [u8; 440],
    pub(super) unique_mbr_disk_signature: [u8; 4],
    pub(super) unknown: [u8; 2],
    pub(super) partition_record: [PartitionRecord; 4],
    pub(super) signature: [u8; 2],
}

/// A partition as an MBR has it.
#[derive(Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct PartitionRecord {
    pub(super) boot_indicator: u8,
    pub(super) starting_chs: [u8; 3],
    pub(super) os_type: u8,
    pub(super) ending_chs: [u8; 3],
    pub(super) starting_lba: le::U32,
    pub(super) size_in_lba: le::U32,
}

/// The header, once in the second sector and once in the last.
#[derive(Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Header {
    pub(super) signature: [u8; 8],
    pub(super) revision: le::U32,
    pub(super) header_size: le::U32,
    pub(super) header_crc32: le::U32,
    pub(super) reserved: le::U32,
    pub(super) my_lba: le::U64,
    pub(super) alternate_lba: le::U64,
    pub(super) first_usable_lba: le::U64,
    pub(super) last_usable_lba: le::U64,
    pub(super) disk_guid: Guid,
    pub(super) partition_entry_lba: le::U64,
    pub(super) number_of_partition_entries: le::U32,
    pub(super) size_of_partition_entry: le::U32,
    pub(super) partition_entry_array_crc32: le::U32,
}

/// A partition.
#[derive(Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Entry {
    pub(super) partition_type_guid: Guid,
    pub(super) unique_partition_guid: Guid,
    pub(super) starting_lba: le::U64,
    /// The last one, not the one behind it.
    pub(super) ending_lba: le::U64,
    pub(super) attributes: le::U64,
    pub(super) partition_name: [le::U16; 36],
}

const _: () = assert!(size_of::<ProtectiveMbr>() == 512);
const _: () = assert!(offset_of!(ProtectiveMbr, partition_record) == 446);
const _: () = assert!(size_of::<PartitionRecord>() == 16);
const _: () = assert!(size_of::<Header>() == 92);
const _: () = assert!(offset_of!(Header, disk_guid) == 56);
const _: () = assert!(offset_of!(Header, partition_entry_array_crc32) == 88);
const _: () = assert!(size_of::<Entry>() == 128);
const _: () = assert!(offset_of!(Entry, partition_name) == 56);

/// A UUID, whose first three groups are numbers here, and therefore little-endian (appendix A).
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Guid([u8; 16]);

impl Guid {
    /// From a UUID as it is read.
    pub(super) fn new(mut uuid: [u8; 16]) -> Guid {
        for group in [0..4, 4..6, 6..8] {
            uuid[group].reverse();
        }
        Guid(uuid)
    }

    /// As it is read.
    pub(super) fn uuid(self) -> [u8; 16] {
        Guid::new(self.0).0
    }
}

impl Header {
    /// The checksum over the header, which is zero itself there.
    pub(super) fn checksum(&self) -> u32 {
        let bytes = self.as_bytes();
        let at = offset_of!(Header, header_crc32);
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&bytes[..at]);
        hasher.update(&[0; size_of::<u32>()]);
        hasher.update(&bytes[at + size_of::<u32>()..]);
        hasher.finalize()
    }
}
