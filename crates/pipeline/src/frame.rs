//! What there is around a filesystem: a table of partitions in front of it and behind it, a hash tree behind it.

use std::fs::File;
use std::io;
use std::path::Path;

use hash::dm_verity;
use oci::{Image, Platform};

use crate::gpt::{ALIGNMENT, GROW_FILE_SYSTEM, Partition, READ_ONLY, RootType, Sector, Table};
use crate::identity::Identity;
use crate::publish;
use crate::verity::Verity;

/// What there is around a filesystem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Frame {
    /// Whether a hash tree for dm-verity lies behind it, in a partition of its own if there are any.
    pub verity: bool,
    /// Whether it is a partition of a disk, and how long the disk's sectors are.
    pub gpt: Option<Sector>,
}

/// A filesystem that cannot be a partition.
#[derive(Debug, thiserror::Error)]
pub enum Unframeable {
    /// Its image is for a platform whose roots have no type.
    #[error("there is no type of partition for a root of {0}")]
    Platform(Platform),
    /// Its image is for nobody knows what.
    #[error("the image does not say which architecture it is for, so that its partition has no type")]
    Unstated,
    /// Its blocks are shorter than sectors, which no kernel mounts.
    #[error("blocks of {block} bytes are shorter than the disk's sectors of {sector}")]
    Blocks {
        /// Bytes of a block.
        block: u32,
        /// Bytes of a sector.
        sector: u32,
    },
    /// The device that it is for has other sectors than the table.
    #[error("the device has sectors of {found} bytes, and the table is for {wanted} (--sector-size)")]
    Device {
        /// Those of the device.
        found: u32,
        /// Those of the table.
        wanted: u32,
    },
}

/// A filesystem that is planned.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inside {
    /// Its bytes.
    pub(crate) size: u64,
    /// Bytes of a block.
    pub(crate) block: u32,
    /// Whether it can be written to.
    pub(crate) writable: bool,
}

impl Frame {
    pub(crate) fn spelled(&self) -> String {
        let verity = match self {
            Frame { verity: false, .. } => "",
            Frame { gpt: None, .. } => " verity=appended",
            Frame { gpt: Some(_), .. } => " verity=partition",
        };
        let gpt = self.gpt.map(|sector| format!(" gpt={}", sector.bytes()));
        format!("{verity}{}", gpt.unwrap_or_default())
    }

    /// Where the filesystem begins, in bytes.
    pub(crate) fn start(&self) -> u64 {
        if self.gpt.is_some() { ALIGNMENT } else { 0 }
    }

    /// Refuses blocks that a partition cannot have.
    pub fn check_blocks(&self, block: u32) -> Result<(), Unframeable> {
        match self.gpt.map(Sector::bytes) {
            Some(sector) if block < sector => Err(Unframeable::Blocks { block, sector }),
            _ => Ok(()),
        }
    }

    /// Refuses an image whose partition would have no type.
    pub(crate) fn check_image(&self, image: &Image) -> Result<(), Unframeable> {
        if self.gpt.is_some() { root_type(&image.config.platform).map(drop) } else { Ok(()) }
    }

    /// Refuses a device whose sectors are not those of the table.
    pub(crate) fn check_device(&self, path: &Path) -> io::Result<()> {
        let Some(wanted) = self.gpt.map(Sector::bytes) else { return Ok(()) };
        match publish::device_sector(path)? {
            Some(found) if found != wanted => Err(io::Error::other(Unframeable::Device { found, wanted })),
            _ => Ok(()),
        }
    }

    /// Where all will be, around this filesystem.
    pub(crate) fn plan(
        &self,
        inside: Inside,
        platform: &Platform,
        identity: &Identity,
    ) -> Result<Framed, Unframeable> {
        let mut verity = self.verity.then(|| Verity::plan(identity.verity_salt, inside.size, inside.block));
        let Some(sector) = self.gpt else {
            let length = verity.map_or(inside.size, |verity| verity.end());
            return Ok(Framed { verity, table: None, length });
        };
        self.check_blocks(inside.block)?;
        let root_type = root_type(platform)?;
        let offset = self.start();
        let attributes = if inside.writable && verity.is_none() { GROW_FILE_SYSTEM } else { READ_ONLY };
        let root = Partition {
            partition_type: root_type.root(),
            uuid: identity.root_uuid,
            offset,
            length: inside.size.next_multiple_of(ALIGNMENT),
            attributes,
            label: root_type.root_label(),
        };
        let mut end = root.offset + root.length;
        let mut partitions = vec![root];
        if let Some(verity) = &mut verity {
            (verity.data_offset, verity.offset) = (offset, end);
            partitions.push(Partition {
                partition_type: root_type.verity(),
                // Both will be the root hash's.
                uuid: [0; 16],
                offset: end,
                length: dm_verity::length(verity.data_blocks).next_multiple_of(ALIGNMENT),
                attributes: READ_ONLY,
                label: root_type.verity_label(),
            });
            end = verity.end().next_multiple_of(ALIGNMENT);
        }
        let length = end + ALIGNMENT;
        let table = Table { uuid: identity.disk_uuid, sector, length, partitions };
        Ok(Framed { verity, table: Some(table), length })
    }
}

fn root_type(platform: &Platform) -> Result<RootType, Unframeable> {
    if platform.architecture.is_empty() {
        return Err(Unframeable::Unstated);
    }
    RootType::of(platform).ok_or_else(|| Unframeable::Platform(platform.clone()))
}

/// What will be around a filesystem, and where.
#[derive(Debug)]
pub(crate) struct Framed {
    verity: Option<Verity>,
    table: Option<Table>,
    /// Bytes of the whole file.
    pub(crate) length: u64,
}

impl Framed {
    /// Writes it around the filesystem, which is in `file` at its place.
    pub(crate) fn write(&mut self, file: &File, identity: &Identity, threads: usize) -> io::Result<()> {
        if let Some(verity) = &mut self.verity {
            verity.write(file, file, identity.verity_uuid, threads)?;
            if let Some([root, tree]) = self.table.as_mut().map(|table| &mut table.partitions[..]) {
                (root.uuid, tree.uuid) = verity.halves();
            }
        }
        self.table.as_ref().map_or(Ok(()), |table| table.write(file))
    }
}
