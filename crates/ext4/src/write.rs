//! Writing what was planned.

mod directories;
mod extents;
mod groups;
mod inodes;
mod superblock;
pub(crate) mod xattrs;

use tree::{Content, Kind, Output, Span, Tree};
use zerocopy::IntoBytes;

use crate::format::{
    FAST_SYMLINK_MAX, INO_JOURNAL, JOURNAL_MAGIC, JOURNAL_SUPERBLOCK_V2, JournalSuperblock, SUPERBLOCK_OFFSET,
};
use crate::plan::extents::of;
use crate::plan::survey::{Subject, Survey};
use crate::{Error, Layout, checksum};

/// Metadata of neighbouring blocks goes out in writes of up to so many bytes.
const BATCH: usize = 1 << 20;

/// Gathers metadata that lies behind one another.
pub(crate) struct Sink<'a> {
    out: &'a mut dyn Output,
    start: u64,
    bytes: Vec<u8>,
}

impl Sink<'_> {
    /// Puts bytes; they may reach the output later.
    pub(crate) fn put(&mut self, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
        if offset != self.start + self.bytes.len() as u64 || self.bytes.len() + bytes.len() > BATCH {
            self.flush()?;
            self.start = offset;
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        if !self.bytes.is_empty() {
            self.out.write(self.start, &self.bytes)?;
            self.bytes.clear();
        }
        Ok(())
    }

    fn copy(&mut self, offset: u64, span: Span) -> std::io::Result<()> {
        self.flush()?;
        self.out.copy(offset, span)
    }
}

impl Layout {
    /// Writes the filesystem. `tree` must be the one that it was planned for, and `out` must read as zeros
    /// where nothing is put (see [`Layout::zeros`]).
    ///
    /// Contents come in the order in which the layers hold them, so that neighbours can be copied together;
    /// the superblock comes last, so that what was interrupted is not taken for a filesystem.
    pub fn write(&self, tree: &Tree, out: &mut dyn Output) -> Result<(), Error> {
        let seed = checksum::seed(&self.options.uuid);
        let mut sink = Sink { out, start: 0, bytes: Vec::with_capacity(BATCH) };
        let descriptors = groups::write_bitmaps(self, seed, &mut sink)?;
        inodes::write_tables(self, tree, seed, &mut sink)?;
        directories::write(self, tree, seed, &mut sink)?;
        self.write_journal(&mut sink)?;
        self.write_own_blocks(tree, &mut sink)?;
        xattrs::write_blocks(self, tree, seed, &mut sink)?;
        extents::write_trees(self, seed, &mut sink)?;
        superblock::write_resize_map(self, &mut sink)?;
        let block = u64::from(self.block_size());
        for (offset, span) in self.contents() {
            sink.copy(offset, span)?;
        }
        superblock::write_backups(self, seed, &descriptors, &mut sink)?;
        sink.put((self.placed.groups.first_data_block() + 1) * block, &descriptors)?;
        sink.flush()?;
        sink.out.write(SUPERBLOCK_OFFSET, superblock::superblock(self, seed, 0).as_bytes())?;
        Ok(())
    }

    /// Where contents go, in bytes, in the order in which the layers hold them.
    pub fn contents(&self) -> impl Iterator<Item = (u64, Span)> + '_ {
        let block = u64::from(self.block_size());
        self.placed.copies.iter().map(move |copy| (copy.block * block, copy.span))
    }

    /// The blocks of an inode in the order of the file.
    pub(crate) fn blocks_of(&self, ino: u32) -> impl Iterator<Item = u64> + '_ {
        of(&self.placed.extents, ino)
            .iter()
            .flat_map(|extent| extent.start..extent.start + u64::from(extent.length))
    }

    /// A new, empty journal; the kernel adds checksums and 64 bits to it when it first mounts.
    fn write_journal(&self, sink: &mut Sink<'_>) -> Result<(), Error> {
        let Some(first) = self.blocks_of(INO_JOURNAL).next() else {
            return Ok(());
        };
        let superblock = JournalSuperblock {
            magic: JOURNAL_MAGIC.into(),
            blocktype: JOURNAL_SUPERBLOCK_V2.into(),
            header_sequence: 0.into(),
            blocksize: self.block_size().into(),
            maxlen: (self.placed.journal_blocks as u32).into(),
            first: 1.into(),
            sequence: 1.into(),
            start: 0.into(),
            errno: 0.into(),
            feature_compat: 0.into(),
            feature_incompat: 0.into(),
            feature_ro_compat: 0.into(),
            uuid: self.options.uuid,
            nr_users: 1.into(),
        };
        Ok(sink.put(first * u64::from(self.block_size()), superblock.as_bytes())?)
    }

    /// Texts of links, inline contents, and values of attributes.
    fn write_own_blocks(&self, tree: &Tree, sink: &mut Sink<'_>) -> Result<(), Error> {
        for (place, inode) in self.survey.inodes.iter().enumerate() {
            if inode.own_blocks == 0 || inode.directory {
                continue;
            }
            let ino = Survey::number(place);
            match inode.subject {
                Subject::Node(node) => match &tree.node(node).kind {
                    Kind::File(Content::Inline(bytes)) => self.write_bytes(ino, bytes, sink)?,
                    Kind::Symlink(text) if text.len() > FAST_SYMLINK_MAX => {
                        self.write_bytes(ino, text, sink)?
                    }
                    _ => {}
                },
                Subject::Value(node, nth) => {
                    let metadata = &tree.node(node).metadata;
                    let arranged = crate::plan::xattrs::arrange(metadata, self.options.block_size, b"")?;
                    if let Some(xattr) = arranged.external().nth(nth as usize) {
                        self.write_bytes(ino, &xattr.value, sink)?;
                    }
                }
                Subject::LostFound => {}
            }
        }
        Ok(())
    }

    fn write_bytes(&self, ino: u32, bytes: &[u8], sink: &mut Sink<'_>) -> Result<(), Error> {
        let size = self.block_size();
        let mut padded = vec![0; size as usize];
        for (bytes, block) in bytes.chunks(size as usize).zip(self.blocks_of(ino)) {
            padded.fill(0);
            padded[..bytes.len()].copy_from_slice(bytes);
            sink.put(block * u64::from(size), &padded)?;
        }
        Ok(())
    }
}
