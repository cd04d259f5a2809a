//! The table of a disk with partitions: what a GPT says, and where it stands.
//!
//! ```text
//! MBR │ header │ entries │ … │ partition │ … │ partition │ … │ entries │ header
//! 0     1        2            1 MiB            at a MiB                  the last sector
//! ```
//!
//! See the UEFI specification 2.10, chapter 5, for the table, and the Discoverable Partitions Specification for what the
//! types and attributes of partitions mean. UUIDs are here as they are read, the first digit first.

mod format;
mod read;
mod types;
mod write;

pub use types::RootType;

/// Partitions begin and end at multiples of so many bytes, as with every partitioning tool.
pub(crate) const ALIGNMENT: u64 = 1 << 20;
// So much in front of them and behind them has room for the table.
const _: () = assert!(format::ENTRIES_LENGTH + 2 * 4096 <= ALIGNMENT);

/// Nothing writes to the partition (Discoverable Partitions Specification, "Partition Attribute Flags").
pub(crate) const READ_ONLY: u64 = 1 << 60;
/// The filesystem is grown to the partition's size when it is mounted.
pub(crate) const GROW_FILE_SYSTEM: u64 = 1 << 59;

/// How long a disk's sectors are. A table for one length is none for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sector {
    /// 512 bytes: nearly every disk, and every virtual one that says nothing else.
    B512,
    /// 4096 bytes.
    B4096,
}

impl Sector {
    /// All there are.
    pub(crate) const ALL: [Sector; 2] = [Sector::B512, Sector::B4096];

    /// Its bytes.
    pub fn bytes(self) -> u32 {
        match self {
            Sector::B512 => 512,
            Sector::B4096 => 4096,
        }
    }
}

/// A disk's table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The disk's UUID.
    pub uuid: [u8; 16],
    /// How long its sectors are.
    pub sector: Sector,
    /// Its length in bytes.
    pub length: u64,
    /// Its partitions, in the order of the table.
    pub partitions: Vec<Partition>,
}

/// A part of a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// What it is for, as a UUID.
    pub partition_type: [u8; 16],
    /// Its own UUID.
    pub uuid: [u8; 16],
    /// Where it begins, in bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
    /// Bits that say more.
    pub attributes: u64,
    /// Its name.
    pub label: String,
}

impl Partition {
    /// Whether nothing writes to it.
    pub fn is_read_only(&self) -> bool {
        self.attributes & READ_ONLY != 0
    }

    /// Whether its filesystem is grown to its size when it is mounted.
    pub fn grows_filesystem(&self) -> bool {
        self.attributes & GROW_FILE_SYSTEM != 0
    }
}

impl Table {
    /// The first partition that is a root, of whatever architecture, and the one for its hash tree if there is one.
    pub fn root(&self) -> Option<(&Partition, Option<&Partition>)> {
        self.partitions.iter().find_map(|root| {
            let kind = RootType::all().find(|kind| kind.root() == root.partition_type)?;
            let verity = |partition: &&Partition| partition.partition_type == kind.verity();
            Some((root, self.partitions.iter().find(verity)))
        })
    }
}
