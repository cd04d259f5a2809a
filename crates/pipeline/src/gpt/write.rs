//! Writing a table.

use std::fs::File;
use std::io;
use std::mem::size_of;

use host::FileExt;

use zerocopy::{FromZeros, IntoBytes};

use super::format::{
    ENTRIES, ENTRIES_LENGTH, Entry, Guid, Header, OS_TYPE_GPT_PROTECTIVE, ProtectiveMbr, REVISION, SIGNATURE,
};
use super::{Partition, Table};

impl Table {
    /// Writes it into a file that is zero where it will be: what says that there is one last.
    pub(crate) fn write(&self, file: &File) -> io::Result<()> {
        let sector = u64::from(self.sector.bytes());
        let last = self.length / sector - 1;
        let entries: Vec<u8> =
            self.partitions.iter().map(|one| entry(one, sector)).collect::<Vec<_>>().concat();
        let mut checksum = crc32fast::Hasher::new();
        checksum.update(&entries);
        checksum.update(&vec![0; ENTRIES_LENGTH as usize - entries.len()]);
        let checksum = checksum.finalize();

        let first_usable = 2 + ENTRIES_LENGTH.div_ceil(sector);
        let last_usable = last - (first_usable - 1);
        for (my_lba, alternate_lba, entries_lba) in [(last, 1, last_usable + 1), (1, last, 2)] {
            let mut header = Header {
                signature: SIGNATURE,
                revision: REVISION.into(),
                header_size: (size_of::<Header>() as u32).into(),
                header_crc32: 0.into(),
                reserved: 0.into(),
                my_lba: my_lba.into(),
                alternate_lba: alternate_lba.into(),
                first_usable_lba: first_usable.into(),
                last_usable_lba: last_usable.into(),
                disk_guid: Guid::new(self.uuid),
                partition_entry_lba: entries_lba.into(),
                number_of_partition_entries: (ENTRIES as u32).into(),
                size_of_partition_entry: (size_of::<Entry>() as u32).into(),
                partition_entry_array_crc32: checksum.into(),
            };
            header.header_crc32 = header.checksum().into();
            file.write_all_at(&entries, entries_lba * sector)?;
            file.write_all_at(header.as_bytes(), my_lba * sector)?;
        }
        file.write_all_at(protective_mbr(last).as_bytes(), 0)
    }
}

fn entry(partition: &Partition, sector: u64) -> Vec<u8> {
    let mut entry = Entry {
        partition_type_guid: Guid::new(partition.partition_type),
        unique_partition_guid: Guid::new(partition.uuid),
        starting_lba: (partition.offset / sector).into(),
        ending_lba: ((partition.offset + partition.length) / sector - 1).into(),
        attributes: partition.attributes.into(),
        partition_name: FromZeros::new_zeroed(),
    };
    for (place, unit) in entry.partition_name.iter_mut().zip(partition.label.encode_utf16()) {
        place.set(unit);
    }
    entry.as_bytes().to_vec()
}

/// One partition over the whole disk, as far as its 32 bits reach.
fn protective_mbr(last: u64) -> ProtectiveMbr {
    let mut mbr = ProtectiveMbr::new_zeroed();
    let [record, ..] = &mut mbr.partition_record;
    // The second sector, which is the third number here; the end is where no such address reaches.
    record.starting_chs = [0x00, 0x02, 0x00];
    record.os_type = OS_TYPE_GPT_PROTECTIVE;
    record.ending_chs = [0xff; 3];
    record.starting_lba = 1.into();
    record.size_in_lba = u32::try_from(last).unwrap_or(u32::MAX).into();
    mbr.signature = [0x55, 0xaa];
    mbr
}
