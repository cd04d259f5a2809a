//! Extended attributes, as they are read.

use std::collections::BTreeMap;

use zerocopy::FromBytes;

use super::extents::Extents;
use super::inodes::Inode;
use super::{Filesystem, ReadError};
use crate::checksum::crc32c;
use crate::format::{FL_EA_INODE, XATTR_MAGIC, XattrEntry, XattrHeader};

/// An inode's attributes.
#[derive(Default)]
pub(super) struct Xattrs {
    /// By full name, or the name's number where the prefix is unknown.
    pub(super) values: BTreeMap<Vec<u8>, Value>,
    /// The block that holds those that the inode does not, and how many inodes share it.
    pub(super) block: Option<(u64, u32)>,
}

/// An attribute's value.
pub(super) enum Value {
    Here(Vec<u8>),
    /// In an inode of its own, which many may refer to: where that lies is said, and not what it holds.
    Elsewhere {
        inode: u32,
        size: u64,
        extents: Extents,
    },
}

/// Prefixes by their number (`EXT4_XATTR_INDEX_*`).
const PREFIXES: [&[u8]; 9] = [
    b"",
    b"user.",
    b"system.posix_acl_access",
    b"system.posix_acl_default",
    b"trusted.",
    b"lustre.",
    b"security.",
    b"system.",
    b"system.richacl",
];

impl Filesystem<'_> {
    /// The attributes of an inode.
    pub(super) fn xattrs(&self, inode: &Inode) -> Result<Xattrs, ReadError> {
        let corrupt = |what| ReadError::Corrupt { place: inode.place(), what };
        let mut found = Xattrs::default();
        if let Some((magic, entries)) = inode.behind.split_first_chunk()
            && u32::from_le_bytes(*magic) == XATTR_MAGIC
        {
            self.read_xattrs(inode, entries, 0, &mut found)?;
        }
        let fields = &inode.fields;
        let number = u64::from(fields.file_acl_high.get()) << 32 | u64::from(fields.file_acl_lo.get());
        if number == 0 {
            return Ok(found);
        }
        let mut block = self.block(number, inode.place())?;
        let (header, _) = XattrHeader::read_from_prefix(&block).expect("a block is longer");
        if header.magic.get() != XATTR_MAGIC || header.blocks.get() != 1 {
            return Err(corrupt("the header of its attributes is wrong"));
        }
        if let Some(seed) = self.seed {
            block[16..20].fill(0);
            if crc32c(crc32c(seed, &number.to_le_bytes()), &block) != header.checksum.get() {
                return Err(corrupt("the checksum of its attributes is wrong"));
            }
        }
        found.block = Some((number, header.refcount.get()));
        self.read_xattrs(inode, &block, size_of::<XattrHeader>(), &mut found)?;
        Ok(found)
    }

    /// Reads entries from `at` on; values lie at offsets from the start of `bytes`.
    fn read_xattrs(
        &self,
        inode: &Inode,
        bytes: &[u8],
        mut at: usize,
        found: &mut Xattrs,
    ) -> Result<(), ReadError> {
        let corrupt = |what| ReadError::Corrupt { place: inode.place(), what };
        while bytes.get(at..at + 4).is_some_and(|word| word != [0; 4]) {
            let Ok((entry, rest)) = XattrEntry::ref_from_prefix(&bytes[at..]) else {
                return Err(corrupt("an attribute is cut short"));
            };
            let length = usize::from(entry.name_len);
            let name = rest.get(..length).ok_or_else(|| corrupt("an attribute is cut short"))?;
            let name = match PREFIXES.get(usize::from(entry.name_index)) {
                Some(prefix) => [prefix, name].concat(),
                None => [format!("{}:", entry.name_index).as_bytes(), name].concat(),
            };
            let size = entry.value_size.get();
            let value = match entry.value_inum.get() {
                0 => {
                    let start = usize::from(entry.value_offs.get());
                    let value = bytes.get(start..).and_then(|bytes| bytes.get(..size as usize));
                    Value::Here(value.ok_or_else(|| corrupt("a value lies outside of its block"))?.to_vec())
                }
                number => self.long_value(number, size.into())?,
            };
            if found.values.insert(name, value).is_some() {
                return Err(corrupt("an attribute stands twice"));
            }
            at += (size_of::<XattrEntry>() + length).next_multiple_of(4);
        }
        Ok(())
    }

    /// The blocks of a value that has an inode of its own.
    fn long_value(&self, number: u32, size: u64) -> Result<Value, ReadError> {
        let inode = self.inode(number)?;
        if inode.fields.flags.get() & FL_EA_INODE == 0 || inode.size() != size {
            let what = "it does not hold the value that it should";
            return Err(ReadError::Corrupt { place: inode.place(), what });
        }
        let extents = self.extents(&inode)?;
        Ok(Value::Elsewhere { inode: number, size, extents })
    }
}
