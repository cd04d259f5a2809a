//! Writing what was planned.

mod directories;
mod inodes;
mod superblock;
mod xattrs;

use std::io;

use tree::{Content, Kind, Output, Span, Tree};

use crate::format::{COMPACT_SIZE, SLOT, SUPERBLOCK_OFFSET};
use crate::plan::survey::{Inode, pieces_in};
use crate::{Error, Layout};

/// Metadata of neighbours goes out in writes of up to so many bytes.
const BATCH: usize = 1 << 20;

/// Gathers metadata that lies behind one another, and keeps the superblock's block back.
pub(crate) struct Sink<'a> {
    out: &'a mut dyn Output,
    start: u64,
    bytes: Vec<u8>,
    /// The superblock's block.
    head: Vec<u8>,
    head_at: u64,
}

impl Sink<'_> {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// Puts bytes; they may reach the output later.
    pub(crate) fn put(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if let Some(at) = offset.checked_sub(self.head_at)
            && let Some(head) = self.head.get_mut(at as usize..).and_then(|head| head.get_mut(..bytes.len()))
        {
            head.copy_from_slice(bytes);
            return Ok(());
        }
        if offset != self.end() || self.bytes.len() + bytes.len() > BATCH {
            self.flush()?;
            self.start = offset;
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Puts zeros up to `offset`, if what was put last is so near that nothing else lies between.
    fn pad(&mut self, offset: u64) -> io::Result<()> {
        const ZEROS: [u8; 4096] = [0; 4096];
        match offset.checked_sub(self.end()) {
            Some(gap) if gap < self.head.len() as u64 && self.end() > self.head_at => {
                self.put(self.end(), &ZEROS[..gap as usize])
            }
            _ => Ok(()),
        }
    }

    fn copy(&mut self, offset: u64, span: Span) -> io::Result<()> {
        self.flush()?;
        self.start = offset + span.length;
        self.out.copy(offset, span)
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.bytes.is_empty() {
            self.out.write(self.start, &self.bytes)?;
            self.start = self.end();
            self.bytes.clear();
        }
        Ok(())
    }
}

/// What lies among the metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Item {
    Inode(u32),
    /// Attributes of several files.
    Shared,
    Devices,
    Packed,
}

impl Layout {
    /// Writes the filesystem. `tree` must be the one that it was planned for, and `out` must read as zeros where
    /// nothing is put.
    ///
    /// Contents come in the order in which the layers hold them, so that neighbours can be copied together; the
    /// ends that lie behind inodes come before, in the order of these. The superblock comes last, so that what
    /// was interrupted is not taken for a filesystem.
    pub fn write(&self, tree: &Tree, out: &mut dyn Output) -> Result<(), Error> {
        let block = u64::from(self.block_size());
        let head_at = SUPERBLOCK_OFFSET / block * block;
        let head = vec![0; block as usize];
        let mut sink = Sink { out, start: 0, bytes: Vec::with_capacity(BATCH), head, head_at };
        self.write_metadata(tree, &mut sink)?;
        directories::write_blocks(self, tree, &mut sink)?;
        self.write_own_blocks(tree, &mut sink)?;
        sink.flush()?;
        self.write_contents(tree, &mut sink)?;
        superblock::write(self, &mut sink.head, head_at);
        Ok(sink.out.write(head_at, &sink.head)?)
    }

    /// Inodes with all that lies behind them, and shared attributes, in the order of their places.
    fn write_metadata(&self, tree: &Tree, sink: &mut Sink<'_>) -> Result<(), Error> {
        let places = self.survey.shared.places(tree)?;
        let mut order: Vec<(u64, Item)> = Vec::with_capacity(self.survey.inodes.len() + 3);
        let inodes = (0..).zip(&self.survey.inodes);
        order.extend(inodes.map(|(place, inode)| (self.at(inode), Item::Inode(place))));
        if self.survey.shared.length > 0 {
            order.push((self.placed.shared, Item::Shared));
        }
        if !self.devices.is_empty() {
            order.push((self.placed.devices, Item::Devices));
        }
        if self.pressed.packed.is_some() {
            order.push((self.nid_at(self.placed.packed), Item::Packed));
        }
        order.sort_unstable();
        let writer = inodes::Writer::new(self, tree, &places);
        for (at, item) in order {
            sink.pad(at)?;
            match item {
                Item::Inode(place) => writer.write(place, sink)?,
                Item::Shared => xattrs::write_shared(at, &places, sink)?,
                Item::Packed => sink.put(at, &inodes::packed(self))?,
                Item::Devices => sink.put(at, &superblock::devices(self))?,
            }
        }
        Ok(())
    }

    /// Texts of links, and contents made here, without what lies behind inodes.
    fn write_own_blocks(&self, tree: &Tree, sink: &mut Sink<'_>) -> Result<(), Error> {
        let size = self.options.block_size;
        for inode in &self.survey.inodes {
            let bytes = match &tree.node(inode.node).kind {
                Kind::Symlink(text) => text,
                Kind::File(Content::Inline(bytes)) => bytes,
                _ => continue,
            };
            let at = inode.start * u64::from(size.bytes());
            let blocks = inode.blocks(size) * u64::from(size.bytes());
            if blocks > 0 {
                sink.pad(at)?;
                sink.put(at, &bytes[..bytes.len().min(blocks as usize)])?;
            }
        }
        Ok(())
    }

    /// Contents of layers, without what lies behind inodes.
    fn write_contents(&self, tree: &Tree, sink: &mut Sink<'_>) -> Result<(), Error> {
        let size = self.options.block_size;
        for run in &self.survey.runs {
            let inode = &self.survey.inodes[run.inode as usize];
            if let Kind::File(content) = &tree.node(inode.node).kind {
                let range = run.stretch.bytes(size);
                let start = run.start * u64::from(size.bytes());
                for (at, span) in pieces_in(content, range.clone()) {
                    sink.copy(start + (at - range.start), span)?;
                }
            }
        }
        Ok(())
    }

    /// Where an inode lies, in bytes.
    pub(crate) fn at(&self, inode: &Inode) -> u64 {
        self.nid_at(inode.nid)
    }

    fn nid_at(&self, nid: u64) -> u64 {
        self.placed.metadata * u64::from(self.block_size()) + nid * SLOT
    }
}

const _: () = assert!(COMPACT_SIZE == SLOT);
