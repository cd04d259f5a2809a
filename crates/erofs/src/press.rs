//! Compressing contents: bytes become *physical clusters*, each of whole blocks.
//!
//! A file is cut into segments at fixed places, which are compressed apart from each other by as many threads as there
//! are; so the number of threads decides nothing. A cluster is filled to the end with as much as fits: its length is
//! fixed, the length of what it holds is not.

mod encoder;
mod stream;

use crate::format::TAILS_SINCE;
use crate::{Compression, Kernel, Options, Tails};
use encoder::Encoder;
use sys::lz4::Fitted;

/// Bytes of a block of a compressed filesystem.
pub(crate) const BLOCK: usize = 4096;

/// Bytes of a segment. A multiple of a block. Clusters end with it; at most a block is lost by that.
pub const SEGMENT: u64 = 4 << 20;

/// How far back Zstandard may refer, as a power of two of bytes: what kernels take at most.
pub(crate) const WINDOW_BITS: u8 = 20;

/// Most bytes of a compressed end that lies behind its inode. Less than a block by what an inode and its map need.
const TAIL_MAX: usize = 3584;

/// So many bytes of a segment that did not become shorter, cluster by cluster, and as many more are left as they are
/// before the next attempt: to learn nothing from a whole film would take longer than all else.
const HOPELESS: usize = 512 << 10;

/// What some bytes of a file became.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Where they begin in the segment; of a file, in the file.
    pub(crate) start: u64,
    pub(crate) length: u32,
    /// The first of the blocks that they lie in, of those of the segment; of a file, of the filesystem's.
    pub(crate) at: u32,
    pub(crate) blocks: u32,
    /// Whether they lie there as they are: then these are as many clusters as blocks.
    pub(crate) plain: bool,
    /// Whether there is more in the cluster, which is another file's, or another part's.
    pub(crate) is_part: bool,
}

impl Extent {
    /// The first byte behind it.
    pub(crate) fn end(&self) -> u64 {
        self.start + u64::from(self.length)
    }
}

/// What a segment ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The file, whose end may lie behind its inode, or be packed.
    File,
    /// A block of the file, or all of the file in blocks.
    Blocks,
    /// What comes then is also another file's, or comes from one. No cluster that is not compressed is shorter than a
    /// block, so that none begins where another one does.
    Cut,
}

/// The end of a file, to lie behind its inode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tail {
    /// Bytes of the file.
    pub(crate) length: u32,
    pub(crate) plain: bool,
    pub(crate) bytes: Box<[u8]>,
}

/// What a segment of a file became.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Segment {
    pub(crate) extents: Vec<Extent>,
    pub(crate) tail: Option<Tail>,
    /// Bytes at its end that are to be packed, and are in no cluster.
    pub(crate) left: u64,
    /// Its clusters: whole blocks.
    bytes: Vec<u8>,
}

impl Segment {
    /// Its clusters, which are to be put at the place that [`Pressed::add`](crate::Pressed::add) says: whole blocks.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The end of the file, which is to be kept until the filesystem is written: where, [`Pressed::add`](crate::Pressed::add)
    /// says. Mostly empty.
    pub fn tail(&self) -> &[u8] {
        self.tail.as_ref().map_or(&[], |tail| &tail.bytes)
    }

    /// Bytes at its end that are in no cluster: they are to be packed ([`Pressed::pack`](crate::Pressed::pack)).
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Bytes of the file that are in it or left: all that it was made of, but for what comes behind the last block if nothing
    /// could be compressed and it ends with a [`Ending::Cut`].
    pub fn length(&self) -> u64 {
        self.end() + self.tail.as_ref().map_or(0, |tail| tail.length.into()) + self.left
    }

    /// Bytes that are in its clusters.
    fn end(&self) -> u64 {
        self.extents.last().map_or(0, Extent::end)
    }

    /// Whether nothing of it is compressed.
    pub(crate) fn is_plain(&self) -> bool {
        self.extents.iter().all(|extent| extent.plain) && self.tail.as_ref().is_none_or(|tail| tail.plain)
    }

    fn put_plain(&mut self, bytes: &[u8]) {
        let blocks = bytes.len().div_ceil(BLOCK);
        match self.extents.last_mut() {
            Some(last) if last.plain && (last.length as usize).is_multiple_of(BLOCK) => {
                last.length += bytes.len() as u32;
                last.blocks += blocks as u32;
            }
            _ => self.push(bytes.len(), blocks, true),
        }
        self.bytes.extend_from_slice(bytes);
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK), 0);
    }

    /// What is compressed ends with its last block: zeros in front fill the first.
    fn put_compressed(&mut self, length: usize, bytes: &[u8]) {
        let blocks = bytes.len().div_ceil(BLOCK);
        self.push(length, blocks, false);
        self.bytes.resize(self.bytes.len() + blocks * BLOCK - bytes.len(), 0);
        self.bytes.extend_from_slice(bytes);
    }

    fn push(&mut self, length: usize, blocks: usize, plain: bool) {
        self.extents.push(Extent {
            start: self.end(),
            length: length as u32,
            at: (self.bytes.len() / BLOCK) as u32,
            blocks: blocks as u32,
            plain,
            is_part: false,
        });
    }

    /// Takes the last extent off.
    fn pop(&mut self) -> Option<Extent> {
        let last = self.extents.pop()?;
        self.bytes.truncate(last.at as usize * BLOCK);
        Some(last)
    }
}

/// Compresses segments, one after the other. Each thread has one.
pub struct Press {
    encoder: Encoder,
    /// As long as a cluster.
    room: Vec<u8>,
    /// Whether ends of files may lie behind inodes.
    tails: bool,
    /// Ends that are no longer are packed, as those are that do not fill a cluster; 0 if none are.
    packed: usize,
}

impl Press {
    /// For a filesystem with these options.
    pub fn new(compression: &Compression, options: &Options) -> Press {
        Press {
            encoder: Encoder::new(compression.algorithm),
            room: vec![0; compression.cluster.bytes() as usize],
            tails: may_have_tails(options.min_kernel, options.tails),
            packed: if options.tails == Tails::Packed { compression.cluster.bytes() as usize } else { 0 },
        }
    }

    /// Compresses a segment: at most [`SEGMENT`] bytes.
    pub fn press(&mut self, bytes: &[u8], ending: Ending) -> Segment {
        let last = ending == Ending::File;
        let mut segment = Segment::default();
        self.encoder.begin();
        let (mut rest, mut failed) = (bytes, 0);
        while !rest.is_empty() {
            // What could not be compressed so far may yet be an ordinary file.
            let is_hopeless = !segment.extents.is_empty() && segment.is_plain();
            if last && rest.len() <= self.packed && !is_hopeless {
                segment.left = rest.len() as u64;
                break;
            }
            let Fitted { taken, made } = self.encoder.fit(rest, &mut self.room);
            if last && self.packed > 0 && taken == rest.len() && made < self.room.len() {
                segment.left = rest.len() as u64;
                break;
            }
            if last && self.tails && taken == rest.len() && self.end(rest, made, &mut segment) {
                break;
            }
            let length = if is_worth(taken, made) {
                segment.put_compressed(taken, &self.room[..made]);
                failed = 0;
                taken
            } else {
                // What did not fit better will not in parts.
                let length = taken.max(self.room.len()) / BLOCK * BLOCK;
                failed += length;
                let left = if failed < HOPELESS { length } else { length + HOPELESS };
                let length = left.min(rest.len());
                segment.put_plain(&rest[..length]);
                length
            };
            rest = &rest[length..];
        }
        if ending == Ending::Cut {
            self.square(bytes, &mut segment);
        }
        segment
    }

    /// Sees to it that what is not compressed at the end has whole blocks: what comes before it is compressed once more, with
    /// fewer bytes. If nothing is, bytes at the end are left out.
    ///
    /// A logical cluster has but one head. That of a shorter block could be in the same one as what comes then, be it in
    /// this file, or in another one that has both from this and holds them elsewhere.
    fn square(&mut self, bytes: &[u8], segment: &mut Segment) {
        while let Some(last) = segment.extents.last().copied()
            && last.plain
            && !(last.length as usize).is_multiple_of(BLOCK)
        {
            let short = last.length as usize % BLOCK;
            segment.pop();
            let Some(before) = segment.pop() else {
                if last.length as usize > short {
                    segment.put_plain(&bytes[..last.length as usize - short]);
                }
                return;
            };
            let (start, end) = (before.start as usize, last.end() as usize);
            let length = (before.length as usize).saturating_sub(BLOCK - short);
            match self.encoder.whole(&bytes[start..start + length], &mut self.room) {
                Some(made) if is_worth(length, made) => {
                    segment.put_compressed(length, &self.room[..made]);
                    segment.put_plain(&bytes[start + length..end]);
                }
                _ => segment.put_plain(&bytes[start..end]),
            }
        }
    }

    /// Lets a file end behind its inode, if it is the better for it. All of `rest` was compressed to the first `made`
    /// bytes of `room`.
    fn end(&mut self, rest: &[u8], made: usize, segment: &mut Segment) -> bool {
        if made <= TAIL_MAX || rest.len() <= TAIL_MAX {
            segment.tail = Some(tail(rest, &self.room[..made]));
            return true;
        }
        // All blocks but the last are filled, so that no more than that is left.
        let whole = made / BLOCK * BLOCK;
        let over = made - whole;
        if whole == 0 || over > TAIL_MAX || BLOCK - over < self.encoder.worth_another(made) {
            return false;
        }
        let mut filled = vec![0; whole];
        let first = self.encoder.fit(rest, &mut filled);
        let left = &rest[first.taken..];
        if first.made.div_ceil(BLOCK) < whole / BLOCK || !is_worth(first.taken, first.made) || left.is_empty()
        {
            return false;
        }
        let mut room = [0; TAIL_MAX];
        let Fitted { taken, made } = self.encoder.fit(left, &mut room);
        if taken < left.len() && left.len() > TAIL_MAX {
            return false;
        }
        segment.put_compressed(first.taken, &filled[..first.made]);
        segment.tail = Some(tail(left, if taken < left.len() { left } else { &room[..made] }));
        true
    }
}

/// A file's end, compressed if that is shorter.
fn tail(plain: &[u8], compressed: &[u8]) -> Tail {
    let is_plain = compressed.len() >= plain.len();
    let bytes = if is_plain { plain } else { compressed };
    Tail { length: plain.len() as u32, plain: is_plain, bytes: bytes.into() }
}

/// Whether a cluster takes fewer blocks than what it holds.
fn is_worth(taken: usize, made: usize) -> bool {
    made > 0 && taken > made.div_ceil(BLOCK) * BLOCK
}

/// Whether the compressed end of a file may lie behind its inode.
pub(crate) fn may_have_tails(kernel: Kernel, tails: Tails) -> bool {
    kernel >= TAILS_SINCE && tails == Tails::Inline
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Algorithm, ClusterSize};

    #[test]
    fn hope_returns() {
        let mut state = 1u64;
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            (state >> 56) as u8
        });
        let mut bytes: Vec<u8> = noise.take(2 << 20).collect();
        bytes.resize(SEGMENT as usize, 7);
        for cluster in [4096, 65_536, 1 << 20].map(|bytes| ClusterSize::new(bytes).unwrap()) {
            let compression = Compression { algorithm: Algorithm::Lz4, cluster };
            let segment = Press::new(&compression, &Options::default()).press(&bytes, Ending::Blocks);
            let plain = segment.extents.iter().filter(|extent| extent.plain);
            let plain: u32 = plain.map(|extent| extent.length).sum();
            assert!((1 << 20..3 << 20).contains(&plain), "{cluster:?}: {plain}");
            let length: u32 = segment.extents.iter().map(|extent| extent.length).sum();
            assert_eq!(u64::from(length), SEGMENT);
        }
    }
}
