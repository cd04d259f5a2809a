//! A tarball as a layer: changes, and the bytes of its files.
//!
//! This is the only place that knows how a layer spells a removal (image-spec `layer.md`, "Whiteouts").

pub(crate) mod content;
mod whiteout;
mod xattr;

use std::io::{BufRead, Write};

use tree::{Action, Change, Content, DEPTH_MAX, Directory, Kind, Metadata, Note, Notes, Path, Piece, Remark};

use crate::error::{Cap, Error};
use crate::tar::{self, Entry, EntryKind, Reader};
use content::Contents;
use whiteout::Meaning;

/// Longest text of a symlink in bytes; Linux has room for one more, the NUL.
pub const SYMLINK_MAX: usize = 4095;

/// How many bytes names, link targets, attributes and sparse maps of one layer may have together, since all of
/// them stay in memory: 100 bytes for each of the most entries that a layer may have.
pub const METADATA_BYTES_MAX: u64 = 512 << 20;

/// Longest name of an extended attribute in bytes, its namespace included: Linux's `XATTR_NAME_MAX`.
pub const XATTR_NAME_MAX: usize = 255;

/// Longest value of an extended attribute in bytes: Linux's `XATTR_SIZE_MAX`.
pub const XATTR_VALUE_MAX: usize = 65536;

/// How to read a layer. The default is what a build uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadOptions {
    /// Limits of the archive itself.
    pub tar: tar::Limits,
    /// Most components in a path; [`DEPTH_MAX`].
    pub depth: usize,
    /// Most bytes of names, links and attributes in the layer; [`METADATA_BYTES_MAX`].
    pub metadata_bytes: u64,
    /// Refuses what is otherwise skipped with a note: entries of unknown type, access control lists that name
    /// users without a number.
    pub strict: bool,
    /// Drops devices, with a note for each.
    pub drop_devices: bool,
    /// Keeps `trusted.overlay.*` and `user.overlay.*`, which mean something to the host that made the layer.
    pub keep_overlay_xattrs: bool,
    /// Keeps `security.selinux`, which the policy of the machine that runs the image decides.
    pub keep_selinux: bool,
    /// Keeps `user.rootlesscontainers` and `user.containers.override_stat`, by which rootless tools remember
    /// owners.
    pub keep_rootless_xattrs: bool,
    /// Keeps the table of contents and the landmarks of lazily pulled layers (estargz).
    pub keep_lazy_pull_metadata: bool,
}

impl Default for ReadOptions {
    fn default() -> ReadOptions {
        ReadOptions {
            tar: tar::Limits::default(),
            depth: DEPTH_MAX,
            metadata_bytes: METADATA_BYTES_MAX,
            strict: false,
            drop_devices: false,
            keep_overlay_xattrs: false,
            keep_selinux: false,
            keep_rootless_xattrs: false,
            keep_lazy_pull_metadata: false,
        }
    }
}

/// What a layer's tarball says.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Number of the layer in the image, from 0 at the bottom.
    pub number: u32,
    /// Its changes, in the order of the tarball.
    pub changes: Vec<Change>,
    /// What was noticed.
    pub notes: Notes,
    /// Bytes of the content space, a multiple of [`tree::BLOCK`].
    pub content_length: u64,
    /// Entries of the tarball.
    pub entries: u64,
    /// Bytes of the tarball, with what stands behind its end.
    pub tarball_length: u64,
}

/// Reads a layer in one pass, to the last byte of `tarball` (the caller hashes them), and writes the bytes of
/// its files to `contents` as the layer's content space, which [`tree::Span`] describes.
///
/// Runs of at least 64 KiB of zeros are left out of the content space; so are the holes of sparse files, as
/// far as they cover whole blocks.
///
/// # Errors
///
/// `Corrupt`, `Invalid`, `Unsupported` and `Limit` name the entry. `Io` carries what `tarball` or `contents`
/// failed with; an [`Error`] inside of an [`io::Error`](std::io::Error) comes out as itself.
pub fn read(
    number: u32,
    tarball: impl BufRead,
    contents: impl Write,
    options: &ReadOptions,
) -> Result<Layer, Error> {
    let mut reading = Reading::new(number, tarball, contents, options);
    while reading.step()? {}
    reading.finish()
}

/// Reads the beginning of a layer: to its first change of which `last` says so, or all if there is none such.
/// Otherwise as [`read`]; gives the changes. What follows is not looked at.
pub fn read_until(
    number: u32,
    tarball: impl BufRead,
    contents: impl Write,
    options: &ReadOptions,
    last: impl Fn(&Change) -> bool,
) -> Result<Vec<Change>, Error> {
    let mut reading = Reading::new(number, tarball, contents, options);
    while reading.step()? {
        if reading.changes.last().is_some_and(&last) {
            return Ok(reading.changes);
        }
    }
    reading.finish().map(|layer| layer.changes)
}

/// Knows what becomes of the bytes of a layer's files.
pub(crate) trait Keep<R> {
    /// An entry begins: its headers have been read, its content follows.
    fn entry(&mut self, _entry: &Entry) -> Result<(), Error> {
        Ok(())
    }

    /// Takes a regular file's content, and says what it is in the tree.
    fn content(&mut self, tar: &mut Reader<R>, entry: &Entry) -> Result<Content, Error>;

    /// Bytes of the content space so far.
    fn length(&self) -> u64;

    /// All of the tarball has been read.
    fn finish(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

impl<R: BufRead, W: Write> Keep<R> for Contents<W> {
    fn content(&mut self, tar: &mut Reader<R>, entry: &Entry) -> Result<Content, Error> {
        match &entry.sparse {
            None => self.whole(tar, entry.size),
            Some(sparse) => self.sparse(tar, sparse),
        }
    }

    fn length(&self) -> u64 {
        Contents::length(self)
    }
}

/// A layer while it is read.
pub(crate) struct Reading<'o, R, K> {
    number: u32,
    options: &'o ReadOptions,
    tar: Reader<R>,
    contents: K,
    changes: Vec<Change>,
    notes: Notes,
    /// Bytes of metadata so far.
    metadata_bytes: u64,
}

impl<'o, R: BufRead, W: Write> Reading<'o, R, Contents<W>> {
    fn new(number: u32, tarball: R, contents: W, options: &'o ReadOptions) -> Self {
        Reading::with(number, tarball, Contents::new(number, contents), options)
    }
}

impl<'o, R: BufRead, K: Keep<R>> Reading<'o, R, K> {
    pub(crate) fn with(number: u32, tarball: R, contents: K, options: &'o ReadOptions) -> Self {
        Reading {
            number,
            options,
            tar: Reader::new(tarball, options.tar.clone()),
            contents,
            changes: Vec::new(),
            notes: Notes::default(),
            metadata_bytes: 0,
        }
    }

    /// Reads one entry; says whether there was one.
    pub(crate) fn step(&mut self) -> Result<bool, Error> {
        let Some(entry) = self.tar.entry()? else { return Ok(false) };
        let (index, name) = (entry.index, entry.name.clone());
        self.contents
            .entry(&entry)
            .and_then(|()| self.entry(entry))
            .map_err(|error| error.at(index, &name))?;
        Ok(true)
    }

    /// Reads what stands behind the last entry.
    pub(crate) fn finish(mut self) -> Result<Layer, Error> {
        let end = self.tar.finish()?;
        self.contents.finish()?;
        if !end.marked {
            self.note(Remark::EndMissing, None, b"");
        }
        if end.trailing {
            self.note(Remark::TrailingBytes, None, b"");
        }
        Ok(Layer {
            number: self.number,
            changes: self.changes,
            notes: self.notes,
            content_length: self.contents.length(),
            entries: end.entries,
            tarball_length: end.length,
        })
    }

    fn entry(&mut self, entry: Entry) -> Result<(), Error> {
        let path = Path::parse(&entry.name, self.options.depth).map_err(|e| Error::invalid(e.to_string()))?;
        // The name decides before the type does: whiteouts come as links and with content, too.
        match whiteout::meaning(path)? {
            Meaning::Remove(path) => self.push(entry.index, path, Action::Remove),
            Meaning::Clear(path) => self.push(entry.index, path, Action::Clear),
            Meaning::Aufs => {
                self.note(Remark::AufsMetadata, Some(entry.index), &entry.name);
                Ok(())
            }
            Meaning::LazyPull(_) if !self.options.keep_lazy_pull_metadata => {
                self.note(Remark::LazyPullMetadata, Some(entry.index), &entry.name);
                Ok(())
            }
            Meaning::Node(path) | Meaning::LazyPull(path) => self.node(entry, path),
        }
    }

    fn node(&mut self, entry: Entry, path: Path) -> Result<(), Error> {
        let kind = match entry.kind {
            EntryKind::Link => return self.link(entry, path),
            EntryKind::File => Kind::File(self.content(&entry)?),
            EntryKind::Directory => Kind::Directory(Directory::new()),
            EntryKind::Symlink => Kind::Symlink(self.symlink(&entry.link)?),
            EntryKind::CharDevice | EntryKind::BlockDevice if self.options.drop_devices => {
                self.note(Remark::DeviceDropped, Some(entry.index), &entry.name);
                return Ok(());
            }
            EntryKind::CharDevice => Kind::CharDevice(entry.device),
            EntryKind::BlockDevice => Kind::BlockDevice(entry.device),
            EntryKind::Fifo => Kind::Fifo,
            EntryKind::Unknown(flag) if self.options.strict => {
                let flag = [flag];
                return Err(Error::unsupported(format!("entry of unknown type \"{}\"", tree::escape(&flag))));
            }
            EntryKind::Unknown(_) => {
                self.note(Remark::UnknownType, Some(entry.index), &entry.name);
                return Ok(());
            }
        };
        let metadata = self.metadata(&entry)?;
        self.push(entry.index, path, Action::Put(metadata, kind))
    }

    fn link(&mut self, entry: Entry, path: Path) -> Result<(), Error> {
        let target = Path::parse(&entry.link, self.options.depth)
            .map_err(|error| Error::invalid(format!("hard link's target: {error}")))?;
        self.count(target.as_bytes().len())?;
        let metadata = self.metadata(&entry)?;
        self.push(entry.index, path, Action::Link { target, metadata })
    }

    fn symlink(&mut self, text: &[u8]) -> Result<Box<[u8]>, Error> {
        match text.len() {
            0 => return Err(Error::invalid("symlink without a text")),
            1..=SYMLINK_MAX => {}
            length => {
                return Err(Error::invalid(format!(
                    "symlink's text of {length} bytes is longer than {SYMLINK_MAX}"
                )));
            }
        }
        if text.contains(&0) {
            return Err(Error::invalid("symlink's text has a NUL byte in it"));
        }
        self.count(text.len())?;
        Ok(text.into())
    }

    fn metadata(&mut self, entry: &Entry) -> Result<Metadata, Error> {
        const PERMISSIONS: u32 = 0o7777;
        /// Old writers put the whole of `st_mode` there.
        const TYPE: u32 = 0o170_000;
        if entry.mode & !(PERMISSIONS | TYPE) != 0 {
            self.note(Remark::ModeMasked, Some(entry.index), &entry.name);
        }
        Ok(Metadata {
            mode: (entry.mode & PERMISSIONS) as u16,
            uid: entry.uid,
            gid: entry.gid,
            mtime: entry.mtime,
            xattrs: self.xattrs(entry)?,
        })
    }

    /// Moves a file's bytes to the content space.
    fn content(&mut self, entry: &Entry) -> Result<Content, Error> {
        let content = self.contents.content(&mut self.tar, entry)?;
        if let Content::Inline(bytes) = &content {
            self.count(bytes.len())?;
        }
        if let Content::Pieces { pieces, .. } = &content {
            self.count(size_of::<Piece>() * pieces.len())?;
        }
        Ok(content)
    }

    fn push(&mut self, entry: u64, path: Path, action: Action) -> Result<(), Error> {
        self.count(path.as_bytes().len())?;
        self.changes.push(Change { entry, path, action });
        Ok(())
    }

    /// Counts bytes that stay in memory.
    fn count(&mut self, bytes: usize) -> Result<(), Error> {
        self.metadata_bytes += bytes as u64;
        if self.metadata_bytes > self.options.metadata_bytes {
            return Err(Error::limit(Cap::MetadataBytes, self.options.metadata_bytes));
        }
        Ok(())
    }

    fn note(&mut self, remark: Remark, entry: Option<u64>, name: &[u8]) {
        self.notes.push(Note { remark, layer: self.number, entry, name: name.into() });
    }
}
