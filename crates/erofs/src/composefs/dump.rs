//! A layout as text: stable, so that two can be compared, and meant to be read.

use std::fmt;

use tree::escape;

use super::inodes::{Data, Entry};
use super::plan::Layout;
use super::xattrs::Xattr;

/// What [`Layout::dump`] returns: shows the layout as text.
#[derive(Debug)]
pub struct Dump<'a>(&'a Layout<'a>);

impl Layout<'_> {
    /// Shows where everything goes: the parts of the image, then each inode with its names and attributes.
    pub fn dump(&self) -> Dump<'_> {
        Dump(self)
    }
}

impl fmt::Display for Dump<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Layout { version, inodes, ends, epoch, .. } = self.0;
        writeln!(f, "composefs image, version {version}, {} bytes, {} inodes", ends.blocks, inodes.len())?;
        writeln!(f, "inodes to {}, shared attributes to {}", ends.inodes, ends.shared)?;
        writeln!(f, "time of small inodes: {}.{:09}", epoch.seconds, epoch.nanoseconds)?;
        for (xattr, start) in self.0.shared.iter().zip(&self.0.shared_starts) {
            write!(f, "shared at {}:", ends.inodes + start)?;
            Dump::xattr(f, xattr)?;
            writeln!(f)?;
        }
        (0..inodes.len()).try_for_each(|index| self.inode(f, index))
    }
}

impl Dump<'_> {
    fn inode(&self, f: &mut fmt::Formatter<'_>, index: usize) -> fmt::Result {
        let (inode, place) = (&self.0.inodes[index], &self.0.places[index]);
        write!(f, "{} {:o} {}:{} {}", place.nid(), inode.mode, inode.uid, inode.gid, inode.links)?;
        if place.extended {
            write!(f, " extended {}.{:09}", inode.mtime.seconds, inode.mtime.nanoseconds)?;
        }
        match &inode.data {
            Data::None => {}
            Data::Device(number) => write!(f, " device {number:#x}")?,
            Data::Directory(_) => write!(f, " directory of {}", place.extent.size)?,
            Data::Bytes(_) => write!(f, " file of {}", place.extent.size)?,
            Data::Text(text) => write!(f, " link to {}", escape(text))?,
            Data::Outside(size) => write!(f, " object of {size}")?,
        }
        if place.extent.blocks > 0 {
            write!(f, " {}@{}", place.extent.blocks, place.block)?;
        }
        if place.extent.tail > 0 {
            write!(f, ", {} behind it", place.extent.tail)?;
        }
        for &shared in &self.0.xattrs[index].shared {
            write!(f, " {}", escape(self.0.shared[shared as usize].name()))?;
        }
        self.0.xattrs[index].local.iter().try_for_each(|xattr| Dump::xattr(f, xattr))?;
        writeln!(f)?;
        if let Data::Directory(directory) = &inode.data {
            let blocks = directory.blocks.iter().map(|block| (" | ", block));
            for (sign, entries) in blocks.chain([(" + ", &directory.tail)]) {
                entries.iter().try_for_each(|entry| self.entry(f, sign, entry))?;
            }
        }
        Ok(())
    }

    fn entry(&self, f: &mut fmt::Formatter<'_>, sign: &str, entry: &Entry<'_>) -> fmt::Result {
        writeln!(f, "{sign}{} {}", self.0.places[entry.place as usize].nid(), escape(entry.name))
    }

    fn xattr(f: &mut fmt::Formatter<'_>, xattr: &Xattr<'_>) -> fmt::Result {
        write!(f, " {}=", escape(xattr.name()))?;
        xattr.value().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
