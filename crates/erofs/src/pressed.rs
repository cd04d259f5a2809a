//! What was compressed: which files, and where their clusters lie; and which files are equal.

use std::collections::BTreeMap;

use tree::{Content, Kind, NodeId, Span, Tree};

use crate::format::CHUNKS_SINCE;
use crate::pieces::{Piece, Reuses};
use crate::plan::{Repeat, indexes};
use crate::press::{BLOCK, Extent, Segment, Tail, may_have_tails};
use crate::{ClusterSize, Error, Options, Tails};

/// A file whose contents are to be compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// The file.
    pub node: NodeId,
    /// Its bytes.
    pub size: u64,
    /// Where its first bytes are.
    pub source: Span,
}

/// Shorter files lie behind their inodes as they are.
const SIZE_MIN: u64 = 128;
/// Longer files stay as they are: the bytes of an index, at most eight for each block, are counted with 32 bits.
const SIZE_MAX: u64 = 1 << 40;
/// Files have chunks rather than clusters if their holes take that many bytes more than their data.
const HOLES_MAX: u64 = 1 << 20;

/// The files of `tree` that are worth an attempt, in the order in which the layers hold them. `is_left` says of a path
/// that the file is to stay as it is. Fails with [`Error::Kernel`] or [`Error::Option`] for options that contradict each
/// other.
pub fn candidates(
    tree: &Tree,
    options: &Options,
    is_left: impl Fn(&[u8]) -> bool,
) -> Result<Vec<Candidate>, Error> {
    options.check()?;
    if options.compression.is_none() {
        return Ok(Vec::new());
    }
    // In fewer blocks than one there is nothing.
    let tails = may_have_tails(options.min_kernel, options.tails) || options.tails == Tails::Packed;
    let least = if tails { SIZE_MIN } else { BLOCK as u64 + 1 };
    let (mut seen, mut left) = (vec![false; tree.table_length()], vec![false; tree.table_length()]);
    let mut found = Vec::new();
    let mut walk = tree.walk();
    while let Some(visit) = walk.step() {
        let Kind::File(content) = &tree.node(visit.node).kind else { continue };
        left[visit.node.index()] |= is_left(visit.path);
        if std::mem::replace(&mut seen[visit.node.index()], true) {
            continue;
        }
        let (size, data) = (content.size(), content.data_length());
        let source = content.pieces().next().map(|piece| piece.span);
        let is_full = size.saturating_sub(data) <= data.saturating_add(HOLES_MAX);
        let may_be_holes = options.min_kernel >= CHUNKS_SINCE;
        if let Some(source) = source
            && !matches!(content, Content::Inline(_))
            && (least..=SIZE_MAX).contains(&size)
            && (is_full || !may_be_holes)
        {
            found.push(Candidate { node: visit.node, size, source });
        }
    }
    found.retain(|candidate| !left[candidate.node.index()]);
    found.sort_unstable_by_key(|candidate| (candidate.source, candidate.node));
    Ok(found)
}

/// The files of `tree` that have a block or more which an equal file could have, too, in the order in which the layers
/// hold them: those without holes.
pub fn sharable(tree: &Tree, options: &Options) -> Vec<Candidate> {
    let least = u64::from(options.block_size.bytes());
    let mut seen = vec![false; tree.table_length()];
    let mut found = Vec::new();
    let mut walk = tree.walk();
    while let Some(visit) = walk.step() {
        if let Kind::File(Content::Whole(source)) = tree.node(visit.node).kind
            && source.length >= least
            && !std::mem::replace(&mut seen[visit.node.index()], true)
        {
            found.push(Candidate { node: visit.node, size: source.length, source });
        }
    }
    found.sort_unstable_by_key(|file| (file.source, file.node));
    found
}

/// A compressed file.
#[derive(Debug, Clone)]
pub(crate) struct File {
    /// The first of its blocks. They lie behind one another, but for those of others.
    pub(crate) start: u32,
    pub(crate) blocks: u32,
    pub(crate) extents: Vec<Extent>,
    /// Whether some of the clusters are other files', or its own again.
    pub(crate) has_others: bool,
    pub(crate) end: Option<End>,
    pub(crate) fragment: Option<Fragment>,
}

/// The end of a file, or all of it, in the packed inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fragment {
    /// Where it begins there, in bytes.
    pub(crate) at: u64,
    /// Bytes of the file.
    pub(crate) length: u64,
}

/// The end of a file, to lie behind its inode.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    /// Bytes of the file.
    pub(crate) length: u32,
    pub(crate) plain: bool,
    /// Where what became of them waits.
    pub(crate) span: Span,
}

/// Where the parts of a segment go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Put {
    /// The clusters, in bytes from the filesystem's start.
    pub clusters: u64,
    /// The end of the file; the layout's writer asks for it.
    pub tail: Span,
}

impl File {
    /// One without clusters yet, the first of which is to be at this block.
    pub(crate) fn at(start: u32) -> File {
        File { start, blocks: 0, extents: Vec::new(), has_others: false, end: None, fragment: None }
    }

    /// Takes the clusters of the next segment, the first of which is at this block.
    pub(crate) fn append_segment(&mut self, segment: &Segment, first: u32) {
        let start = self.extents.last().map_or(0, Extent::end);
        for extent in &segment.extents {
            self.append(Extent { start: start + extent.start, at: first + extent.at, ..*extent });
        }
    }

    /// Takes the next clusters.
    pub(crate) fn append(&mut self, extent: Extent) {
        self.blocks = self.blocks.saturating_add(extent.blocks);
        self.extents.push(extent);
    }

    /// Whether all of it is in the packed inode.
    pub(crate) fn is_fragment(&self) -> bool {
        self.fragment.is_some() && self.extents.is_empty()
    }

    /// Whether a cluster has several blocks.
    pub(crate) fn is_big(&self) -> bool {
        self.extents.iter().any(|extent| !extent.plain && extent.blocks > 1)
    }

    /// Whether it lies there as it is: in as many blocks as it would uncompressed.
    pub(crate) fn is_plain(&self) -> bool {
        self.fragment.is_none()
            && !self.has_others
            && self.extents.iter().all(|extent| extent.plain)
            && self.end.is_none_or(|end| end.plain)
    }
}

/// What was compressed. It lies behind the superblock, before everything else.
#[derive(Debug, Clone)]
pub struct Pressed {
    tails: Tails,
    cluster: ClusterSize,
    pub(crate) files: BTreeMap<NodeId, File>,
    /// The packed inode: its bytes, and what became of them.
    pub(crate) packed: Option<(u64, File)>,
    /// By files that are equal to another one: which.
    twins: BTreeMap<NodeId, NodeId>,
    /// By files that are equal to others in parts: which parts.
    repeats: BTreeMap<NodeId, Box<[Repeat]>>,
    pub(crate) reuses: Reuses,
    shared_bytes: u64,
    pub(crate) next: u64,
    /// Where the next end of a file goes.
    tails_at: Span,
}

impl Pressed {
    /// Nothing yet. Ends of files will lie one behind the other in the content space of a layer that has no other
    /// contents.
    pub fn new(options: &Options, tails_layer: u32) -> Pressed {
        let tails_at = Span { layer: tails_layer, offset: 0, length: 0 };
        Pressed {
            tails: options.tails,
            cluster: options.compression.map_or(ClusterSize::BLOCK, |compression| compression.cluster),
            files: BTreeMap::new(),
            packed: None,
            twins: BTreeMap::new(),
            repeats: BTreeMap::new(),
            reuses: Reuses::default(),
            shared_bytes: 0,
            next: 1,
            tails_at,
        }
    }

    /// Whether all of a file is packed: no segment of it is needed.
    pub fn packs(&self, candidate: &Candidate) -> bool {
        self.tails == Tails::Packed && candidate.size <= self.cluster.bytes().into()
    }

    /// Says that a file holds the same bytes as another one, which itself is not said to be like a third: of both the
    /// blocks lie there once. It need not be a candidate any more.
    pub fn share(&mut self, file: &Candidate, other: NodeId) {
        self.twins.insert(file.node, other);
        self.shared_bytes += file.size;
    }

    /// Says which blocks of a file, in ascending order, hold the same bytes as others, or zeros. The file, and those that
    /// have the others, must be among the [`sharable()`] ones, and none may be like another one as a whole. Of what is
    /// repeated nothing may be said to be a repeat itself.
    pub fn repeat(&mut self, file: &Candidate, repeats: Vec<Repeat>) {
        if !repeats.is_empty() {
            self.repeats.insert(file.node, repeats.into());
        }
    }

    /// The blocks of a file that are not its own alone.
    pub(crate) fn repeats(&self, node: NodeId) -> &[Repeat] {
        self.repeats.get(&self.twin(node).unwrap_or(node)).map_or(&[], |repeats| repeats)
    }

    /// Bytes of files that are said to be like others.
    pub fn shared_bytes(&self) -> u64 {
        self.shared_bytes
    }

    /// Whether a file is said to be like another one.
    pub fn is_shared(&self, node: NodeId) -> bool {
        self.twins.contains_key(&node)
    }

    /// The file that has a file's blocks.
    pub(crate) fn twin(&self, node: NodeId) -> Option<NodeId> {
        self.twins.get(&node).copied()
    }

    /// Takes the segment that the next piece of a file became, and says where its parts go. `None` if there are none, or
    /// if the file had better stay as it is: it has only this piece, and does not become shorter.
    ///
    /// All pieces of one file come one after the other.
    pub fn add(&mut self, candidate: &Candidate, piece: &Piece, segment: &Segment) -> Option<Put> {
        let is_whole = piece.length == candidate.size;
        if segment.length() == 0 || (is_whole && !self.is_worth(candidate, segment)) {
            return None;
        }
        let clusters = self.next * BLOCK as u64;
        let blocks = segment.bytes().len() / BLOCK;
        // Checked when all is planned.
        let first = self.next as u32;
        self.next += blocks as u64;
        let tail = Span { length: segment.tail().len() as u64, ..self.tails_at };
        self.tails_at.offset += tail.length;
        let file = self.files.entry(candidate.node).or_insert_with(|| File::at(first));
        file.append_segment(segment, first);
        file.fragment = (segment.left > 0).then_some(Fragment { at: 0, length: segment.left });
        file.end = segment.tail.as_ref().map(|&Tail { length, plain, .. }| End { length, plain, span: tail });
        Some(Put { clusters, tail })
    }

    /// Whether a file takes fewer bytes than without compression.
    fn is_worth(&self, candidate: &Candidate, segment: &Segment) -> bool {
        if segment.left == candidate.size {
            return true;
        }
        let block = BLOCK as u64;
        let flat = match self.tails {
            Tails::Inline | Tails::Packed => candidate.size,
            Tails::Blocks => candidate.size.next_multiple_of(block),
        };
        let pressed = (segment.bytes().len() + segment.tail().len()) as u64
            + segment.left
            + indexes::length(0, candidate.size);
        !segment.is_plain() && pressed < flat
    }

    /// Bytes to the end of all clusters, the superblock's block among them.
    pub fn size(&self) -> u64 {
        self.next * BLOCK as u64
    }

    /// The first block behind all clusters.
    pub(crate) fn end(&self) -> u64 {
        self.next
    }

    /// Whether nothing was compressed.
    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    pub(crate) fn file(&self, node: NodeId) -> Option<&File> {
        self.files.get(&self.twin(node).unwrap_or(node))
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = &File> {
        self.files.values().chain(self.packed.iter().map(|(_, file)| file))
    }
}
