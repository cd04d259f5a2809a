//! POSIX access control lists, as system calls give and take them.

/// An entry: tag, permissions, and the user or group, which only some tags have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Whom it is about: one of the constants below.
    pub tag: u16,
    /// Read 4, write 2, execute 1.
    pub perm: u16,
    /// The number of the user or group, for [`USER`] and [`GROUP`].
    pub id: u32,
}

/// The owner.
pub const USER_OBJ: u16 = 0x01;
/// A user by number.
pub const USER: u16 = 0x02;
/// The file's group.
pub const GROUP_OBJ: u16 = 0x04;
/// A group by number.
pub const GROUP: u16 = 0x08;
/// The most that all but the owner and the rest may.
pub const MASK: u16 = 0x10;
/// The rest.
pub const OTHER: u16 = 0x20;

/// Reads what `getxattr` gives (`struct posix_acl_xattr_header`, version 2); `None` if the kernel would not
/// take it back (`posix_acl_valid`).
pub fn parse(value: &[u8]) -> Option<Vec<Entry>> {
    let entries = value.strip_prefix(&2u32.to_le_bytes())?;
    if entries.len() % 8 != 0 {
        return None;
    }
    let entries: Vec<Entry> = entries
        .chunks_exact(8)
        .map(|entry| Entry {
            tag: u16::from_le_bytes([entry[0], entry[1]]),
            perm: u16::from_le_bytes([entry[2], entry[3]]),
            id: u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]),
        })
        .collect();
    let count = |tag| entries.iter().filter(|entry| entry.tag == tag).count();
    let known = [USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER];
    let valid = entries.is_empty()
        || entries.iter().all(|entry| known.contains(&entry.tag) && entry.perm <= 7)
            && entries.is_sorted_by_key(|entry| entry.tag)
            && [USER_OBJ, GROUP_OBJ, OTHER].into_iter().all(|tag| count(tag) == 1)
            && (count(MASK) == 1 || count(MASK) + count(USER) + count(GROUP) == 0);
    valid.then_some(entries)
}

/// Whether a list says no more than the nine bits of a mode.
pub fn is_mode(entries: &[Entry]) -> bool {
    entries.iter().all(|entry| matches!(entry.tag, USER_OBJ | GROUP_OBJ | OTHER))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn xattr(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let mut bytes = 2u32.to_le_bytes().to_vec();
        for (tag, perm, id) in entries {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(perm.to_le_bytes());
            bytes.extend(id.to_le_bytes());
        }
        bytes
    }

    const NONE: u32 = u32::MAX;

    #[test]
    fn lists() {
        let list = [(1, 6, NONE), (2, 4, 1000), (4, 4, NONE), (8, 7, 70_000), (16, 7, NONE), (32, 0, NONE)];
        let entries = parse(&xattr(&list)).unwrap();
        assert!(!is_mode(&entries));
        assert_eq!(entries[3], Entry { tag: GROUP, perm: 7, id: 70_000 });
        assert!(is_mode(&parse(&xattr(&[(1, 6, NONE), (4, 4, NONE), (32, 0, NONE)])).unwrap()));
        assert_eq!(parse(&xattr(&[])), Some(Vec::new()));
    }

    #[test]
    fn malformed() {
        let base = [(1, 6, NONE), (4, 4, NONE), (32, 0, NONE)];
        for list in [
            &base[..2],
            &[base[1], base[0], base[2]],
            &[base[0], (2, 4, 1000), base[1], base[2]],
            &[base[0], base[1], (16, 8, NONE), base[2]],
            &[base[0], base[1], base[2], (64, 0, NONE)],
        ] {
            assert_eq!(parse(&xattr(list)), None, "{list:?}");
        }
        assert_eq!(parse(&[1, 0, 0, 0]), None);
        assert_eq!(parse(&xattr(&base)[..27]), None);
        assert_eq!(parse(b""), None);
    }
}
