//! What a tree needs, before anything has a place: inodes, blocks, runs of contents.

use std::collections::BTreeMap;

use tree::{Content, Kind, NodeId, Span, Time, Tree, Visit};

use crate::format::{
    CHUNK_BITS_MAX, CHUNK_INDEX_SIZE, CHUNKS_SINCE, COMPACT_SIZE, EXTENDED_SIZE, LAYOUT_CHUNKS,
    LAYOUT_COMPRESSED, LAYOUT_COMPRESSED_FULL, LAYOUT_INLINE, LAYOUT_PLAIN, SLOT,
};
use crate::plan::chunks::{self, Stretch};
use crate::plan::devices::{Device, Outside, outside};
use crate::plan::limits::{check_content, check_device, check_link, invalid, limit};
use crate::plan::maps::Lent;
use crate::plan::repeats::Repeat;
use crate::plan::width::Width;
use crate::plan::xattrs::{self, Arranged, Counter, Shared};
use crate::plan::{directories, indexes, repeats};
use crate::pressed::{File, Pressed};
use crate::{BlockSize, Error, Options, Tails};

/// An inode.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inode {
    pub(crate) node: NodeId,
    /// A directory's parent.
    pub(crate) parent: NodeId,
    /// Names; of a directory, two and one for each directory in it.
    pub(crate) links: u32,
    /// The file's size in bytes; of a directory, that of its names.
    pub(crate) size: u64,
    pub(crate) extended: bool,
    /// Bytes of attributes behind it.
    pub(crate) xattrs: u32,
    pub(crate) data: Data,
    /// Where it lies behind the start of the metadata, in [`SLOT`]s.
    pub(crate) nid: u64,
    /// The first of its blocks; 0 if it has none, or chunks.
    pub(crate) start: u64,
}

/// Where the bytes of an inode lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Data {
    /// In blocks, or there are none.
    Plain,
    /// The last ones behind the inode.
    Inline,
    /// In chunks of two to the power of so many bytes, whose addresses have that width.
    Chunks { bits: u8, width: Width },
    /// On another device, in chunks that are as long as can be.
    Outside(Outside),
    /// In clusters. So many bytes behind the inode are their index, full or not, and so many the end of the file.
    Pressed { index: u32, is_full: bool, tail: u16 },
}

impl Inode {
    /// Bytes of the inode itself.
    pub(crate) fn fields(&self) -> u64 {
        if self.extended { EXTENDED_SIZE } else { COMPACT_SIZE }
    }

    /// Bytes of data behind it.
    pub(crate) fn tail(&self, size: BlockSize) -> u64 {
        if self.data == Data::Inline { self.size % u64::from(size.bytes()) } else { 0 }
    }

    /// Blocks that lie behind one another as they are, none for chunks.
    pub(crate) fn blocks(&self, size: BlockSize) -> u64 {
        let block = u64::from(size.bytes());
        match self.data {
            Data::Plain => self.size.div_ceil(block),
            Data::Inline => self.size / block,
            Data::Chunks { .. } | Data::Outside(_) | Data::Pressed { .. } => 0,
        }
    }

    /// Bytes of the inode and of all that lies behind it.
    pub(crate) fn length(&self, size: BlockSize) -> u64 {
        let behind = match self.data {
            Data::Plain => 0,
            Data::Inline => self.tail(size),
            Data::Chunks { bits, width } => self.gap() + width.entry() * self.size.div_ceil(1 << bits),
            Data::Outside(_) => self.gap() + CHUNK_INDEX_SIZE * self.size.div_ceil(1 << CHUNK_BITS_MAX),
            Data::Pressed { index, tail, .. } => u64::from(index) + u64::from(tail),
        };
        self.fields() + u64::from(self.xattrs) + behind
    }

    /// Bytes before a map of chunks.
    pub(crate) fn gap(&self) -> u64 {
        let entry = match self.data {
            Data::Chunks { width, .. } => width.entry(),
            Data::Outside(_) => CHUNK_INDEX_SIZE,
            Data::Plain | Data::Inline | Data::Pressed { .. } => return 0,
        };
        let at = self.fields() + u64::from(self.xattrs);
        at.next_multiple_of(entry) - at
    }

    /// Bytes of a compressed end, which must not lie in two blocks.
    pub(crate) fn packed_tail(&self) -> u64 {
        if let Data::Pressed { tail, .. } = self.data { tail.into() } else { 0 }
    }

    /// The number of its layout on the disk.
    pub(crate) fn layout(&self) -> u16 {
        match self.data {
            Data::Plain => LAYOUT_PLAIN,
            Data::Inline => LAYOUT_INLINE,
            Data::Chunks { .. } | Data::Outside(_) => LAYOUT_CHUNKS,
            Data::Pressed { is_full: true, .. } => LAYOUT_COMPRESSED_FULL,
            Data::Pressed { .. } => LAYOUT_COMPRESSED,
        }
    }
}

/// Blocks of a file whose bytes come from layers, and where they go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    /// Where their first bytes come from; `None` if all are zeros.
    pub(crate) source: Option<Span>,
    /// The inode's place in [`Survey::inodes`].
    pub(crate) inode: u32,
    pub(crate) stretch: Stretch,
    /// The first of them in the filesystem.
    pub(crate) start: u64,
}

/// What a tree needs.
#[derive(Debug)]
pub(crate) struct Survey {
    /// Places of [`Survey::inodes`] by node; nodes without a name have `u32::MAX`.
    pub(crate) places: Vec<u32>,
    /// In the order of paths, the root first.
    pub(crate) inodes: Vec<Inode>,
    /// In the order in which the layers hold them.
    pub(crate) runs: Vec<Run>,
    /// Blocks of files in chunks that other files have.
    pub(crate) lent: Vec<Lent>,
    /// Inodes that have the blocks of another one: both places in [`Survey::inodes`].
    pub(crate) twins: Vec<(u32, u32)>,
    pub(crate) shared: Shared,
    /// The commonest time: files that have it may have small inodes.
    pub(crate) epoch: Time,
    /// Whether any file has attributes.
    pub(crate) has_xattrs: bool,
    pub(crate) dropped_xattrs: u64,
}

impl Survey {
    /// The inode of a node that has a name.
    pub(crate) fn inode(&self, node: NodeId) -> &Inode {
        &self.inodes[self.places[node.index()] as usize]
    }
}

/// Looks at every node of a tree and refuses what EROFS cannot hold.
pub(crate) fn survey(
    tree: &Tree,
    pressed: &Pressed,
    devices: &[Device],
    options: &Options,
    width: Width,
) -> Result<Survey, Error> {
    let mut surveyor = Surveyor {
        tree,
        pressed,
        devices,
        options,
        width,
        times: BTreeMap::new(),
        counter: Counter::default(),
        out: Survey {
            places: vec![u32::MAX; tree.table_length()],
            inodes: Vec::with_capacity(tree.table_length()),
            runs: Vec::with_capacity(tree.table_length()),
            lent: Vec::new(),
            twins: Vec::new(),
            shared: Shared::default(),
            epoch: Time::default(),
            has_xattrs: false,
            dropped_xattrs: 0,
        },
    };
    let mut walk = tree.walk();
    while let Some(visit) = walk.step() {
        surveyor.name(&visit)?;
    }
    surveyor.finish()
}

struct Surveyor<'a> {
    tree: &'a Tree,
    pressed: &'a Pressed,
    devices: &'a [Device],
    options: &'a Options,
    width: Width,
    /// How many files that may have small inodes have a time.
    times: BTreeMap<Time, u64>,
    counter: Counter<'a>,
    out: Survey,
}

impl Surveyor<'_> {
    /// Checks the node of a first name, and notes what does not depend on others.
    fn name(&mut self, visit: &Visit<'_>) -> Result<(), Error> {
        let place = self.out.places[visit.node.index()];
        if place != u32::MAX {
            return match self.tree.entries(visit.node) {
                Some(_) => Err(invalid(visit, "directory has two names")),
                None => Ok(()),
            };
        }
        // Nodes are counted with 32 bits.
        self.out.places[visit.node.index()] = self.out.inodes.len() as u32;
        let tree = self.tree;
        let node = tree.node(visit.node);
        let (mut size, mut links) = (0, u64::from(node.names));
        match &node.kind {
            Kind::Directory(entries) => {
                let names = directories::names(tree, visit.node, visit.parent);
                size = directories::length(&names, self.options.block_size);
                links = 2 + entries.values().filter(|entry| tree.entries(**entry).is_some()).count() as u64;
            }
            Kind::File(content) => {
                check_content(content, self.options, visit)?;
                size = content.size();
            }
            Kind::Symlink(text) => {
                check_link(text, visit)?;
                size = text.len() as u64;
            }
            Kind::CharDevice(device) | Kind::BlockDevice(device) => check_device(*device, visit)?,
            Kind::Fifo | Kind::Socket => {}
        }
        let links =
            u32::try_from(links).map_err(|_| limit(visit, "number of hard links", links, u32::MAX.into()))?;
        if node.metadata.xattrs.is_some() {
            let (xattrs, dropped) = xattrs::of(&node.metadata, visit.path)?;
            self.out.dropped_xattrs += dropped;
            self.out.has_xattrs |= !xattrs.is_empty();
            self.counter.count(visit.node, &xattrs);
        }
        let small = [node.metadata.uid, node.metadata.gid, links].into_iter().all(|n| n <= u16::MAX.into());
        // A small inode has room for its links, or for the upper bits of its address.
        let is_wide = self.width == Width::Wide && links > 1 && matches!(node.kind, Kind::File(_));
        let extended = !small || size > u32::MAX.into() || is_wide;
        if !extended {
            *self.times.entry(time(node.metadata.mtime)).or_default() += 1;
        }
        self.out.inodes.push(Inode {
            node: visit.node,
            parent: visit.parent,
            links,
            size,
            extended,
            xattrs: 0,
            data: Data::Plain,
            nid: 0,
            start: 0,
        });
        Ok(())
    }

    fn finish(mut self) -> Result<Survey, Error> {
        // Of several the earliest.
        let commonest = self.times.iter().max_by_key(|&(time, files)| (files, std::cmp::Reverse(time)));
        self.out.epoch = commonest.map(|(time, _)| *time).unwrap_or_default();
        self.out.shared = self.counter.shared();
        let places = self.out.shared.places(self.tree)?;
        for place in 0..self.out.inodes.len() {
            let mut inode = self.out.inodes[place];
            let node = self.tree.node(inode.node);
            inode.extended |= time(node.metadata.mtime) != self.out.epoch;
            if node.metadata.xattrs.is_some() {
                let (xattrs, _) = xattrs::of(&node.metadata, b"")?;
                inode.xattrs = Arranged::new(&xattrs, &places).length() as u32;
            }
            inode.data = match self.pressed.file(inode.node) {
                Some(file) => {
                    inode.start = file.start.into();
                    self.pressed_data(&inode, file)
                }
                None => self.data(&inode),
            };
            self.out.inodes[place] = inode;
        }
        for place in 0..self.out.inodes.len() as u32 {
            let inode = self.out.inodes[place as usize];
            if let Kind::File(content) = &self.tree.node(inode.node).kind
                && inode.start == 0
                && !matches!(content, Content::Inline(_))
            {
                match self.twin(&inode) {
                    Some(twin) => self.out.twins.push((place, twin)),
                    None => self.runs(place, &inode, content),
                }
            }
        }
        // Those without a source last.
        self.out.runs.sort_by_key(|run| (run.source.is_none(), run.source, run.inode));
        Ok(self.out)
    }

    /// Where the bytes of a file lie that was compressed, or would have been if that had made it shorter: then its
    /// clusters are blocks as in any other file.
    fn pressed_data(&self, inode: &Inode, file: &File) -> Data {
        let size = self.options.block_size;
        let flat = Inode { data: if file.end.is_some() { Data::Inline } else { Data::Plain }, ..*inode };
        if file.is_plain() && flat.length(size) <= size.bytes().into() {
            return flat.data;
        }
        let behind = inode.fields() + u64::from(inode.xattrs);
        let index = match file {
            file if file.is_fragment() => indexes::fragment_length(behind),
            file if file.has_others => indexes::full_length(behind, inode.size),
            _ => indexes::length(behind, inode.size),
        };
        let tail = file.end.map_or(0, |end| end.span.length);
        // No file is so long that its index had more bytes than 32 bits count, and a tail is shorter than a block.
        Data::Pressed { index: index as u32, is_full: file.has_others, tail: tail as u16 }
    }

    /// The place of the inode whose blocks one may have: where both are as they would be uncompressed, and the other has
    /// as many, its end being in a block if this one's is; or where both are in chunks.
    fn twin(&self, inode: &Inode) -> Option<u32> {
        let size = self.options.block_size;
        let place = self.out.places[self.pressed.twin(inode.node)?.index()];
        let twin = self.out.inodes.get(place as usize)?;
        let are_alike = match (inode.data, twin.data) {
            (Data::Plain | Data::Inline, Data::Plain | Data::Inline) => {
                (1..=twin.blocks(size)).contains(&inode.blocks(size))
            }
            (Data::Chunks { .. }, _) => inode.data == twin.data,
            _ => false,
        };
        (are_alike && inode.size == twin.size).then_some(place)
    }

    /// Decides where an inode's bytes lie.
    fn data(&self, inode: &Inode) -> Data {
        let size = self.options.block_size;
        let content = match &self.tree.node(inode.node).kind {
            Kind::File(content) => Some(content),
            _ => None,
        };
        if let Some(outside) = content.and_then(|content| outside(self.devices, content, size)) {
            return Data::Outside(outside);
        }
        let repeats = self.pressed.repeats(inode.node);
        if !repeats.is_empty()
            && let Some(bits) = repeats::choose(repeats, inode.size, self.options, self.width)
        {
            return Data::Chunks { bits, width: self.width };
        }
        let inline = Inode { data: Data::Inline, ..*inode };
        let tail = inline.tail(size);
        let wanted = content.is_none() || self.options.tails != Tails::Blocks;
        // The kernel reads a link's text behind the inode only if it is all there.
        let link = matches!(self.tree.node(inode.node).kind, Kind::Symlink(_));
        let fits = tail > 0 && inline.length(size) <= size.bytes().into();
        let flat = match wanted && fits && !(link && inline.blocks(size) > 0) {
            true => inline,
            false => Inode { data: Data::Plain, ..*inode },
        };
        if let Some(content) = content
            && self.options.min_kernel >= CHUNKS_SINCE
        {
            let bytes = flat.blocks(size) * u64::from(size.bytes()) + flat.tail(size).next_multiple_of(SLOT);
            if let Some(bits) = chunks::choose(content, size, self.width, bytes) {
                return Data::Chunks { bits, width: self.width };
            }
        }
        flat.data
    }

    /// Notes the blocks that a file's bytes need.
    fn runs(&mut self, place: u32, inode: &Inode, content: &Content) {
        let size = self.options.block_size;
        match inode.data {
            Data::Plain | Data::Inline => {
                let stretch = Stretch { first: 0, blocks: inode.blocks(size) };
                if stretch.blocks > 0 {
                    let source = content.pieces().next().map(|piece| piece.span);
                    self.out.runs.push(Run { source, inode: place, stretch, start: 0 });
                }
            }
            Data::Pressed { .. } | Data::Outside(_) => {}
            Data::Chunks { bits, .. } => {
                let repeats = self.pressed.repeats(inode.node);
                let (lent, own) = match repeats.is_empty() {
                    true => (Vec::new(), chunks::stretches(content, size, bits).collect()),
                    false => repeats::divide(repeats, inode.size, size, bits),
                };
                for Repeat { first, blocks, of } in lent {
                    let stretch = Stretch { first, blocks };
                    let of = of.map(|(node, at)| (self.out.places[node.index()], at));
                    self.out.lent.extend(of.map(|of| Lent { inode: place, stretch, of, start: 0 }));
                }
                for stretch in own {
                    let range = stretch.bytes(size);
                    let source = pieces_in(content, range).next().map(|(_, span)| span);
                    self.out.runs.push(Run { source, inode: place, stretch, start: 0 });
                }
            }
        }
    }
}

impl Stretch {
    /// The bytes of the file that it holds; the end may lie behind the file's.
    pub(crate) fn bytes(&self, size: BlockSize) -> std::ops::Range<u64> {
        let block = u64::from(size.bytes());
        self.first * block..(self.first + self.blocks) * block
    }
}

/// The contents in a part of a file: where each lies in the file, and where its bytes come from.
pub(crate) fn pieces_in(
    content: &Content,
    range: std::ops::Range<u64>,
) -> impl Iterator<Item = (u64, Span)> + '_ {
    let skipped = match content {
        Content::Pieces { pieces, .. } => {
            pieces.partition_point(|piece| piece.at + piece.span.length <= range.start)
        }
        _ => 0,
    };
    let pieces = content.pieces().skip(skipped);
    pieces.take_while(move |piece| piece.at < range.end).filter_map(move |piece| {
        let (from, to) = (piece.at.max(range.start), (piece.at + piece.span.length).min(range.end));
        let offset = piece.span.offset + (from - piece.at);
        (from < to).then(|| (from, Span { offset, length: to - from, ..piece.span }))
    })
}

/// A time as it is written: no inode has more nanoseconds than a second has.
pub(crate) fn time(time: Time) -> Time {
    Time { seconds: time.seconds, nanoseconds: time.nanoseconds.min(999_999_999) }
}
