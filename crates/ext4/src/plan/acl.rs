//! POSIX access control lists as ext4 stores them: not in the version that system calls have.

use tree::acl::{Entry, GROUP, USER};

/// Writes what ext4 stores (`struct ext4_acl_header`, version 1): an entry has an id only where it needs one.
pub(crate) fn to_disk(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = 1u32.to_le_bytes().to_vec();
    for entry in entries {
        bytes.extend(entry.tag.to_le_bytes());
        bytes.extend(entry.perm.to_le_bytes());
        if matches!(entry.tag, USER | GROUP) {
            bytes.extend(entry.id.to_le_bytes());
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use tree::acl::{GROUP_OBJ, MASK, OTHER, USER_OBJ};

    use super::*;

    #[test]
    fn only_some_have_ids() {
        let entry = |tag, id| Entry { tag, perm: 4, id };
        let entries = [
            entry(USER_OBJ, u32::MAX),
            entry(USER, 1000),
            entry(GROUP_OBJ, u32::MAX),
            entry(GROUP, 70_000),
            entry(MASK, u32::MAX),
            entry(OTHER, u32::MAX),
        ];
        let disk = to_disk(&entries);
        assert_eq!(disk.len(), 4 + 4 * 4 + 2 * 8);
        assert_eq!(disk[..16], [1, 0, 0, 0, 1, 0, 4, 0, 2, 0, 4, 0, 0xe8, 3, 0, 0]);
    }
}
