//! Extended attributes, and the filter of their names.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::checksum::xxh32;
use super::{Inode, Reader, Source, ensure, u16_at, u32_at};

impl<S: Source + ?Sized> Reader<'_, S> {
    pub(super) fn xattrs(&self, inode: &Inode) -> io::Result<BTreeMap<Vec<u8>, Vec<u8>>> {
        let mut xattrs = BTreeMap::new();
        if inode.xattrs == 0 {
            return Ok(xattrs);
        }
        let body = self.bytes(inode.at + inode.fields, inode.xattrs)?;
        let (mut filter, shared) = (u32_at(&body, 0), usize::from(body[4]));
        ensure(body[5..12].iter().all(|byte| *byte == 0), || "unknown fields".into())?;
        let has_filter = self.superblock.compatible & 4 != 0;
        let mut take = |bytes: &[u8]| -> io::Result<usize> {
            let (name, value) = (usize::from(bytes[0]), usize::from(u16_at(bytes, 2)));
            let prefix: &[u8] = match bytes[1] {
                1 => b"user.",
                2 => b"system.posix_acl_access",
                3 => b"system.posix_acl_default",
                4 => b"trusted.",
                6 => b"security.",
                other => return Err(io::Error::other(format!("prefix {other}"))),
            };
            let text =
                bytes.get(4..4 + name + value).ok_or_else(|| io::Error::other("length of an attribute"))?;
            let bit = 1 << (xxh32(&text[..name], 0x25bb_e08f + u32::from(bytes[1])) % 32);
            ensure(!has_filter || filter & bit == 0, || "a name that the filter denies".into())?;
            let full = [prefix, &text[..name]].concat();
            ensure(xattrs.insert(full, text[name..].to_vec()).is_none(), || "an attribute twice".into())?;
            Ok((4 + name + value).next_multiple_of(4))
        };
        for number in 0..shared {
            let at = self.superblock.shared_at + 4 * u64::from(u32_at(&body, 12 + 4 * number));
            let head = self.bytes(at, 4)?;
            let length = 4 + u64::from(head[0]) + u64::from(u16_at(&head, 2));
            take(&self.bytes(at, length)?)?;
        }
        let mut rest = body.get(12 + 4 * shared..).ok_or_else(|| io::Error::other("shared attributes"))?;
        while !rest.is_empty() {
            let length = take(rest)?;
            rest = rest.get(length..).ok_or_else(|| io::Error::other("length of an attribute"))?;
        }
        // A filter that lets everything through would do, too, but says less than it could.
        let bits: BTreeSet<u32> = xattrs.keys().filter_map(|name| bit_of(name)).collect();
        filter |= bits.iter().fold(0, |all, bit| all | bit);
        ensure(!has_filter || filter == u32::MAX, || format!("filter {filter:#x}"))?;
        Ok(xattrs)
    }
}

/// The bit that stands for a name in a filter.
fn bit_of(name: &[u8]) -> Option<u32> {
    let prefixes: [(&[u8], u32); 5] = [
        (b"user.", 1),
        (b"system.posix_acl_access", 2),
        (b"system.posix_acl_default", 3),
        (b"trusted.", 4),
        (b"security.", 6),
    ];
    let (behind, index) =
        prefixes.iter().find_map(|(prefix, index)| Some((name.strip_prefix(*prefix)?, index)))?;
    Some(1 << (xxh32(behind, 0x25bb_e08f + index) % 32))
}
