//! Things about a layer that its author may want to know, and that do not stop a build.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::escape;

/// How many notes of one kind are kept word for word; the rest are only counted.
pub const KEPT_OF_A_KIND: u64 = 16;

/// What was noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Remark {
    /// A directory entry took the place of a lower layer's symlink, as container runtimes do it.
    DirectoryReplacesSymlink,
    /// An opaque marker lies below a symlink, whose target was emptied.
    OpaqueThroughSymlink,
    /// A tar entry of a type that nothing defines was skipped.
    UnknownType,
    /// Metadata of the aufs filesystem (`.wh..wh.plnk` and the like) was dropped.
    AufsMetadata,
    /// A table of contents or landmark of a lazily pulled layer was dropped.
    LazyPullMetadata,
    /// An extended attribute was dropped, since it belongs to the host that built the layer.
    XattrDropped,
    /// A device was dropped because the caller asked for it.
    DeviceDropped,
    /// The tarball ends without the two zero blocks.
    EndMissing,
    /// Bytes stand behind the end of the archive; they count for the digest alone.
    TrailingBytes,
    /// The layer's bytes are compressed in another way than its media type says.
    MediaTypeDiffers,
    /// A time lies outside what the output can hold and was clamped.
    TimeClamped,
    /// An extended attribute is none that the output can hold.
    XattrUnsupported,
    /// Mode bits above 07777 were masked.
    ModeMasked,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Remark::DirectoryReplacesSymlink => "directory replaces a symlink of a lower layer",
            Remark::OpaqueThroughSymlink => "opaque marker below a symlink empties the link's target",
            Remark::UnknownType => "entry of unknown type skipped",
            Remark::AufsMetadata => "aufs metadata dropped",
            Remark::LazyPullMetadata => "lazy-pull metadata dropped",
            Remark::XattrDropped => "host's extended attribute dropped",
            Remark::DeviceDropped => "device dropped",
            Remark::EndMissing => "archive ends without its end marker",
            Remark::TrailingBytes => "bytes behind the end of the archive ignored",
            Remark::MediaTypeDiffers => "layer is compressed in another way than its media type says",
            Remark::TimeClamped => "time clamped to what the output can hold",
            Remark::XattrUnsupported => "extended attribute that the output cannot hold dropped",
            Remark::ModeMasked => "mode bits above 07777 masked",
        })
    }
}

/// One remark and where it belongs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// What was noticed.
    pub remark: Remark,
    /// Number of the layer. Not serialised: in another image the same layer has another number.
    #[serde(skip)]
    pub layer: u32,
    /// Index of the entry in the layer, where there is one.
    pub entry: Option<u64>,
    /// The entry's name, or whatever else names the thing; raw bytes.
    #[serde(with = "serde_bytes")]
    pub name: Box<[u8]>,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "layer {}", self.layer + 1)?;
        if let Some(entry) = self.entry {
            write!(f, ", entry {entry}")?;
        }
        if !self.name.is_empty() {
            write!(f, " ({})", escape(&self.name))?;
        }
        write!(f, ": {}", self.remark)
    }
}

/// Notes collected over a build: every one counted, the first of each kind kept.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Notes {
    counts: BTreeMap<Remark, u64>,
    kept: Vec<Note>,
}

impl Notes {
    /// Counts a note, and keeps it if it is among the first of its kind.
    pub fn push(&mut self, note: Note) {
        let count = self.counts.entry(note.remark).or_default();
        *count += 1;
        if *count <= KEPT_OF_A_KIND {
            self.kept.push(note);
        }
    }

    /// Counts a remark that was made `times` times, nobody knows where.
    pub fn count(&mut self, remark: Remark, times: u64) {
        if times > 0 {
            *self.counts.entry(remark).or_default() += times;
        }
    }

    /// Adds all of `other`'s.
    pub fn extend(&mut self, other: Notes) {
        for note in other.kept {
            let mine = self.kept.iter().filter(|kept| kept.remark == note.remark).count() as u64;
            if mine < KEPT_OF_A_KIND {
                self.kept.push(note);
            }
        }
        for (remark, count) in other.counts {
            *self.counts.entry(remark).or_default() += count;
        }
    }

    /// Forgets a remark.
    pub fn forget(&mut self, remark: Remark) {
        self.counts.remove(&remark);
        self.kept.retain(|note| note.remark != remark);
    }

    /// Says of which layer they all are.
    pub fn renumber(&mut self, layer: u32) {
        self.kept.iter_mut().for_each(|note| note.layer = layer);
    }

    /// Puts the notes that were kept into the order of the layers and their entries.
    pub fn sort(&mut self) {
        self.kept.sort_by_key(|note| (note.layer, note.entry));
    }

    /// How many notes of each kind there were.
    pub fn counts(&self) -> impl Iterator<Item = (Remark, u64)> {
        self.counts.iter().map(|(remark, count)| (*remark, *count))
    }

    /// The notes that were kept, in the order in which they came unless they were sorted.
    pub fn kept(&self) -> &[Note] {
        &self.kept
    }

    /// Whether nothing was noticed.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }
}
