//! How a rootfs lies in the store: its bytes from the start of the file, and behind them a record.
//!
//! The record has a checksum for every [`CHUNK`] bytes. Behind it, at the file's end, stand its length, its own
//! checksum and a mark. All of it is in one file, which is there or not. The rootfs begins the file, so that an output
//! can share its blocks and be cut off where it ends.

use std::fs::File;
use std::io;

use host::FileExt;
use serde::{Deserialize, Serialize};
use tree::BLOCK;
use twox_hash::XxHash3_128;

/// Bytes that have a checksum in common.
pub(super) const CHUNK: u64 = 1 << 20;

/// Stands at the end of each file; another way to write one would have another.
const MARK: [u8; 8] = *b"unladeR1";
/// Length, checksum and mark.
const END: u64 = 4 + 16 + 8;
/// More bytes of a record are not read: 64 MiB are those of a rootfs of 4 TiB.
const RECORD_MAX: u64 = 64 << 20;

/// What is known of a rootfs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// How it was built.
    pub(super) terms: String,
    /// Its bytes.
    pub(super) size: u64,
    /// Of each chunk.
    pub(super) checksums: Vec<u128>,
}

/// What tells bytes from others that damage has made of them. It need not withstand anybody who means it: whoever may
/// write to the store may write a whole record.
pub(super) fn checksum(bytes: &[u8]) -> u128 {
    XxHash3_128::oneshot(bytes)
}

impl Record {
    /// Writes it behind the rootfs.
    pub(super) fn append(&self, file: &File) -> io::Result<()> {
        let mut bytes = postcard::to_stdvec(self).map_err(io::Error::other)?;
        let (length, sum) = (bytes.len() as u32, checksum(&bytes));
        bytes.extend(length.to_le_bytes());
        bytes.extend(sum.to_le_bytes());
        bytes.extend(MARK);
        file.write_all_at(&bytes, self.size.next_multiple_of(BLOCK))
    }

    /// Reads it. `None` if it is damaged, or fits no file of this length.
    pub(super) fn read(file: &File) -> Option<Record> {
        let length = file.metadata().ok()?.len();
        let mut end = [0; END as usize];
        let end_at = length.checked_sub(END)?;
        file.read_exact_at(&mut end, end_at).ok()?;
        let (record_length, rest) = end.split_first_chunk::<4>()?;
        let (sum, mark) = rest.split_first_chunk::<16>()?;
        let record_length = u64::from(u32::from_le_bytes(*record_length));
        if *mark != MARK || record_length > RECORD_MAX {
            return None;
        }
        let at = end_at.checked_sub(record_length)?;
        let mut bytes = vec![0; record_length as usize];
        file.read_exact_at(&mut bytes, at).ok()?;
        if checksum(&bytes) != u128::from_le_bytes(*sum) {
            return None;
        }
        let record: Record = postcard::from_bytes(&bytes).ok()?;
        let fits = record.size.checked_next_multiple_of(BLOCK) == Some(at)
            && record.checksums.len() as u64 == record.size.div_ceil(CHUNK);
        fits.then_some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back_and_every_damage_seen() {
        for size in [0, 1, BLOCK, CHUNK, CHUNK + 1] {
            let checksums = (0..size.div_ceil(CHUNK)).map(|number| u128::MAX - u128::from(number)).collect();
            let record = Record { terms: "tar version=1".into(), size, checksums };
            let file = tempfile::tempfile().unwrap();
            record.append(&file).unwrap();
            assert_eq!(Record::read(&file).as_ref(), Some(&record), "{size}");
            let length = file.metadata().unwrap().len();
            for at in size.next_multiple_of(BLOCK)..length {
                let mut byte = [0];
                file.read_exact_at(&mut byte, at).unwrap();
                file.write_all_at(&[byte[0] ^ 1], at).unwrap();
                assert_eq!(Record::read(&file), None, "{size} {at}");
                file.write_all_at(&byte, at).unwrap();
            }
            for other in [0, 7, END - 1, length - 1, length + 1] {
                let cut = tempfile::tempfile().unwrap();
                record.append(&cut).unwrap();
                cut.set_len(other).unwrap();
                assert_eq!(Record::read(&cut), None, "{size} {other}");
            }
        }
    }
}
