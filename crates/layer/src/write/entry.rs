//! The headers of one entry.

use tree::{Device, Metadata};

use super::pax::{self, Records};
use crate::tar::{BLOCK, field};

/// An entry's type flag.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
pub(super) enum Type {
    File = b'0',
    Link = b'1',
    Symlink = b'2',
    CharDevice = b'3',
    BlockDevice = b'4',
    Directory = b'5',
    Fifo = b'6',
}

/// Name of the headers that hold pax records. Readers that do not know them make files of them, so all share
/// one that is unlikely to be in the way.
const PAX_NAME: &[u8] = b"././@PaxHeader";

/// Where a reader that does not know sparse files puts their map and data.
const SPARSE_DIRECTORY: &[u8] = b"GNUSparseFile.0/";

/// An entry's headers while they are made.
pub(super) struct Header {
    block: [u8; BLOCK],
    records: Records,
    /// Name as the tree has it.
    name: Vec<u8>,
    /// Whether the name stands in a record of its own already.
    named: bool,
}

impl Header {
    pub(super) fn new(kind: Type, name: &[u8], metadata: &Metadata) -> Header {
        let block = blank(kind as u8);
        let mut header = Header { block, records: Records::default(), name: name.into(), named: false };
        octal(&mut header.block[field::MODE], u64::from(metadata.mode));
        header.number(field::UID, b"uid", u64::from(metadata.uid));
        header.number(field::GID, b"gid", u64::from(metadata.gid));
        let seconds = u64::try_from(metadata.mtime.seconds).ok();
        let fits = seconds.is_some_and(|seconds| octal(&mut header.block[field::MTIME], seconds));
        if !fits {
            octal(&mut header.block[field::MTIME], 0);
        }
        if !fits || metadata.mtime.nanoseconds != 0 {
            header.records.push(b"mtime", pax::time(metadata.mtime).as_bytes());
        }
        for (name, value) in metadata.xattrs() {
            header.records.push_xattr(name, value);
        }
        header
    }

    pub(super) fn link(mut self, target: &[u8]) -> Header {
        let room = &mut self.block[field::LINKNAME];
        if target.len() <= room.len() {
            room[..target.len()].copy_from_slice(target);
        } else {
            room.copy_from_slice(&target[..room.len()]);
            self.records.push_name(b"linkpath", target);
        }
        self
    }

    pub(super) fn device(mut self, device: Device) -> Header {
        for (range, number) in [(field::DEVMAJOR, device.major), (field::DEVMINOR, device.minor)] {
            let field = &mut self.block[range];
            if !octal(field, u64::from(number)) {
                // There is no pax record for it that all readers know, but they know base 256.
                field[0] = 0x80;
                field[1..4].fill(0);
                field[4..].copy_from_slice(&number.to_be_bytes());
            }
        }
        self
    }

    pub(super) fn size(mut self, size: u64) -> Header {
        self.number(field::SIZE, b"size", size);
        self
    }

    /// Makes it a sparse file of `size` bytes, in GNU's format 1.0: the name moves to a record.
    pub(super) fn sparse(mut self, size: u64) -> Header {
        self.records.push(b"GNU.sparse.major", b"1");
        self.records.push(b"GNU.sparse.minor", b"0");
        self.records.push_name(b"GNU.sparse.name", &self.name);
        self.named = true;
        self.records.push(b"GNU.sparse.realsize", size.to_string().as_bytes());
        let base = self.name.rsplit(|&b| b == b'/').next().unwrap_or_default();
        let room = field::NAME.len() - SPARSE_DIRECTORY.len();
        let stand_in = [SPARSE_DIRECTORY, &base[..base.len().min(room)]].concat();
        self.block[..stand_in.len()].copy_from_slice(&stand_in);
        self
    }

    /// All of it: the pax header, if one is needed, its records, and the header itself.
    pub(super) fn bytes(mut self) -> Vec<u8> {
        if !self.named {
            self.name_fields();
        }
        checksum(&mut self.block);
        let records = self.records.bytes();
        if records.is_empty() {
            return self.block.into();
        }
        let mut pax = blank(b'x');
        pax[..PAX_NAME.len()].copy_from_slice(PAX_NAME);
        octal(&mut pax[field::MODE], 0o644);
        for range in [field::UID, field::GID, field::MTIME] {
            octal(&mut pax[range], 0);
        }
        octal(&mut pax[field::SIZE], records.len() as u64);
        checksum(&mut pax);
        let mut bytes = pax.to_vec();
        bytes.extend_from_slice(records);
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        bytes.extend_from_slice(&self.block);
        bytes
    }

    /// Splits the name into name and prefix where it is too long for one field, or else leaves as much of it as
    /// fits and says the rest in a record.
    fn name_fields(&mut self) {
        match split(&self.name) {
            Some((prefix, name)) => {
                self.block[field::PREFIX][..prefix.len()].copy_from_slice(prefix);
                self.block[..name.len()].copy_from_slice(name);
            }
            None => {
                let room = field::NAME.len();
                self.block[field::NAME].copy_from_slice(&self.name[..room]);
                self.records.push_name(b"path", &self.name);
            }
        }
    }

    fn number(&mut self, range: std::ops::Range<usize>, key: &[u8], number: u64) {
        if !octal(&mut self.block[range.clone()], number) {
            octal(&mut self.block[range], 0);
            self.records.push(key, number.to_string().as_bytes());
        }
    }
}

/// What of a name stands in the prefix, empty if it fits into one field, and what in the name; `None` if it fits into
/// neither.
pub(super) fn split(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let room = field::NAME.len();
    if name.len() <= room {
        return Some((b"", name));
    }
    // The slash between the two is in neither; the last one of a directory is the name's.
    let first = name.len() - room - 1;
    let last = field::PREFIX.len().min(name.len() - 2);
    let slash = (first..=last).find(|&at| name[at] == b'/' && at > 0)?;
    Some((&name[..slash], &name[slash + 1..]))
}

/// A header without a name, of POSIX's format.
pub(super) fn blank(typeflag: u8) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[field::TYPEFLAG] = typeflag;
    block[field::MAGIC].copy_from_slice(b"ustar\x0000");
    octal(&mut block[field::SIZE], 0);
    octal(&mut block[field::DEVMAJOR], 0);
    octal(&mut block[field::DEVMINOR], 0);
    block
}

/// Fills a field with digits and a NUL, and tells whether the number fits.
pub(super) fn octal(field: &mut [u8], number: u64) -> bool {
    let digits = field.len() - 1;
    if number >> (3 * digits) != 0 {
        return false;
    }
    for (at, byte) in field[..digits].iter_mut().rev().enumerate() {
        *byte = b'0' + (number >> (3 * at) & 7) as u8;
    }
    field[digits] = 0;
    true
}

/// Six digits, a NUL and a blank, as everybody writes it.
pub(super) fn checksum(block: &mut [u8; BLOCK]) {
    block[field::CHECKSUM].fill(b' ');
    let sum: u32 = block.iter().map(|&b| u32::from(b)).sum();
    octal(&mut block[field::CHECKSUM][..7], u64::from(sum));
}
