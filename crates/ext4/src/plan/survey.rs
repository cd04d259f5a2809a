//! What a tree needs, before anything has a place: inodes, blocks of metadata, pieces of files.

use std::collections::BTreeMap;

use tree::{Content, Kind, NodeId, Span, Tree, Visit};

use crate::checksum::crc32c;
use crate::format::{INO_FIRST, INO_ROOT, LINK_MAX, XATTR_REFCOUNT_MAX};
use crate::plan::directories::{self, LOST_FOUND};
use crate::plan::limits::{blocks, check_device, clamp, invalid, limit, link_blocks};
use crate::plan::xattrs::{self, Arranged};
use crate::write::xattrs::{Values, encode_block};
use crate::{BlockSize, Error, Options};

/// What an inode stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A node of the tree.
    Node(NodeId),
    /// A `lost+found` that the tree does not have.
    LostFound,
    /// The value of an attribute: of which node, and the how many-th of its external ones.
    Value(NodeId, u32),
}

/// An inode that has a subject.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inode {
    pub(crate) subject: Subject,
    /// Names; of a directory, two and one for each directory in it.
    pub(crate) links: u32,
    /// A directory's parent.
    pub(crate) parent: u32,
    /// One more than the place of its block in [`Survey::xattr_blocks`], or 0.
    pub(crate) xattr_block: u32,
    /// Blocks of a directory, of a link's text, of inline content or of a value: all but layer data.
    pub(crate) own_blocks: u32,
    pub(crate) directory: bool,
    /// Whether it is a directory with an index.
    pub(crate) hashed: bool,
}

/// A block of attributes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct XattrBlock {
    /// A node whose attributes it holds.
    pub(crate) node: NodeId,
    /// The first inode of that node's external values.
    pub(crate) values: u32,
    /// Files that share it.
    pub(crate) refcount: u32,
}

/// A run of layer data and where it belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Piece {
    /// First, so that pieces sort by the place of their bytes.
    pub(crate) span: Span,
    pub(crate) ino: u32,
    /// The first block in the file.
    pub(crate) logical: u32,
}

/// What a tree needs.
#[derive(Debug)]
pub(crate) struct Survey {
    /// By node; 0 for nodes without a name.
    pub(crate) numbers: Vec<u32>,
    /// The root's (2), then from number 11 on; see [`Survey::number`].
    pub(crate) inodes: Vec<Inode>,
    /// Whether the root gets a `lost+found` that the tree does not have.
    pub(crate) adds_lost_found: bool,
    /// Whether inode 11 is the root's `lost+found`: always, unless the tree has something else of that name.
    pub(crate) has_lost_found: bool,
    pub(crate) xattr_blocks: Vec<XattrBlock>,
    /// In the order of the content's places.
    pub(crate) pieces: Vec<Piece>,
    pub(crate) own_blocks: u64,
    pub(crate) piece_blocks: u64,
    pub(crate) largedir: bool,
    pub(crate) ea_inode: bool,
    /// Names besides a node's first, directories, clamped times and dropped attributes: for the summary.
    pub(crate) clamped_times: u64,
    pub(crate) dropped_xattrs: u64,
}

impl Survey {
    /// The number of the inode at a place of [`Survey::inodes`].
    pub(crate) fn number(place: usize) -> u32 {
        if place == 0 { INO_ROOT } else { INO_FIRST - 1 + place as u32 }
    }

    /// The inode with a number that was given out here.
    pub(crate) fn inode(&self, ino: u32) -> &Inode {
        &self.inodes[if ino == INO_ROOT { 0 } else { (ino - INO_FIRST + 1) as usize }]
    }

    pub(crate) fn is_lost_found(&self, ino: u32) -> bool {
        self.has_lost_found && ino == INO_FIRST
    }

    /// Inodes in use, the reserved ones included.
    pub(crate) fn inodes_used(&self) -> u64 {
        u64::from(INO_FIRST - 1) + self.inodes.len() as u64 - 1
    }
}

/// Looks at every node of a tree and refuses what ext4 cannot hold.
pub(crate) fn survey(tree: &Tree, options: &Options) -> Result<Survey, Error> {
    let lost_found = tree.entries(Tree::ROOT).and_then(|root| root.get(LOST_FOUND)).copied();
    let has_directory = lost_found.is_some_and(|node| tree.entries(node).is_some());
    let mut surveyor = Surveyor {
        tree,
        options,
        shared: BTreeMap::new(),
        values: Vec::new(),
        out: Survey {
            numbers: vec![0; tree.table_length()],
            inodes: Vec::with_capacity(tree.table_length() + 1),
            adds_lost_found: lost_found.is_none(),
            has_lost_found: lost_found.is_none() || has_directory,
            xattr_blocks: Vec::new(),
            pieces: Vec::with_capacity(tree.table_length()),
            own_blocks: 0,
            piece_blocks: 0,
            largedir: false,
            ea_inode: false,
            clamped_times: 0,
            dropped_xattrs: 0,
        },
    };
    // The first number behind the reserved ones is lost+found's, whatever sorts before it.
    let mut walk = tree.walk();
    if let Some(visit) = walk.step() {
        surveyor.inode(&visit)?;
    }
    match lost_found {
        Some(node) if has_directory => {
            let visit = Visit { path: LOST_FOUND, name: LOST_FOUND, parent: Tree::ROOT, node };
            surveyor.inode(&visit)?;
        }
        Some(_) => {}
        None => surveyor.lost_found()?,
    }
    while let Some(visit) = walk.step() {
        if visit.path == LOST_FOUND && has_directory {
            continue;
        }
        surveyor.name(&visit)?;
    }
    surveyor.finish()
}

struct Surveyor<'a> {
    tree: &'a Tree,
    options: &'a Options,
    /// Blocks of attributes that can be shared, by a checksum of what they hold.
    shared: BTreeMap<(u32, usize), u32>,
    /// Inodes for values: of which inode's place, how many-th, blocks.
    values: Vec<(u32, u32, u32)>,
    out: Survey,
}

impl Surveyor<'_> {
    fn name(&mut self, visit: &Visit<'_>) -> Result<(), Error> {
        let number = self.out.numbers[visit.node.index()];
        if number == 0 {
            return self.inode(visit);
        }
        if self.tree.entries(visit.node).is_some() {
            return Err(invalid(visit, "directory has two names"));
        }
        let inode = &mut self.out.inodes[(number - INO_FIRST + 1) as usize];
        inode.links += 1;
        if inode.links > LINK_MAX {
            return Err(limit(visit, "number of hard links", inode.links.into(), LINK_MAX.into()));
        }
        Ok(())
    }

    /// Numbers the node of a first name, and finds out what it needs.
    fn inode(&mut self, visit: &Visit<'_>) -> Result<(), Error> {
        let size = self.options.block_size;
        let place = self.out.inodes.len();
        let number = Survey::number(place);
        if place as u64 >= u64::from(u32::MAX - INO_FIRST) {
            return Err(Error::TooManyInodes { inodes: place as u64 });
        }
        self.out.numbers[visit.node.index()] = number;
        let parent = self.out.numbers[visit.parent.index()];
        let node = self.tree.node(visit.node);
        if node.metadata.mtime != clamp(node.metadata.mtime) {
            self.out.clamped_times += 1;
        }
        let mut inode = Inode {
            subject: Subject::Node(visit.node),
            links: 1,
            parent,
            xattr_block: 0,
            own_blocks: 0,
            directory: false,
            hashed: false,
        };
        match &node.kind {
            Kind::Directory(_) => {
                self.directory(&mut inode, visit)?;
                if number != INO_ROOT {
                    self.count_subdirectory(parent);
                }
            }
            Kind::File(content) => inode.own_blocks = self.file(content, number, visit)?,
            Kind::Symlink(text) => inode.own_blocks = link_blocks(text, size, visit)?,
            Kind::CharDevice(device) | Kind::BlockDevice(device) => check_device(*device, visit)?,
            Kind::Fifo | Kind::Socket => {}
        }
        if node.metadata.xattrs.is_some() {
            self.xattrs(&mut inode, place, visit)?;
        }
        self.out.own_blocks += u64::from(inode.own_blocks);
        self.out.inodes.push(inode);
        Ok(())
    }

    fn directory(&mut self, inode: &mut Inode, visit: &Visit<'_>) -> Result<(), Error> {
        let is_root = visit.node == Tree::ROOT;
        let adds = is_root && self.out.adds_lost_found;
        let packed =
            directories::pack(self.tree, Some(visit.node), adds, visit.path == LOST_FOUND, self.options);
        // The kernel counts levels with the root's: two, three with largedir (`ext4_dir_htree_level`).
        let levels = packed.index.as_ref().map_or(0, Vec::len);
        if levels > 2 {
            return Err(limit(visit, "number of names", packed.names.len() as u64, 0));
        }
        self.out.largedir |= levels == 2;
        inode.directory = true;
        inode.hashed = packed.index.is_some();
        inode.own_blocks = blocks(packed.blocks() as u64, visit)?;
        inode.links = 2;
        Ok(())
    }

    fn count_subdirectory(&mut self, parent: u32) {
        let place = if parent == INO_ROOT { 0 } else { (parent - INO_FIRST + 1) as usize };
        self.out.inodes[place].links += 1;
    }

    fn lost_found(&mut self) -> Result<(), Error> {
        let packed = directories::pack(self.tree, None, false, true, self.options);
        let own_blocks = packed.blocks() as u32;
        self.out.own_blocks += u64::from(own_blocks);
        self.count_subdirectory(INO_ROOT);
        self.out.inodes.push(Inode {
            subject: Subject::LostFound,
            links: 2,
            parent: INO_ROOT,
            xattr_block: 0,
            own_blocks,
            directory: true,
            hashed: false,
        });
        Ok(())
    }

    /// Checks a file's content and notes its pieces; returns the blocks of inline content.
    fn file(&mut self, content: &Content, ino: u32, visit: &Visit<'_>) -> Result<u32, Error> {
        let block = u64::from(self.options.block_size.bytes());
        // `ext4_max_size`: the last of 2^32 blocks stays unused.
        let max = u64::from(u32::MAX) * block;
        if content.size() > max {
            return Err(limit(visit, "size", content.size(), max));
        }
        if let Content::Inline(bytes) = content {
            return blocks((bytes.len() as u64).div_ceil(block), visit);
        }
        let mut end = 0;
        for piece in content.pieces().filter(|piece| piece.span.length > 0) {
            let stop = piece.at.checked_add(piece.span.length);
            let Some(stop) = stop.filter(|&stop| stop <= content.size() && piece.at >= end) else {
                return Err(invalid(visit, "pieces of the file overlap or lie behind its end"));
            };
            if piece.at % block != 0 || piece.span.offset.checked_add(piece.span.length).is_none() {
                return Err(invalid(visit, "piece of the file does not start at a block"));
            }
            end = stop.next_multiple_of(block);
            self.out.piece_blocks += (end - piece.at) / block;
            self.out.pieces.push(Piece { span: piece.span, ino, logical: (piece.at / block) as u32 });
        }
        Ok(0)
    }

    fn xattrs(&mut self, inode: &mut Inode, place: usize, visit: &Visit<'_>) -> Result<(), Error> {
        let size = self.options.block_size;
        let metadata = &self.tree.node(visit.node).metadata;
        let arranged = xattrs::arrange(metadata, size, visit.path)?;
        self.out.dropped_xattrs += arranged.dropped;
        let mut values = 0;
        for xattr in arranged.external() {
            let blocks = xattr.value.len().div_ceil(size.bytes() as usize) as u32;
            self.values.push((place as u32, values, blocks));
            values += 1;
        }
        if arranged.in_block.is_empty() {
            return Ok(());
        }
        if let Some(block) = self.shared_block(&arranged, values > 0, size) {
            self.out.xattr_blocks[block as usize].refcount += 1;
            inode.xattr_block = block + 1;
        } else {
            self.out.xattr_blocks.push(XattrBlock { node: visit.node, values: 0, refcount: 1 });
            inode.xattr_block = self.out.xattr_blocks.len() as u32;
        }
        Ok(())
    }

    /// The block that holds the same attributes and may be shared once more; remembers the next one if none.
    fn shared_block(&mut self, arranged: &Arranged<'_>, external: bool, size: BlockSize) -> Option<u32> {
        if external {
            return None;
        }
        let bytes = encode_block(&arranged.in_block, 1, Values::default(), size);
        // Whoever wants to may build two blocks of one checksum; then the later one is not shared.
        let key = (crc32c(0, &bytes), arranged.in_block.iter().map(|xattr| xattr.value.len()).sum());
        let next = self.out.xattr_blocks.len() as u32;
        let Some(&block) = self.shared.get(&key) else {
            self.shared.insert(key, next);
            return None;
        };
        let other = self.out.xattr_blocks[block as usize];
        if other.refcount >= XATTR_REFCOUNT_MAX {
            self.shared.insert(key, next);
            return None;
        }
        let same = xattrs::arrange(&self.tree.node(other.node).metadata, size, b"")
            .is_ok_and(|other| other.in_block == arranged.in_block);
        same.then_some(block)
    }

    fn finish(mut self) -> Result<Survey, Error> {
        for (place, nth, own_blocks) in std::mem::take(&mut self.values) {
            let number = Survey::number(self.out.inodes.len());
            if number >= u32::MAX - 1 {
                return Err(Error::TooManyInodes { inodes: self.out.inodes.len() as u64 });
            }
            let owner = &self.out.inodes[place as usize];
            let (Subject::Node(node), Some(block)) = (owner.subject, owner.xattr_block.checked_sub(1)) else {
                continue;
            };
            if nth == 0 {
                self.out.xattr_blocks[block as usize].values = number;
            }
            self.out.ea_inode = true;
            self.out.own_blocks += u64::from(own_blocks);
            self.out.inodes.push(Inode {
                subject: Subject::Value(node, nth),
                links: 1,
                parent: 0,
                xattr_block: 0,
                own_blocks,
                directory: false,
                hashed: false,
            });
        }
        for inode in &mut self.out.inodes {
            // dir_nlink: a directory with more links than fit has 1, "unknown".
            if inode.links > LINK_MAX {
                inode.links = 1;
            }
        }
        self.out.pieces.sort_unstable();
        Ok(self.out)
    }
}
