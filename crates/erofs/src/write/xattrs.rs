//! Attributes.

use std::collections::BTreeMap;
use std::io;

use zerocopy::IntoBytes;

use crate::checksum::filter_bit;
use crate::format::{XATTR_ALIGN, XattrEntry, XattrHeader};
use crate::plan::xattrs::{Arranged, Xattr};
use crate::write::Sink;

/// Appends an entry.
fn entry(xattr: &Xattr<'_>, bytes: &mut Vec<u8>) {
    // Neither is longer than the plan lets them be.
    let (name_len, value_size) = (xattr.name.len() as u8, (xattr.value.len() as u16).into());
    bytes.extend(XattrEntry { name_len, name_index: xattr.index, value_size }.as_bytes());
    bytes.extend(xattr.name);
    bytes.extend(xattr.value);
    bytes.resize(bytes.len().next_multiple_of(XATTR_ALIGN), 0);
}

/// Appends all that stands behind an inode. `bytes` must end where entries may start; `shared_at` is where shared
/// attributes are counted from, in bytes before the first of them.
pub(crate) fn encode(all: &[Xattr<'_>], arranged: &Arranged<'_>, shared_at: u64, bytes: &mut Vec<u8>) {
    let filter = all.iter().fold(u32::MAX, |filter, xattr| filter & !filter_bit(xattr.index, xattr.name));
    let shared_count = arranged.shared.len() as u8;
    bytes.extend(XattrHeader { name_filter: filter.into(), shared_count, reserved: [0; 7] }.as_bytes());
    for at in &arranged.shared {
        bytes.extend((((shared_at + at) / XATTR_ALIGN as u64) as u32).to_le_bytes());
    }
    for xattr in &arranged.own {
        entry(xattr, bytes);
    }
}

/// Writes what files share.
pub(crate) fn write_shared(
    at: u64,
    places: &BTreeMap<Xattr<'_>, u64>,
    sink: &mut Sink<'_>,
) -> io::Result<()> {
    let mut bytes = Vec::new();
    for (xattr, place) in places {
        bytes.clear();
        entry(xattr, &mut bytes);
        sink.put(at + place, &bytes)?;
    }
    Ok(())
}
