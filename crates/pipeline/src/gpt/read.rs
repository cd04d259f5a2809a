//! Reading a table, of which every number may be wrong.

use std::io::{self, ErrorKind};
use std::mem::size_of;

use tree::Input;
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use super::format::{ENTRIES, Entry, Guid, Header, REVISION, SIGNATURE};
use super::{Partition, Sector, Table};

impl Table {
    /// Reads the table at the start of a disk. `None` if there is none. That at the end is not asked.
    ///
    /// # Errors
    ///
    /// `InvalidData` for one that is damaged, or cannot be.
    pub fn read(disk: &dyn Input) -> io::Result<Option<Table>> {
        for sector in Sector::ALL {
            let mut header = Header::new_zeroed();
            match disk.read(sector.bytes().into(), header.as_mut_bytes()) {
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => continue,
                read => read?,
            }
            if header.signature == SIGNATURE {
                return read(disk, &header, sector).map(Some);
            }
        }
        Ok(None)
    }
}

fn read(disk: &dyn Input, header: &Header, sector: Sector) -> io::Result<Table> {
    let invalid = |text: &str| io::Error::new(ErrorKind::InvalidData, format!("its partition table {text}"));
    if header.revision.get() != REVISION || header.header_size.get() as usize != size_of::<Header>() {
        return Err(invalid("is of an unknown version"));
    }
    if header.header_crc32.get() != header.checksum() {
        return Err(invalid("has a wrong checksum"));
    }
    // More of them, or longer ones, are possible, but nobody makes any.
    let count = header.number_of_partition_entries.get() as usize;
    if count > ENTRIES || header.size_of_partition_entry.get() as usize != size_of::<Entry>() {
        return Err(invalid("has other entries than those of this program"));
    }
    let bytes_at = |lba: u64| {
        lba.checked_mul(sector.bytes().into()).ok_or_else(|| invalid("has a place beyond all disks"))
    };
    let mut entries = vec![0; count * size_of::<Entry>()];
    disk.read(bytes_at(header.partition_entry_lba.get())?, &mut entries)?;
    if header.partition_entry_array_crc32.get() != crc32fast::hash(&entries) {
        return Err(invalid("has entries with a wrong checksum"));
    }
    let usable = header.first_usable_lba.get()..=header.last_usable_lba.get();
    let mut partitions = Vec::new();
    for entry in
        entries.chunks_exact(size_of::<Entry>()).filter_map(|bytes| Entry::read_from_bytes(bytes).ok())
    {
        if entry.partition_type_guid == Guid::new([0; 16]) {
            continue;
        }
        let (start, end) = (entry.starting_lba.get(), entry.ending_lba.get());
        if start > end || !usable.contains(&start) || !usable.contains(&end) {
            return Err(invalid("has a partition where none can be"));
        }
        let offset = bytes_at(start)?;
        let name = entry.partition_name.iter().map(|unit| unit.get()).take_while(|unit| *unit != 0);
        partitions.push(Partition {
            partition_type: entry.partition_type_guid.uuid(),
            uuid: entry.unique_partition_guid.uuid(),
            offset,
            length: bytes_at(end.saturating_add(1))? - offset,
            attributes: entry.attributes.get(),
            label: char::decode_utf16(name).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect(),
        });
    }
    let length = bytes_at(header.alternate_lba.get().saturating_add(1))?;
    Ok(Table { uuid: header.disk_guid.uuid(), sector, length, partitions })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};

    use super::*;
    use crate::gpt::{GROW_FILE_SYSTEM, READ_ONLY};

    fn table(sector: Sector) -> Table {
        let partition = |number: u8, attributes| Partition {
            partition_type: [number; 16],
            uuid: std::array::from_fn(|digit| digit as u8 + number),
            offset: u64::from(number) << 20,
            length: 1 << 20,
            attributes,
            label: format!("größe {number} 🦀"),
        };
        let partitions = vec![partition(1, GROW_FILE_SYSTEM), partition(2, READ_ONLY)];
        Table { uuid: *b"0123456789abcdef", sector, length: 4 << 20, partitions }
    }

    fn written(table: &Table) -> Vec<u8> {
        let mut file = tempfile::tempfile().unwrap();
        file.set_len(table.length).unwrap();
        table.write(&file).unwrap();
        let mut bytes = Vec::new();
        // Writing at a place may move it.
        file.rewind().unwrap();
        file.read_to_end(&mut bytes).unwrap();
        bytes
    }

    fn read(disk: &[u8]) -> io::Result<Option<Table>> {
        Table::read(&disk)
    }

    #[test]
    fn what_was_written() {
        for sector in Sector::ALL {
            let table = table(sector);
            assert_eq!(read(&written(&table)).unwrap(), Some(table));
        }
        for none in [0, 512, 600, 1 << 20] {
            assert_eq!(read(&vec![0; none]).unwrap(), None);
        }
    }

    #[test]
    fn damage_is_found() {
        let disk = written(&table(Sector::B512));
        let used = (512..512 + size_of::<Header>()).chain(1024..1024 + 3 * size_of::<Entry>());
        for at in used {
            let mut disk = disk.clone();
            disk[at] ^= 1;
            assert!(!read(&disk).is_ok_and(|found| found.is_some()), "byte {at}");
        }
        for length in [512 + 91, 1024, 1024 + 127, 17_000] {
            assert!(!read(&disk[..length]).is_ok_and(|found| found.is_some()), "{length} bytes");
        }
    }

    /// A table whose checksums are right and whose numbers are not.
    #[test]
    fn numbers_that_cannot_be() {
        let check = |change: fn(&mut Header, &mut [Entry])| {
            let mut disk = written(&table(Sector::B512));
            let (head, entries) = disk.split_at_mut(1024);
            let entries = &mut entries[..ENTRIES * size_of::<Entry>()];
            let header = Header::mut_from_bytes(&mut head[512..512 + size_of::<Header>()]).unwrap();
            change(header, <[Entry]>::mut_from_bytes(entries).unwrap());
            header.partition_entry_array_crc32 = crc32fast::hash(entries).into();
            header.header_crc32 = header.checksum().into();
            let found = read(&disk);
            found.unwrap_err();
        };
        check(|header, _| header.revision = 2.into());
        check(|header, _| header.header_size = 96.into());
        check(|header, _| header.number_of_partition_entries = u32::MAX.into());
        check(|header, _| header.size_of_partition_entry = 0.into());
        check(|header, _| header.size_of_partition_entry = 256.into());
        check(|header, _| header.partition_entry_lba = u64::MAX.into());
        check(|header, _| header.partition_entry_lba = (u64::MAX / 512).into());
        check(|header, _| header.alternate_lba = u64::MAX.into());
        check(|_, entries| entries[0].ending_lba = 1.into());
        check(|_, entries| entries[1].starting_lba = 33.into());
        check(|_, entries| entries[1].ending_lba = u64::MAX.into());
        check(|header, entries| {
            header.last_usable_lba = u64::MAX.into();
            entries[1].ending_lba = u64::MAX.into();
        });
    }
}
