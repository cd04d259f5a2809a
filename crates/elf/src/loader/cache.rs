//! `/etc/ld.so.cache`, in the format of glibc 2.2 and later, or behind or in the older one: glibc's
//! `sysdeps/generic/dl-cache.h`. The newer part wins where both are there.

use std::collections::BTreeMap;

use crate::Error;

/// Entries of a cache. A machine with all of Debian's desktops has some thousands.
pub const LIBRARY_CACHE_MAX: usize = 100_000;

const OLD_MAGIC: &[u8] = b"ld.so-1.7.0\0";
const NEW_MAGIC: &[u8] = b"glibc-ld.so.cache1.1";

/// Size of the older header: magic, padding, number of entries. Names are counted from the end of the entries.
const OLD_HEADER: usize = 16;
/// Size of an older entry: flags, name, path.
const OLD_ENTRY: usize = 12;
/// Size of the newer header: magic, number of entries, bytes of texts, flags, extensions. Names are counted from
/// its start.
const NEW_HEADER: usize = 48;
/// Size of a newer entry: flags, name, path, unused, what the processor has to have.
const NEW_ENTRY: usize = 24;

/// Kinds of libraries: for any C library, and for glibc.
const ELF: u32 = 1;
const LIBC6: u32 = 3;

/// Which paths a cache has for a library.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cache<'a> {
    libraries: BTreeMap<&'a [u8], Vec<Entry<'a>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry<'a> {
    path: &'a [u8],
    /// Whether only some processors run it.
    is_special: bool,
}

impl<'a> Cache<'a> {
    /// Reads a cache of either format and byte order.
    ///
    /// # Errors
    ///
    /// `Corrupt` if it is no cache or lacks a part, `Limit` if it has more than [`LIBRARY_CACHE_MAX`] entries.
    pub fn parse(bytes: &'a [u8]) -> Result<Cache<'a>, Error> {
        if bytes.starts_with(NEW_MAGIC) {
            return parse_new(bytes);
        }
        if !bytes.starts_with(&OLD_MAGIC[..11]) {
            return Err(Error::Corrupt("it is no cache of libraries"));
        }
        // In the other byte order the number of entries would be far too large.
        let is_little = bytes.get(15) == Some(&0);
        let entries =
            check_count(number(bytes, 12, is_little)?, bytes.len().saturating_sub(OLD_HEADER), OLD_ENTRY)?;
        let end = OLD_HEADER + entries * OLD_ENTRY;
        let newer = bytes.get(end.next_multiple_of(8)..).filter(|rest| rest.starts_with(NEW_MAGIC));
        match newer {
            Some(newer) => parse_new(newer),
            None => parse_entries(bytes, OLD_HEADER, entries, OLD_ENTRY, end, is_little),
        }
    }

    /// Paths of the library of this name: first those that every processor of its kind runs, in the order of the
    /// cache. Some may be for other architectures.
    pub fn paths(&self, library: &[u8]) -> impl Iterator<Item = &'a [u8]> + use<'a, '_> {
        let entries = self.libraries.get(library).map(Vec::as_slice).unwrap_or_default();
        let common = entries.iter().filter(|entry| !entry.is_special);
        common.chain(entries.iter().filter(|entry| entry.is_special)).map(|entry| entry.path)
    }

    /// All names in it, in order.
    pub fn names(&self) -> impl Iterator<Item = &'a [u8]> + use<'a, '_> {
        self.libraries.keys().copied()
    }
}

fn parse_new(bytes: &[u8]) -> Result<Cache<'_>, Error> {
    // 2 is little, 3 is big; caches from before 2.33 do not say it.
    let is_little = match bytes.get(28).map(|flags| flags & 3) {
        Some(2) => true,
        Some(3) => false,
        _ => bytes.get(23) == Some(&0),
    };
    let count = number(bytes, NEW_MAGIC.len(), is_little)?;
    let entries = check_count(count, bytes.len().saturating_sub(NEW_HEADER), NEW_ENTRY)?;
    parse_entries(bytes, NEW_HEADER, entries, NEW_ENTRY, 0, is_little)
}

/// Reads entries that begin at `start`; their texts are counted from `texts`.
fn parse_entries(
    bytes: &[u8],
    start: usize,
    count: usize,
    size: usize,
    texts: usize,
    is_little: bool,
) -> Result<Cache<'_>, Error> {
    let text = |at: usize| -> Result<&[u8], Error> {
        let offset = texts.saturating_add(number(bytes, at, is_little)? as usize);
        let rest = bytes.get(offset..).ok_or(Error::Corrupt("a text lies outside of the cache"))?;
        let rest = &rest[..rest.len().min(crate::file::PATH_MAX)];
        let end = rest.iter().position(|byte| *byte == 0);
        Ok(&rest[..end.ok_or(Error::Corrupt("a text of the cache has no end, or is longer than a path"))?])
    };
    let mut cache = Cache::default();
    for entry in (0..count).map(|index| start + index * size) {
        if !matches!(number(bytes, entry, is_little)? & 0xff, ELF | LIBC6) {
            continue;
        }
        let is_special = size == NEW_ENTRY && bytes.get(entry + 16..entry + 24) != Some(&[0; 8]);
        let found = Entry { path: text(entry + 8)?, is_special };
        cache.libraries.entry(text(entry + 4)?).or_default().push(found);
    }
    Ok(cache)
}

fn check_count(count: u32, bytes: usize, size: usize) -> Result<usize, Error> {
    let count = count as usize;
    if count > bytes / size {
        return Err(Error::Corrupt("the cache is cut off"));
    }
    if count > LIBRARY_CACHE_MAX {
        return Err(Error::Limit { what: "the cache has more entries", limit: LIBRARY_CACHE_MAX });
    }
    Ok(count)
}

fn number(bytes: &[u8], at: usize, is_little: bool) -> Result<u32, Error> {
    let four =
        bytes.get(at..).and_then(|rest| rest.first_chunk()).ok_or(Error::Corrupt("the cache is cut off"))?;
    Ok(if is_little { u32::from_le_bytes(*four) } else { u32::from_be_bytes(*four) })
}
