//! A tarball whose files are looked up by name. Names mean something inside the archive alone; nothing of it
//! ever becomes a path of the host.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use host::FileExt;
use layer::tar::{EntryKind, Limits, Reader};
use layer::{Compression, Expander};

use super::Error;

/// How many files an archive may have: an image has four for each layer at most, and an archive a few images.
/// All their names are kept in memory.
const FILES_MAX: u64 = 1 << 16;
/// Files with longer names, in bytes, are as if they were not there: the longest that are written have 140.
const NAME_MAX: usize = 1 << 10;
/// How many links may lead from one to the next.
const LINKS_MAX: usize = 8;
/// Buffers for going from header to header, and for expanding.
const HEADERS_BUFFER: usize = 16 << 10;
const EXPAND_BUFFER: usize = 1 << 20;

/// An archive, and where its files are in it.
pub(super) struct Archive {
    pub(super) path: PathBuf,
    pub(super) file: File,
    members: BTreeMap<String, Member>,
}

/// What a name in the archive is.
enum Member {
    File(Extent),
    /// A link to another name, which is already relative to the archive's root.
    Link(Result<String, Escapes>),
    Other,
}

/// A name that leads out of the archive.
#[derive(Debug, Clone)]
struct Escapes;

/// Where a file's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) offset: u64,
    pub(super) size: u64,
}

impl Archive {
    /// Opens an archive and lists its files. A compressed one is expanded first, into `scratch`.
    pub(super) fn open(path: &Path, scratch: &Path) -> Result<Archive, Error> {
        let mut file = match File::open(path) {
            // Not every system opens a directory.
            Err(_) if path.is_dir() => return Err(Error::NotAFile { path: path.into() }),
            opened => opened.map_err(Error::io(path))?,
        };
        if !file.metadata().map_err(Error::io(path))?.is_file() {
            return Err(Error::NotAFile { path: path.into() });
        }
        let mut start = Vec::new();
        (&file).take(layer::compression::SNIFFED as u64).read_to_end(&mut start).map_err(Error::io(path))?;
        file.rewind().map_err(Error::io(path))?;
        let fault = |fault| Error::Archive { path: path.into(), fault };
        if Compression::sniff(&start).map_err(fault)? != Compression::None {
            file = expand(file, path, scratch)?;
        }
        let mut archive = Archive { path: path.into(), file, members: BTreeMap::new() };
        archive.list().map_err(fault)?;
        Ok(archive)
    }

    /// Goes through the headers. A name that stands there twice means the last, as when it is unpacked.
    fn list(&mut self) -> Result<(), layer::Error> {
        let limits = Limits { entries: FILES_MAX, ..Limits::default() };
        let mut reader = Reader::new(BufReader::with_capacity(HEADERS_BUFFER, &self.file), limits);
        while let Some(entry) = reader.entry()? {
            let extent = Extent { offset: entry.content_offset, size: entry.size };
            reader.seek_over_content()?;
            if entry.name.len().max(entry.link.len()) > NAME_MAX {
                continue;
            }
            let (Ok(name), Ok(link)) = (text(entry.name), text(entry.link)) else { continue };
            let Ok(name) = normalise("", &name) else { continue };
            let member = match entry.kind {
                EntryKind::File if entry.sparse.is_none() => Member::File(extent),
                EntryKind::Link => Member::Link(normalise("", &link)),
                EntryKind::Symlink => Member::Link(normalise(parent(&name), &link)),
                _ => Member::Other,
            };
            self.members.insert(name, member);
        }
        Ok(())
    }

    /// Whether there is anything of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// Where the bytes of a file are. Links are followed, inside the archive.
    pub(super) fn find(&self, name: &str) -> Result<Extent, Error> {
        let (path, shown) = (self.path.clone(), escape(name));
        let Ok(mut current) = normalise("", name) else {
            return Err(Error::Escape { path, name: shown });
        };
        for _ in 0..=LINKS_MAX {
            match self.members.get(&current) {
                Some(Member::File(extent)) => return Ok(*extent),
                Some(Member::Link(Ok(target))) => current = target.clone(),
                Some(Member::Link(Err(Escapes))) => return Err(Error::Escape { path, name: shown }),
                Some(Member::Other) => return Err(Error::NotAMember { path, name: shown }),
                None => return Err(Error::MissingFile { path, name: shown }),
            }
        }
        Err(Error::NotAMember { path, name: shown })
    }

    /// The bytes of a small file.
    pub(super) fn read(&self, name: &str, limit: u64) -> Result<Vec<u8>, Error> {
        let extent = self.find(name)?;
        if extent.size > limit {
            let cause = format!("it has {} bytes, more than the limit of {limit}", extent.size);
            return Err(Error::Malformed { path: self.path.clone(), file: escape(name), cause });
        }
        self.read_extent(extent)
    }

    /// The bytes of a part, which the caller knows to be small.
    pub(super) fn read_extent(&self, extent: Extent) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; extent.size as usize];
        self.file.read_exact_at(&mut bytes, extent.offset).map_err(Error::io(&self.path))?;
        Ok(bytes)
    }
}

/// Expands an archive into a file without a name.
fn expand(file: File, path: &Path, scratch: &Path) -> Result<File, Error> {
    let no_room = |source| Error::Scratch { path: path.into(), scratch: scratch.into(), source };
    let fault = |fault| Error::Archive { path: path.into(), fault };
    let mut expanded = tempfile::tempfile_in(scratch).map_err(no_room)?;
    let input = BufReader::with_capacity(EXPAND_BUFFER, file);
    let mut expander = Expander::new(input, layer::compression::Limits::default()).map_err(fault)?;
    let mut buffer = vec![0; EXPAND_BUFFER];
    loop {
        let count = match expander.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                return Err(match error.downcast::<layer::Error>() {
                    Ok(error) => fault(error),
                    Err(error) => Error::io(path)(error),
                });
            }
        };
        io::Write::write_all(&mut expanded, &buffer[..count]).map_err(no_room)?;
    }
    expanded.rewind().map_err(no_room)?;
    Ok(expanded)
}

/// Names that are no UTF-8 cannot be named by the JSON that names files.
fn text(bytes: Vec<u8>) -> Result<String, std::string::FromUtf8Error> {
    String::from_utf8(bytes)
}

fn parent(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// A name without `.`, `..` and doubled slashes, relative to a directory of the archive.
fn normalise(directory: &str, name: &str) -> Result<String, Escapes> {
    if name.starts_with('/') {
        return Err(Escapes);
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in directory.split('/').chain(name.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop().ok_or(Escapes)?;
            }
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

/// A stranger's name, fit to be shown.
pub(super) fn escape(name: &str) -> String {
    name.chars().take(200).flat_map(char::escape_debug).collect()
}
