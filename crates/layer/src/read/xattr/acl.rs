//! Access control lists: from the text that archives have to the bytes that `getxattr` gives.
//!
//! The text is POSIX.1e's, `tag:qualifier:permissions`, entries separated by commas or newlines. star adds the
//! number as a fourth field, since the qualifier may be a name that only its host knows.

use crate::error::Error;

/// A list as Linux stores it (`struct posix_acl_xattr_header`, version 2: 32 bits of version, then for each
/// entry 16 bits of tag, 16 of permissions, 32 of identifier; all little-endian, sorted by tag and number).
pub(super) enum Acl {
    /// It says more than a mode can.
    Entries(Box<[u8]>),
    /// It says what the mode says.
    Mode(Box<[u8]>),
    /// It names somebody and gives no number.
    Nameless,
}

const VERSION: u32 = 2;
const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;
const NOBODY: u32 = u32::MAX;

/// Parses the text of a list.
pub(super) fn parse(text: &[u8]) -> Result<Acl, Error> {
    let mut entries = Vec::new();
    for line in text.split(|&b| b == b',' || b == b'\n') {
        let line = line.split(|&b| b == b'#').next().unwrap_or_default().trim_ascii();
        if line.is_empty() {
            continue;
        }
        match entry(line)? {
            Some(entry) => entries.push(entry),
            None => return Ok(Acl::Nameless),
        }
    }
    entries.sort_unstable();
    check(&entries)?;
    let mut bytes = VERSION.to_le_bytes().to_vec();
    for &(tag, id, permissions) in &entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(permissions.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    let bytes = bytes.into();
    Ok(if entries.len() == 3 { Acl::Mode(bytes) } else { Acl::Entries(bytes) })
}

/// One entry: tag, number, permissions. `None` where only a name is given.
fn entry(line: &[u8]) -> Result<Option<(u16, u32, u16)>, Error> {
    let bad = || Error::corrupt(format!("access control list has a bad entry: \"{}\"", tree::escape(line)));
    let fields: Vec<&[u8]> = line.split(|&b| b == b':').map(<[u8]>::trim_ascii).collect();
    let (tag, qualifier, permissions, number) = match fields[..] {
        // "other" and "mask" may come without the empty qualifier.
        [tag, permissions] => (tag, &b""[..], permissions, None),
        [tag, qualifier, permissions] => (tag, qualifier, permissions, None),
        [tag, qualifier, permissions, number] => (tag, qualifier, permissions, Some(number)),
        _ => return Err(bad()),
    };
    let tag = match (tag, qualifier.is_empty()) {
        (b"user" | b"u", true) => USER_OBJ,
        (b"user" | b"u", false) => USER,
        (b"group" | b"g", true) => GROUP_OBJ,
        (b"group" | b"g", false) => GROUP,
        (b"mask" | b"m", true) => MASK,
        (b"other" | b"o", true) => OTHER,
        _ => return Err(bad()),
    };
    let id = match tag {
        USER | GROUP => match number.or(Some(qualifier)).and_then(decimal) {
            Some(id) => id,
            None => return Ok(None),
        },
        _ => NOBODY,
    };
    let mut bits = 0;
    for letter in permissions {
        bits |= match letter {
            b'r' => 4,
            b'w' => 2,
            b'x' => 1,
            b'-' => 0,
            _ => return Err(bad()),
        };
    }
    Ok(Some((tag, id, bits)))
}

fn decimal(digits: &[u8]) -> Option<u32> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// What the kernel checks when a list is set (`posix_acl_valid`): the three of the mode, each once; a mask
/// where anybody is named; nobody twice.
fn check(entries: &[(u16, u32, u16)]) -> Result<(), Error> {
    let count = |tag| entries.iter().filter(|entry| entry.0 == tag).count();
    let once = [USER_OBJ, GROUP_OBJ, OTHER].iter().all(|&tag| count(tag) == 1);
    let named = count(USER) + count(GROUP) > 0;
    let masked = if named { count(MASK) == 1 } else { count(MASK) <= 1 };
    let twice = entries.windows(2).any(|pair| pair[0].0 == pair[1].0 && pair[0].1 == pair[1].1);
    if once && masked && !twice { Ok(()) } else { Err(Error::invalid("access control list is not valid")) }
}
