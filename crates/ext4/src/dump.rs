//! A layout as text: stable, so that two can be compared, and meant to be read.

use std::fmt;

use tree::{Kind, Tree, escape};

use crate::Layout;
use crate::format::{BG_BLOCK_UNINIT, BG_INODE_UNINIT, INO_JOURNAL, INO_RESIZE};
use crate::plan::extents;
use crate::plan::survey::{Inode, Subject, Survey};

/// What [`Layout::dump`] returns: shows the layout as text.
#[derive(Debug)]
pub struct Dump<'a> {
    layout: &'a Layout,
    tree: &'a Tree,
}

impl Layout {
    /// Shows where everything goes: the filesystem, its block groups, then each name of `tree` (which must be
    /// the one that was planned) with its inode and blocks.
    pub fn dump<'a>(&'a self, tree: &'a Tree) -> Dump<'a> {
        Dump { layout: self, tree }
    }
}

impl fmt::Display for Dump<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.filesystem(f)?;
        self.groups(f)?;
        self.own_inodes(f)?;
        self.names(f)?;
        self.values(f)
    }
}

impl Dump<'_> {
    fn filesystem(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layout = self.layout;
        let groups = &layout.placed.groups;
        let features = layout.features();
        writeln!(f, "ext4, {} bytes", layout.size())?;
        writeln!(
            f,
            "blocks: {} of {} bytes, {} free, {} reserved, last in use {}",
            layout.blocks(),
            layout.block_size(),
            layout.free_blocks(),
            layout.reserved_blocks(),
            layout.placed.end - 1,
        )?;
        writeln!(
            f,
            "inodes: {}, {} free, {} and {} blocks per group",
            layout.inodes(),
            layout.free_inodes(),
            groups.inodes_per_group,
            groups.inode_table_blocks,
        )?;
        writeln!(
            f,
            "features: compat {:#x}, incompat {:#x}, ro_compat {:#x}",
            features.compat, features.incompat, features.ro_compat
        )?;
        writeln!(
            f,
            "descriptors: {} blocks, {} reserved, copies in {:?}",
            groups.descriptor_blocks,
            groups.reserved_descriptor_blocks,
            groups.backups().collect::<Vec<_>>(),
        )
    }

    fn groups(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups = &self.layout.placed.groups;
        for (group, (place, counts)) in (0..).zip(groups.places.iter().zip(&self.layout.groups)) {
            write!(
                f,
                "group {group}: {}-{}, bitmaps {} {}, inodes at {}, {} blocks and {} inodes free, {} directories",
                groups.group_start(group),
                groups.group_end(group) - 1,
                place.block_bitmap,
                place.inode_bitmap,
                place.inode_table,
                counts.free_blocks,
                counts.free_inodes,
                counts.used_directories,
            )?;
            for (flag, name) in [(BG_INODE_UNINIT, ", inodes unused"), (BG_BLOCK_UNINIT, ", blocks unused")] {
                if counts.flags & flag != 0 {
                    f.write_str(name)?;
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }

    fn own_inodes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(block) = self.layout.placed.resize_block {
            writeln!(f, "{INO_RESIZE} resize @{block}")?;
        }
        if self.layout.journal_blocks() > 0 {
            write!(f, "{INO_JOURNAL} journal")?;
            self.blocks(f, INO_JOURNAL)?;
        }
        Ok(())
    }

    fn names(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let survey = &self.layout.survey;
        let mut shown = vec![false; self.tree.table_length()];
        let mut walk = self.tree.walk();
        while let Some(visit) = walk.step() {
            let ino = survey.numbers[visit.node.index()];
            write!(f, "{ino} /{}", escape(visit.path))?;
            if std::mem::replace(&mut shown[visit.node.index()], true) {
                writeln!(f, " again")?;
                continue;
            }
            let node = self.tree.node(visit.node);
            match &node.kind {
                Kind::Directory(_) => write!(f, " directory")?,
                Kind::File(content) => write!(f, " file of {}", content.size())?,
                Kind::Symlink(_) => write!(f, " link")?,
                Kind::CharDevice(_) | Kind::BlockDevice(_) => write!(f, " device")?,
                Kind::Fifo => write!(f, " fifo")?,
                Kind::Socket => write!(f, " socket")?,
            }
            self.inode(f, ino, survey.inode(ino))?;
            if visit.path.is_empty() && survey.adds_lost_found {
                write!(f, "{} /lost+found directory", Survey::number(1))?;
                self.inode(f, Survey::number(1), &survey.inodes[1])?;
            }
        }
        Ok(())
    }

    /// Inodes that hold values of attributes.
    fn values(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let survey = &self.layout.survey;
        for (place, inode) in survey.inodes.iter().enumerate() {
            if let Subject::Value(node, nth) = inode.subject {
                let ino = Survey::number(place);
                write!(f, "{ino} value {nth} of {}", survey.numbers[node.index()])?;
                self.blocks(f, ino)?;
            }
        }
        Ok(())
    }

    fn inode(&self, f: &mut fmt::Formatter<'_>, ino: u32, inode: &Inode) -> fmt::Result {
        if inode.links > 1 {
            write!(f, ", {} links", inode.links)?;
        }
        if inode.hashed {
            write!(f, ", hashed")?;
        }
        if let Some(block) = inode.xattr_block.checked_sub(1) {
            let users = self.layout.survey.xattr_blocks[block as usize].refcount;
            write!(f, ", attributes @{} for {users}", self.layout.placed.xattr_blocks[block as usize])?;
        }
        self.blocks(f, ino)
    }

    /// Extents as `logical+length@start`, and the blocks that hold more than the inode can.
    fn blocks(&self, f: &mut fmt::Formatter<'_>, ino: u32) -> fmt::Result {
        for extent in extents::of(&self.layout.placed.extents, ino) {
            write!(f, " {}+{}@{}", extent.logical, extent.length, extent.start)?;
        }
        if let Some(blocks) = self.layout.extent_tree_blocks(ino) {
            write!(f, " by {blocks:?}")?;
        }
        writeln!(f)
    }
}
