//! The packed inode: ends of compressed files, and small files as a whole, behind one another, so that they are compressed
//! together. It has no name.

use tree::NodeId;

use crate::press::{BLOCK, SEGMENT, Segment};
use crate::pressed::{Candidate, File, Fragment};
use crate::{Error, Pressed};

/// Some bytes of a file that are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The file.
    pub node: NodeId,
    /// Where they begin in the file.
    pub start: u64,
    /// How many they are.
    pub length: u64,
}

/// What the packed inode holds.
#[derive(Debug, Clone, Default)]
pub struct Packed {
    parts: Vec<Part>,
    /// Where each part begins.
    starts: Vec<u64>,
    size: u64,
}

impl Packed {
    /// How many segments it has.
    pub fn segments(&self) -> u64 {
        self.size.div_ceil(SEGMENT)
    }

    /// The parts that a segment consists of.
    pub fn segment(&self, number: u64) -> impl Iterator<Item = Part> + '_ {
        let (from, to) = (number * SEGMENT, ((number + 1) * SEGMENT).min(self.size));
        let first = self.starts.partition_point(|&start| start <= from).saturating_sub(1);
        let parts = self.starts.iter().zip(&self.parts).skip(first);
        parts.take_while(move |&(&start, _)| start < to).map(move |(&at, part)| {
            let (start, end) = (at.max(from), (at + part.length).min(to));
            Part { start: part.start + (start - at), length: end - start, ..*part }
        })
    }

    fn push(&mut self, part: Part) -> u64 {
        let at = self.size;
        self.parts.push(part);
        self.starts.push(at);
        self.size += part.length;
        at
    }
}

impl Pressed {
    /// Decides what lies where in the packed inode, when all segments of all `candidates` are added but those of files that
    /// are packed whole ([`Pressed::packs`]).
    pub fn pack(&mut self, candidates: &[Candidate]) -> Result<Packed, Error> {
        let mut packed = Packed::default();
        let (whole, others): (Vec<_>, Vec<_>) =
            candidates.iter().partition(|candidate| self.packs(candidate));
        // Ends first: of one 32 bits say where it is, of a whole file twice as many.
        for &Candidate { node, size, .. } in others {
            if let Some(Fragment { at, length }) =
                self.files.get_mut(&node).and_then(|file| file.fragment.as_mut())
            {
                *at = packed.push(Part { node, start: size - *length, length: *length });
            }
        }
        if packed.size > u32::MAX.into() {
            return Err(Error::Option { what: "ends of files are packed up to 4 GiB only" });
        }
        for &Candidate { node, size, .. } in whole {
            let at = packed.push(Part { node, start: 0, length: size });
            let fragment = Some(Fragment { at, length: size });
            self.files.insert(node, File { fragment, ..File::at(0) });
        }
        if packed.size > 0 {
            self.packed = Some((packed.size, File::at(self.next as u32)));
        }
        Ok(packed)
    }

    /// Takes the next segment of the packed inode, and says where it goes, in bytes from the filesystem's start.
    pub fn add_packed(&mut self, segment: &Segment) -> u64 {
        let at = self.size();
        let first = self.next as u32;
        if let Some((_, file)) = &mut self.packed {
            file.append_segment(segment, first);
        }
        self.next += (segment.bytes().len() / BLOCK) as u64;
        at
    }
}
