//! Structures that were read, for both readers: that of composefs images and that of any filesystem.

use tree::Time;
use zerocopy::FromBytes;

use crate::format::{
    COMPACT_SIZE, DIRENT_SIZE, Dirent, EXTENDED_SIZE, FORMAT_EXTENDED, FORMAT_LAYOUT_SHIFT, InodeCompact,
    InodeExtended, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK, XATTR_ALIGN,
    XATTR_HEADER_SIZE, XattrEntry,
};

/// What an inode says, be it small or extended.
#[derive(Debug, Clone)]
pub(crate) struct Fields {
    /// Its bytes.
    pub(crate) length: u64,
    /// Where its data lies (`EROFS_INODE_*`); bits that mean nothing stand above.
    pub(crate) layout: u16,
    /// Bytes of attributes behind it.
    pub(crate) xattrs: u64,
    pub(crate) mode: u16,
    pub(crate) links: u32,
    pub(crate) size: u64,
    pub(crate) u: u32,
    /// What of a wide filesystem stands beside `u`, and seconds behind the time of small inodes.
    pub(crate) wide: (u16, u32),
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: Time,
}

impl Fields {
    /// Bytes of an inode that begins with these.
    pub(crate) fn length_of(format: [u8; 2]) -> u64 {
        match u16::from_le_bytes(format) & FORMAT_EXTENDED {
            0 => COMPACT_SIZE,
            _ => EXTENDED_SIZE,
        }
    }

    /// Takes an inode apart. `bytes` are as many as [`length_of`](Fields::length_of) says; `epoch` is the time of small
    /// ones.
    pub(crate) fn parse(bytes: &[u8], epoch: Time) -> Option<Fields> {
        let xattrs = |icount: u16| match icount {
            0 => 0,
            count => (XATTR_HEADER_SIZE + XATTR_ALIGN * usize::from(count - 1)) as u64,
        };
        if bytes.len() as u64 == COMPACT_SIZE {
            let inode = InodeCompact::read_from_bytes(bytes).ok()?;
            return Some(Fields {
                length: COMPACT_SIZE,
                layout: inode.format.get() >> FORMAT_LAYOUT_SHIFT,
                xattrs: xattrs(inode.xattr_icount.get()),
                mode: inode.mode.get(),
                links: inode.nlink.get().into(),
                size: inode.size.get().into(),
                u: inode.u.get(),
                wide: (inode.nlink.get(), inode.reserved.get()),
                uid: inode.uid.get().into(),
                gid: inode.gid.get().into(),
                mtime: epoch,
            });
        }
        let inode = InodeExtended::read_from_bytes(bytes).ok()?;
        Some(Fields {
            length: EXTENDED_SIZE,
            layout: inode.format.get() >> FORMAT_LAYOUT_SHIFT,
            xattrs: xattrs(inode.xattr_icount.get()),
            mode: inode.mode.get(),
            links: inode.nlink.get(),
            size: inode.size.get(),
            u: inode.u.get(),
            wide: (inode.startblk_hi.get(), 0),
            uid: inode.uid.get(),
            gid: inode.gid.get(),
            mtime: Time { seconds: inode.mtime.get(), nanoseconds: inode.mtime_nsec.get() },
        })
    }

    /// The type, as `S_IFMT` cuts it out of the mode.
    pub(crate) fn file_type(&self) -> u16 {
        self.mode & 0o170_000
    }

    pub(crate) fn is_extended(&self) -> bool {
        self.length == EXTENDED_SIZE
    }
}

/// How the type of a file stands in a directory (`FT_*` of `include/linux/fs_types.h`); 0 for none.
pub(crate) fn file_type_number(mode: u16) -> u8 {
    match mode & 0o170_000 {
        S_IFREG => 1,
        S_IFDIR => 2,
        S_IFCHR => 3,
        S_IFBLK => 4,
        S_IFIFO => 5,
        S_IFSOCK => 6,
        S_IFLNK => 7,
        _ => 0,
    }
}

/// A name in a block of a directory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Name<'a> {
    /// Where its entry lies in the block.
    pub(crate) at: usize,
    pub(crate) bytes: &'a [u8],
    pub(crate) nid: u64,
    pub(crate) file_type: u8,
}

/// The names in a block, or where something is wrong with it, and what.
pub(crate) fn names(block: &[u8]) -> Result<Vec<Name<'_>>, (usize, &'static str)> {
    let dirent = |nth: usize| {
        let bytes = block.get(nth * DIRENT_SIZE..);
        let parsed = bytes.and_then(|bytes| Dirent::read_from_prefix(bytes).ok());
        parsed
            .map(|(dirent, _)| dirent)
            .ok_or((nth * DIRENT_SIZE, "an entry of a directory that is cut short"))
    };
    let first = usize::from(dirent(0)?.nameoff.get());
    if first == 0 || first % DIRENT_SIZE != 0 || first > block.len() {
        return Err((0, "names that start in the middle of an entry"));
    }
    let count = first / DIRENT_SIZE;
    let mut names = Vec::with_capacity(count);
    for nth in 0..count {
        let (at, entry) = (nth * DIRENT_SIZE, dirent(nth)?);
        let start = usize::from(entry.nameoff.get());
        let name = if nth + 1 < count {
            block.get(start..usize::from(dirent(nth + 1)?.nameoff.get()))
        } else {
            // The last ends where the block does, or with a NUL.
            let rest = block.get(start..);
            rest.and_then(|rest| rest.split(|&byte| byte == 0).next())
        };
        match name {
            Some(bytes) if start >= first && !bytes.is_empty() => {
                names.push(Name { at, bytes, nid: entry.nid.get(), file_type: entry.file_type });
            }
            _ => return Err((at, "a name that is not where it should be")),
        }
    }
    Ok(names)
}

/// An attribute.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attribute<'a> {
    /// The number of the name's prefix.
    pub(crate) index: u8,
    /// What of the name follows it.
    pub(crate) suffix: &'a [u8],
    pub(crate) value: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// Bytes of the attribute that begins with these.
    pub(crate) fn length_of(entry: &XattrEntry) -> u64 {
        (size_of::<XattrEntry>() + usize::from(entry.name_len) + usize::from(entry.value_size.get())) as u64
    }

    /// The attribute with which `bytes` begin; `None` if they end before it does.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Attribute<'a>> {
        let (entry, rest) = XattrEntry::read_from_prefix(bytes).ok()?;
        let (suffix, rest) = rest.split_at_checked(entry.name_len.into())?;
        let value = rest.get(..entry.value_size.get().into())?;
        Some(Attribute { index: entry.name_index, suffix, value })
    }

    /// Bytes to the next one.
    pub(crate) fn length(&self) -> u64 {
        let length = size_of::<XattrEntry>() + self.suffix.len() + self.value.len();
        length.next_multiple_of(XATTR_ALIGN) as u64
    }
}
