//! A filesystem as text: what is where, in words that stay the same, so that two can be compared.

use std::collections::BTreeSet;
use std::fmt;
use std::io::Write;

use tree::{DEPTH_MAX, escape};

use super::directories::Entry;
use super::extents::{Extents, Written};
use super::inodes::Inode;
use super::xattrs::Value;
use super::{Filesystem, Place, ReadError};
use crate::format::{
    BG_BLOCK_UNINIT, BG_INODE_UNINIT, FEATURES, FL_INDEX, INO_ROOT, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO,
    S_IFLNK, S_IFREG, S_IFSOCK, XATTR_REFCOUNT_MAX,
};

/// Most names that are shown: as many as an image's layers may have entries. They are what memory is spent on.
pub(super) const NAMES_MAX: u64 = 20_000_000;

/// Longest text of a link.
const TEXT_MAX: u64 = 4096;

impl Filesystem<'_> {
    /// Shows everything: the filesystem, its block groups, the inodes that it has for itself, then each name in the
    /// order of a walk.
    ///
    /// ```text
    /// INODE MODE LINKS UID:GID SIZE MTIME /PATH [-> TEXT]
    ///     blocks LOGICAL+LENGTH@START …
    ///     ATTRIBUTE = VALUE
    /// INODE = /ANOTHER PATH
    /// ```
    pub fn dump(&self, out: &mut dyn Write) -> Result<(), ReadError> {
        let out = &mut Text(out);
        self.dump_superblock(out)?;
        for group in 0..self.groups {
            self.dump_group(group, out)?;
        }
        let mut dump = Dump { filesystem: self, out, shown: BTreeSet::new(), names: 0, extents: 0 };
        dump.own_inodes()?;
        dump.names()
    }

    fn dump_superblock(&self, out: &mut Text<'_>) -> Result<(), ReadError> {
        let sb = &self.superblock;
        let bytes = self.blocks * self.block_size;
        let wide = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
        writeln!(out, "ext4, {bytes} bytes")?;
        let label = sb.volume_name.split(|&byte| byte == 0).next().unwrap_or_default();
        writeln!(out, "label: {:?}, uuid: {}", escape(label).to_string(), uuid(&sb.uuid))?;
        let made = wide(sb.mkfs_time_hi.into(), sb.mkfs_time.get());
        let written = wide(sb.wtime_hi.into(), sb.wtime.get());
        writeln!(out, "made: {made}, last written: {written}")?;
        writeln!(
            out,
            "blocks: {} of {} bytes, {} free, {} reserved",
            self.blocks,
            self.block_size,
            wide(sb.free_blocks_count_hi.get(), sb.free_blocks_count_lo.get()),
            wide(sb.r_blocks_count_hi.get(), sb.r_blocks_count_lo.get()),
        )?;
        writeln!(
            out,
            "inodes: {} of {} bytes, {} free, {} per group",
            sb.inodes_count.get(),
            sb.inode_size.get(),
            sb.free_inodes_count.get(),
            sb.inodes_per_group.get(),
        )?;
        write!(out, "features:")?;
        let sets = [sb.feature_compat.get(), sb.feature_incompat.get(), sb.feature_ro_compat.get()];
        for (bits, names) in sets.into_iter().zip(FEATURES) {
            for bit in (0..32).map(|bit| 1u32 << bit).filter(|bit| bits & bit != 0) {
                match names.iter().find(|(known, _)| *known == bit) {
                    Some((_, name)) => write!(out, " {name}")?,
                    None => write!(out, " {bit:#x}")?,
                }
            }
        }
        writeln!(out)?;
        let reserved = sb.reserved_gdt_blocks.get();
        writeln!(out, "descriptors: {} bytes, {reserved} blocks reserved", self.descriptor_size)?;
        writeln!(out, "directories hashed by: {}, seed {}", sb.def_hash_version, uuid(&sb.hash_seed))?;
        Ok(())
    }

    fn dump_group(&self, group: u32, out: &mut Text<'_>) -> Result<(), ReadError> {
        let d = self.group(group)?;
        let wide = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
        let count = |high: u16, low: u16| u32::from(high) << 16 | u32::from(low);
        let per_group = u64::from(self.superblock.blocks_per_group.get());
        let start = u64::from(self.superblock.first_data_block.get()) + u64::from(group) * per_group;
        write!(
            out,
            "group {group}: {start}-{}, bitmaps {} {}, inodes at {}, {} blocks and {} inodes free, {} directories",
            (start + per_group).min(self.blocks) - 1,
            wide(d.block_bitmap_hi.get(), d.block_bitmap_lo.get()),
            wide(d.inode_bitmap_hi.get(), d.inode_bitmap_lo.get()),
            wide(d.inode_table_hi.get(), d.inode_table_lo.get()),
            count(d.free_blocks_count_hi.get(), d.free_blocks_count_lo.get()),
            count(d.free_inodes_count_hi.get(), d.free_inodes_count_lo.get()),
            count(d.used_dirs_count_hi.get(), d.used_dirs_count_lo.get()),
        )?;
        for (flag, text) in [(BG_INODE_UNINIT, ", inodes unused"), (BG_BLOCK_UNINIT, ", blocks unused")] {
            if d.flags.get() & flag != 0 {
                write!(out, "{text}")?;
            }
        }
        writeln!(out)?;
        Ok(())
    }
}

/// Where the text goes. That this fails is another fault than that of the filesystem.
struct Text<'a>(&'a mut dyn Write);

impl Text<'_> {
    fn write_fmt(&mut self, text: fmt::Arguments<'_>) -> Result<(), ReadError> {
        self.0.write_fmt(text).map_err(ReadError::Output)
    }
}

/// What is being shown.
struct Dump<'a, 'o> {
    filesystem: &'a Filesystem<'a>,
    out: &'a mut Text<'o>,
    /// The inodes that were.
    shown: BTreeSet<u32>,
    names: u64,
    extents: u64,
}

/// A directory whose names are being shown.
struct Open {
    ino: u32,
    rest: std::vec::IntoIter<Entry>,
    path_length: usize,
}

impl Dump<'_, '_> {
    /// The reserved inodes in use, but the root: the journal, and what keeps room for group descriptors.
    fn own_inodes(&mut self) -> Result<(), ReadError> {
        let first =
            self.filesystem.superblock.first_ino.get().min(self.filesystem.superblock.inodes_count.get());
        for ino in (1..first.min(64)).filter(|&ino| ino != INO_ROOT) {
            let inode = self.filesystem.inode(ino)?;
            if inode.fields.links_count.get() > 0 {
                self.line(&inode)?;
                writeln!(self.out)?;
                let extents = self.filesystem.extents(&inode)?;
                self.blocks(&inode, &extents)?;
            }
        }
        Ok(())
    }

    fn names(&mut self) -> Result<(), ReadError> {
        let mut path: Vec<u8> = Vec::new();
        let mut open: Vec<Open> = Vec::new();
        if let Some(entries) = self.name(INO_ROOT, INO_ROOT, &path)? {
            open.push(Open { ino: INO_ROOT, rest: entries.into_iter(), path_length: 0 });
        }
        while let Some(directory) = open.last_mut() {
            let Some((name, ino)) = directory.rest.next() else {
                open.pop();
                continue;
            };
            let parent = directory.ino;
            path.truncate(directory.path_length);
            path.push(b'/');
            path.extend_from_slice(&name);
            if let Some(entries) = self.name(ino, parent, &path)? {
                if open.len() > DEPTH_MAX {
                    return Err(ReadError::Limit {
                        what: "directories in one another",
                        limit: DEPTH_MAX as u64,
                    });
                }
                open.push(Open { ino, rest: entries.into_iter(), path_length: path.len() });
            }
        }
        Ok(())
    }

    /// Shows a name, and gives the names in it if it is a directory.
    fn name(&mut self, ino: u32, parent: u32, path: &[u8]) -> Result<Option<Vec<Entry>>, ReadError> {
        let path: &[u8] = if path.is_empty() { b"/" } else { path };
        if !self.shown.insert(ino) {
            let inode = self.filesystem.inode(ino)?;
            if inode.file_type() == S_IFDIR || inode.fields.links_count.get() < 2 {
                let what = "more names lead to it than it has links";
                return Err(ReadError::Corrupt { place: Place::Inode(ino), what });
            }
            writeln!(self.out, "{ino} = {}", escape(path))?;
            return Ok(None);
        }
        let inode = self.filesystem.inode(ino)?;
        if inode.fields.links_count.get() == 0 {
            let what = "a name leads to it and it has no links";
            return Err(ReadError::Corrupt { place: Place::Inode(ino), what });
        }
        let extents = self.filesystem.extents(&inode)?;
        self.line(&inode)?;
        write!(self.out, " {}", escape(path))?;
        if inode.file_type() == S_IFLNK {
            write!(self.out, " -> {}", escape(&self.filesystem.text(&inode, &extents)?))?;
        }
        writeln!(self.out)?;
        self.blocks(&inode, &extents)?;
        self.xattrs(&inode)?;
        if inode.file_type() != S_IFDIR {
            return Ok(None);
        }
        let entries = self.filesystem.entries(&inode, &extents, parent, NAMES_MAX - self.names)?;
        self.names += entries.len() as u64;
        Ok(Some(entries))
    }

    /// The line of an inode, without its path.
    fn line(&mut self, inode: &Inode) -> Result<(), ReadError> {
        let letter = match inode.file_type() {
            S_IFDIR => 'd',
            S_IFREG => '-',
            S_IFLNK => 'l',
            S_IFCHR => 'c',
            S_IFBLK => 'b',
            S_IFIFO => 'p',
            S_IFSOCK => 's',
            _ => '?',
        };
        let links = inode.fields.links_count.get();
        let mode = inode.fields.mode.get() & 0o7777;
        write!(self.out, "{} {letter}{mode:04o} {links} {}:{} ", inode.number, inode.uid(), inode.gid())?;
        match inode.file_type() {
            S_IFCHR | S_IFBLK => {
                let (major, minor) = inode.device();
                write!(self.out, "{major},{minor}")?;
            }
            _ => write!(self.out, "{}", inode.size())?,
        }
        let mtime = inode.mtime();
        write!(self.out, " {}", mtime.seconds)?;
        if mtime.nanoseconds != 0 {
            write!(self.out, ".{:09}", mtime.nanoseconds)?;
        }
        Ok(())
    }

    fn blocks(&mut self, inode: &Inode, extents: &Extents) -> Result<(), ReadError> {
        if inode.fields.flags.get() & FL_INDEX != 0 {
            writeln!(self.out, "    hashed")?;
        }
        if !extents.extents.is_empty() {
            write!(self.out, "    blocks")?;
            self.extents(inode, extents)?;
        }
        if !extents.blocks.is_empty() {
            writeln!(self.out, "    extents in {:?}", extents.blocks)?;
        }
        let is_mapped = matches!(inode.file_type(), S_IFREG | S_IFDIR) && !inode.has_extents();
        let pointers = inode.fields.block.chunks_exact(4).map(|word| [word[0], word[1], word[2], word[3]]);
        for (place, block) in pointers.map(u32::from_le_bytes).enumerate() {
            if is_mapped && block != 0 {
                writeln!(self.out, "    block map {place} at {block}")?;
            }
        }
        Ok(())
    }

    /// The rest of a line that names extents. No block has two owners, so there are no more than blocks; values of
    /// attributes may have several.
    fn extents(&mut self, inode: &Inode, extents: &Extents) -> Result<(), ReadError> {
        self.extents += extents.extents.len() as u64;
        if self.extents > self.filesystem.blocks.saturating_mul(XATTR_REFCOUNT_MAX.into()) {
            let what = "it has blocks that others have";
            return Err(ReadError::Corrupt { place: inode.place(), what });
        }
        for (extent, written) in &extents.extents {
            write!(self.out, " {}+{}@{}", extent.logical, extent.length, extent.start)?;
            if *written == Written::No {
                write!(self.out, " (not written)")?;
            }
        }
        writeln!(self.out)
    }

    /// A value as text if it is that, or in hexadecimal digits.
    fn value(&mut self, bytes: &[u8]) -> Result<(), ReadError> {
        match std::str::from_utf8(bytes) {
            Ok(text) if !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() || c == ' ') => {
                writeln!(self.out, "{text:?}")
            }
            _ => {
                write!(self.out, "0x")?;
                bytes.iter().try_for_each(|byte| write!(self.out, "{byte:02x}"))?;
                writeln!(self.out)
            }
        }
    }

    fn xattrs(&mut self, inode: &Inode) -> Result<(), ReadError> {
        let xattrs = self.filesystem.xattrs(inode)?;
        for (name, value) in &xattrs.values {
            write!(self.out, "    {} = ", escape(name))?;
            match value {
                Value::Here(bytes) => self.value(bytes)?,
                Value::Elsewhere { inode: number, size, extents } => {
                    write!(self.out, "{size} bytes in inode {number}, blocks")?;
                    self.extents(inode, extents)?;
                }
            }
        }
        if let Some((block, users)) = xattrs.block {
            writeln!(self.out, "    attributes in block {block}, shared by {users}")?;
        }
        Ok(())
    }
}

impl Filesystem<'_> {
    /// The text of a link.
    fn text(&self, inode: &Inode, extents: &Extents) -> Result<Vec<u8>, ReadError> {
        if let Some(text) = inode.short_text() {
            return Ok(text.to_vec());
        }
        let corrupt = || ReadError::Corrupt { place: inode.place(), what: "the text of the link is missing" };
        let size = inode.size();
        let mut text = Vec::new();
        for (extent, _) in extents.extents.iter().take(TEXT_MAX as usize) {
            if size <= TEXT_MAX && u64::from(extent.logical) * self.block_size == text.len() as u64 {
                for number in (extent.start..extent.start + u64::from(extent.length)).take(4) {
                    text.extend(self.block(number, inode.place())?);
                }
            }
        }
        text.get(..size as usize)
            .filter(|_| size > 0 && size <= TEXT_MAX)
            .map(<[u8]>::to_vec)
            .ok_or_else(corrupt)
    }
}

/// Sixteen bytes as a UUID is written.
fn uuid(bytes: &[u8; 16]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}
