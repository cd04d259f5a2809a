//! Which attribute lies where: in the inode, in a block, or in an inode of its own.

use std::borrow::Cow;

use tree::Metadata;
use tree::acl::{is_mode, parse};

use crate::format::{INODE_SIZE, XATTR_END, XATTR_NAME_MAX, XATTR_SIZE_MAX};
use crate::plan::acl;
use crate::{BlockSize, Error};

/// An attribute as ext4 names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Xattr<'a> {
    /// Which prefix the name had (`EXT4_XATTR_INDEX_*`).
    pub(crate) index: u8,
    /// The name behind the prefix.
    pub(crate) name: &'a [u8],
    pub(crate) value: Cow<'a, [u8]>,
    /// The value lies in an inode of its own.
    pub(crate) external: bool,
}

/// The attributes of a node by place, each place in the order of the disk.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Arranged<'a> {
    pub(crate) in_inode: Vec<Xattr<'a>>,
    pub(crate) in_block: Vec<Xattr<'a>>,
    /// How many ext4 has no prefix for.
    pub(crate) dropped: u64,
}

impl<'a> Arranged<'a> {
    /// The values that lie in inodes of their own, in the order in which these are numbered.
    pub(crate) fn external(&self) -> impl Iterator<Item = &Xattr<'a>> {
        self.in_block.iter().filter(|xattr| xattr.external)
    }
}

/// Bytes of attributes in an inode: what its fields leave, without the magic and the end.
const IN_INODE: usize = INODE_SIZE as usize - 160 - 4 - XATTR_END;

/// Bytes of attributes in a block.
fn in_block(size: BlockSize) -> usize {
    size.bytes() as usize - 32 - XATTR_END
}

impl Xattr<'_> {
    fn length(&self) -> usize {
        let value = if self.external { 0 } else { self.value.len() };
        (16 + self.name.len()).next_multiple_of(4) + value.next_multiple_of(4)
    }
}

/// Prefixes that ext4 replaces by a number. There are others in Linux; the kernel's ext4 refuses those.
const PREFIXES: [(&[u8], u8); 3] = [(b"user.", 1), (b"trusted.", 4), (b"security.", 6)];

/// Finds a place for each attribute of a node. `path` is for errors.
pub(crate) fn arrange<'a>(
    metadata: &'a Metadata,
    size: BlockSize,
    path: &[u8],
) -> Result<Arranged<'a>, Error> {
    let mut arranged = Arranged::default();
    let mut inode_left = IN_INODE;
    for (name, value) in metadata.xattrs() {
        let Some(mut xattr) = translate(name, value, path)? else {
            continue;
        };
        if xattr.index == 0 {
            arranged.dropped += 1;
            continue;
        }
        let too_much = |what, value: usize, max: usize| {
            Err(Error::Limit { path: path.into(), what, value: value as u64, max: max as u64 })
        };
        if name.len() > XATTR_NAME_MAX {
            return too_much("length of an attribute's name", name.len(), XATTR_NAME_MAX);
        }
        if xattr.value.len() > XATTR_SIZE_MAX {
            return too_much("length of an attribute's value", xattr.value.len(), XATTR_SIZE_MAX);
        }
        xattr.external = xattr.length() > in_block(size);
        // Such a value's blocks count as its owner's, and of a short link that counts blocks e2fsck believes
        // that it has some, unless there is a block of attributes (`ext2fs_inode_has_valid_blocks2`).
        if !xattr.external && xattr.length() <= inode_left {
            inode_left -= xattr.length();
            arranged.in_inode.push(xattr);
        } else {
            arranged.in_block.push(xattr);
        }
    }

    // What does not fit together goes out of the block, the largest first, as the kernel does it.
    let mut length: usize = arranged.in_block.iter().map(Xattr::length).sum();
    while length > in_block(size) {
        let largest = arranged.in_block.iter_mut().filter(|xattr| !xattr.external && !xattr.value.is_empty());
        let Some(largest) = largest.max_by_key(|xattr| xattr.value.len()) else {
            let what = "length of the attributes' names";
            return Err(Error::Limit {
                path: path.into(),
                what,
                value: length as u64,
                max: in_block(size) as u64,
            });
        };
        length -= largest.length();
        largest.external = true;
        length += largest.length();
    }
    // The kernel searches a block in this order (`xattr_find_entry`, sorted).
    arranged.in_block.sort_by_key(|xattr| (xattr.index, xattr.name.len(), xattr.name));
    Ok(arranged)
}

/// An attribute under ext4's name; with index 0 if it has none, `None` if it says nothing.
fn translate<'a>(name: &'a [u8], value: &'a [u8], path: &[u8]) -> Result<Option<Xattr<'a>>, Error> {
    let posix_acl = match name {
        b"system.posix_acl_access" => 2,
        b"system.posix_acl_default" => 3,
        _ => 0,
    };
    if posix_acl != 0 {
        let what = "POSIX access control list is malformed";
        let entries = parse(value).ok_or(Error::Invalid { path: path.into(), what })?;
        // What the mode says already, the kernel does not store either (`posix_acl_equiv_mode`).
        if entries.is_empty() || (posix_acl == 2 && is_mode(&entries)) {
            return Ok(None);
        }
        let value = Cow::Owned(acl::to_disk(&entries));
        return Ok(Some(Xattr { index: posix_acl, name: b"", value, external: false }));
    }
    let known = PREFIXES.iter().find_map(|&(prefix, index)| Some((index, name.strip_prefix(prefix)?)));
    let (index, name) = known.filter(|(_, name)| !name.is_empty()).unwrap_or((0, name));
    Ok(Some(Xattr { index, name, value: Cow::Borrowed(value), external: false }))
}
