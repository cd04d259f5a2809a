//! Reading the entries of a tar archive: v7, ustar, GNU and pax, as they come by.
//!
//! [`Reader`] gives one [`Entry`] after the other with everything resolved that the formats spread over
//! several headers: names, sizes, times, sparse maps. What an entry *means* for a layer is decided in
//! [`read`](mod@crate::read); this module knows nothing of whiteouts.
//!
//! The formats are described in POSIX `pax` ("ustar Interchange Format", "pax Interchange Format") and in the
//! appendix "Tar Internals" of the GNU tar manual.

mod header;
mod pax;
mod reader;
mod resolve;
mod sparse;

pub use pax::Records;
pub use reader::{End, Reader};
pub use sparse::{Segment, Sparse};

pub(crate) use header::{BLOCK, field};

use tree::{Device, Time};

/// How many entries an archive may have. The largest images have about two million files.
pub const ENTRIES_MAX: u64 = 5_000_000;

/// How many bytes the headers that extend one entry may have together. Linux allows 4 KiB of path, 4 KiB of
/// link target and, where a filesystem can hold them, 64 KiB for each extended attribute.
pub const HEADER_BYTES_MAX: u64 = 1 << 20;

/// How many runs of data a sparse file may have: 16 MiB of memory, enough for a badly fragmented disk image.
pub const SPARSE_SEGMENTS_MAX: u64 = 1 << 20;

/// How many bytes may stand behind the end of an archive. Writers fill up to a record, which is 10 KiB as a
/// rule and rarely more than a few MiB.
pub const TRAILING_BYTES_MAX: u64 = 64 << 20;

/// Limits that a [`Reader`] keeps to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Most entries; [`ENTRIES_MAX`].
    pub entries: u64,
    /// Most bytes in the headers that extend one entry; [`HEADER_BYTES_MAX`].
    pub header_bytes: u64,
    /// Most runs of data in one sparse file; [`SPARSE_SEGMENTS_MAX`].
    pub sparse_segments: u64,
    /// Most bytes behind the archive's end; [`TRAILING_BYTES_MAX`].
    pub trailing_bytes: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            entries: ENTRIES_MAX,
            header_bytes: HEADER_BYTES_MAX,
            sparse_segments: SPARSE_SEGMENTS_MAX,
            trailing_bytes: TRAILING_BYTES_MAX,
        }
    }
}

/// What an entry is, as its type flag says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A second name for the file at [`Entry::link`].
    Link,
    /// A symbolic link with the text [`Entry::link`].
    Symlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
    /// A type that no standard defines; its content is there to be skipped.
    Unknown(u8),
}

/// One entry of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number in the archive, from 0.
    pub index: u64,
    /// What it is.
    pub kind: EntryKind,
    /// Its name: raw bytes, as they stand there.
    pub name: Vec<u8>,
    /// Link target or symlink text, raw bytes; empty where there is none.
    pub link: Vec<u8>,
    /// Permission bits and whatever else stands in the mode field.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last modification.
    pub mtime: Time,
    /// The device's number; 0, 0 for anything else.
    pub device: Device,
    /// Where the content starts in the archive, in bytes.
    pub content_offset: u64,
    /// Bytes of content in the archive; 0 for everything but files and unknown types. For a sparse file these
    /// are its runs of data one behind the other.
    pub size: u64,
    /// Where the content belongs, for a sparse file.
    pub sparse: Option<Sparse>,
    /// The entry's own pax records, well formed.
    records: Vec<u8>,
}

impl Entry {
    /// The entry's own pax records in their order, among them those that are reflected in other fields.
    pub fn records(&self) -> Records<'_> {
        Records::new(&self.records)
    }

    /// Size of the file in bytes, its holes included.
    pub fn real_size(&self) -> u64 {
        self.sparse.as_ref().map_or(self.size, |sparse| sparse.size)
    }
}
