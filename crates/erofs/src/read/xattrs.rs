//! Extended attributes, as they are read.

use std::collections::BTreeMap;

use zerocopy::FromBytes;

use super::inodes::Inode;
use super::prefixes::{Prefix, short};
use super::{Filesystem, ReadError};
use crate::checksum::filter_bit;
use crate::format::{LONG_PREFIX, XATTR_ALIGN, XATTR_HEADER_SIZE, XattrEntry, XattrHeader, compat};
use crate::parse::Attribute;

/// A value, and where it lies if other inodes may have it, too.
pub(super) struct Value {
    pub(super) bytes: Vec<u8>,
    pub(super) shared_at: Option<u64>,
}

/// Attributes by full name, or the number of the prefix where that is unknown.
pub(super) type Xattrs = BTreeMap<Vec<u8>, Value>;

impl Filesystem<'_> {
    /// The attributes of an inode. `prefixes` are the long ones, if they could be read.
    pub(super) fn xattrs(&self, inode: &Inode, prefixes: Option<&[Prefix]>) -> Result<Xattrs, ReadError> {
        let mut found = Found { inode, prefixes, filter: 0, xattrs: Xattrs::new() };
        if inode.fields.xattrs == 0 {
            return Ok(found.xattrs);
        }
        let body = self.bytes(inode.at + inode.fields.length, inode.fields.xattrs, inode.place())?;
        let header = XattrHeader::read_from_prefix(&body).expect("nothing shorter is counted").0;
        let (references, entries) = body[XATTR_HEADER_SIZE..]
            .split_at_checked(XATTR_ALIGN * usize::from(header.shared_count))
            .ok_or_else(|| inode.corrupt("its shared attributes are cut short"))?;
        let table = u64::from(self.superblock.xattr_blkaddr.get()) * self.block_size;
        for reference in references.chunks_exact(XATTR_ALIGN) {
            let reference = u32::from_le_bytes([reference[0], reference[1], reference[2], reference[3]]);
            let at = table + XATTR_ALIGN as u64 * u64::from(reference);
            let entry = self.bytes(at, size_of::<XattrEntry>() as u64, inode.place())?;
            let entry = XattrEntry::read_from_bytes(&entry).expect("it has the length");
            let bytes = self.bytes(at, Attribute::length_of(&entry), inode.place())?;
            found.take(&bytes, Some(at))?;
        }
        let mut rest = entries;
        while !rest.is_empty() {
            let length = found.take(rest, None)?;
            // What fills up the last one may be missing.
            rest = rest.get(length as usize..).unwrap_or_default();
        }
        let has_filter = self.superblock.feature_compat.get() & compat::XATTR_FILTER != 0
            && self.superblock.xattr_filter_reserved == 0;
        if has_filter && header.name_filter.get() & found.filter != 0 {
            return Err(inode.corrupt("the filter of its attributes' names denies one that is there"));
        }
        Ok(found.xattrs)
    }
}

/// What was found of an inode.
struct Found<'a> {
    inode: &'a Inode,
    prefixes: Option<&'a [Prefix]>,
    /// Bits of all names.
    filter: u32,
    xattrs: Xattrs,
}

impl Found<'_> {
    /// Takes the attribute with which `bytes` begin, and gives how many there are to the next one.
    fn take(&mut self, bytes: &[u8], shared_at: Option<u64>) -> Result<u64, ReadError> {
        let corrupt = |what| Err(self.inode.corrupt(what));
        let Some(found) = Attribute::parse(bytes) else { return corrupt("an attribute is cut short") };
        let name = match found.index & LONG_PREFIX {
            0 => {
                self.filter |= filter_bit(found.index, found.suffix);
                [short(found.index).as_slice(), found.suffix].concat()
            }
            _ => match self.prefixes.map(|prefixes| prefixes.get(usize::from(found.index & !LONG_PREFIX))) {
                Some(Some(prefix)) => {
                    let behind = [prefix.infix.as_slice(), found.suffix].concat();
                    self.filter |= filter_bit(prefix.base, &behind);
                    [prefix.text().as_slice(), found.suffix].concat()
                }
                Some(None) => return corrupt("an attribute has a prefix that there is not"),
                None => [format!("{}:", found.index).as_bytes(), found.suffix].concat(),
            },
        };
        if name.is_empty() || name.contains(&0) {
            return corrupt("an attribute's name is impossible");
        }
        let value = Value { bytes: found.value.to_vec(), shared_at };
        if self.xattrs.insert(name, value).is_some() {
            return corrupt("an attribute stands twice");
        }
        Ok(found.length())
    }
}
