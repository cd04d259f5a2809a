//! A layout as text: stable, so that two can be compared, and meant to be read.

use std::fmt;

use tree::{Kind, Tree, escape};

use crate::Layout;
use crate::plan::devices::Outside;
use crate::plan::survey::{Data, Inode};

/// What [`Layout::dump`] returns: shows the layout as text.
#[derive(Debug)]
pub struct Dump<'a> {
    layout: &'a Layout,
    tree: &'a Tree,
}

impl Layout {
    /// Shows where everything goes: the filesystem, then each name of `tree` (which must be the one that was
    /// planned) with its inode and blocks.
    pub fn dump<'a>(&'a self, tree: &'a Tree) -> Dump<'a> {
        Dump { layout: self, tree }
    }
}

impl fmt::Display for Dump<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.filesystem(f)?;
        self.names(f)
    }
}

impl Dump<'_> {
    fn filesystem(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layout = self.layout;
        let (survey, placed) = (&layout.survey, &layout.placed);
        let features = layout.features();
        let count = |which: fn(&&Inode) -> bool| survey.inodes.iter().filter(which).count();
        writeln!(f, "erofs, {} bytes, for Linux {}", layout.size(), layout.needs_kernel())?;
        writeln!(
            f,
            "blocks: {} of {} bytes, names and texts from {}, contents from {}",
            placed.blocks,
            layout.block_size(),
            placed.own,
            placed.contents,
        )?;
        writeln!(
            f,
            "inodes: {}, {} extended, {} with data inline, {} in chunks",
            survey.inodes.len(),
            count(|inode| inode.extended),
            count(|inode| inode.data == Data::Inline),
            count(|inode| matches!(inode.data, Data::Chunks { .. })),
        )?;
        for (number, device) in (1..).zip(&layout.devices) {
            let outside = |inode: &&Inode| matches!(inode.data, Data::Outside(at) if at.device == number);
            let (files, blocks) =
                (survey.inodes.iter().filter(outside).count(), device.blocks(layout.options.block_size));
            writeln!(f, "device {number}: {files} files in {blocks} blocks, {}", escape(&device.tag))?;
        }
        if let Some(algorithm) = layout.algorithm() {
            let pressed = count(|inode| matches!(inode.data, Data::Pressed { .. }));
            let blocks = placed.metadata - 1;
            writeln!(f, "compressed: {pressed} by {algorithm}, clusters in {blocks} blocks from 1")?;
            if let Some((size, file)) = &layout.pressed.packed {
                let (nid, blocks, start) = (placed.packed, file.blocks, file.start);
                writeln!(f, "packed inode: {nid}, {size} bytes in clusters {blocks}@{start}")?;
            }
        }
        writeln!(f, "features: compat {:#x}, incompat {:#x}", features.compat, features.incompat)?;
        writeln!(f, "time of small inodes: {}.{:09}", survey.epoch.seconds, survey.epoch.nanoseconds)?;
        if survey.shared.count() > 0 {
            let (count, length) = (survey.shared.count(), survey.shared.length);
            writeln!(f, "shared attributes: {count} in {length} bytes at {}", placed.shared)?;
        }
        Ok(())
    }

    fn names(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = vec![false; self.tree.table_length()];
        let mapped = self.layout.survey.mapped();
        let mut walk = self.tree.walk();
        while let Some(visit) = walk.step() {
            let inode = self.layout.survey.inode(visit.node);
            write!(f, "{} /{}", inode.nid, escape(visit.path))?;
            if std::mem::replace(&mut shown[visit.node.index()], true) {
                writeln!(f, " again")?;
                continue;
            }
            match &self.tree.node(visit.node).kind {
                Kind::Directory(_) => write!(f, " directory of {}", inode.size)?,
                Kind::File(_) => write!(f, " file of {}", inode.size)?,
                Kind::Symlink(_) => write!(f, " link of {}", inode.size)?,
                Kind::CharDevice(_) | Kind::BlockDevice(_) => write!(f, " device")?,
                Kind::Fifo => write!(f, " fifo")?,
                Kind::Socket => write!(f, " socket")?,
            }
            self.inode(f, inode)?;
            if let Data::Chunks { bits, .. } = inode.data {
                write!(f, ", chunks of {}", 1u64 << bits)?;
                let place = self.layout.survey.places[visit.node.index()];
                let from = mapped.partition_point(|run| run.inode < place);
                for run in mapped[from..].iter().take_while(|run| run.inode == place) {
                    write!(f, " {}+{}@{}", run.first, run.blocks, run.start)?;
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }

    /// What is not usual about an inode, and its blocks as `length@start`.
    fn inode(&self, f: &mut fmt::Formatter<'_>, inode: &Inode) -> fmt::Result {
        let size = self.layout.options.block_size;
        if inode.extended {
            write!(f, ", extended")?;
        }
        if inode.links > 1 {
            write!(f, ", {} links", inode.links)?;
        }
        if inode.xattrs > 0 {
            write!(f, ", {} of attributes", inode.xattrs)?;
        }
        if inode.tail(size) > 0 {
            write!(f, ", {} inline", inode.tail(size))?;
        }
        if let Data::Pressed { index, tail, .. } = inode.data
            && let Some(file) = self.layout.pressed.file(inode.node)
        {
            write!(f, ", compressed, {index} of index, {tail} inline")?;
            let clusters = file.extents.iter().map(|extent| if extent.plain { extent.blocks } else { 1 });
            write!(f, ", {} clusters {}@{}", clusters.sum::<u32>(), file.blocks, file.start)?;
            if let Some(fragment) = file.fragment {
                write!(f, ", {} packed from {}", fragment.length, fragment.at)?;
            }
        }
        if let Data::Outside(Outside { device, block }) = inode.data {
            write!(f, " @{device}:{block}")?;
        }
        if inode.blocks(size) > 0 {
            write!(f, " {}@{}", inode.blocks(size), inode.start)?;
        }
        Ok(())
    }
}
