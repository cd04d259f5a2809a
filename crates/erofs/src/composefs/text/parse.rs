//! Reading the text.

use hash::{Algorithm, FileDigest};
use tree::{
    Content, DEPTH_MAX, Device, Directory, Kind, Metadata, Misfit, NodeId, Path, PathError, Time, Tree,
    Xattrs,
};

use super::escape;
use crate::composefs::objects::{Files, Object, Objects, outside};
use crate::composefs::plan::{IMAGE_CONTENT_MAX, LINK_TEXT_MAX, OBJECT_SIZE_MAX};
use crate::format::{
    S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK, XATTR_NAME_MAX, XATTR_VALUE_MAX,
};

/// A text that is no tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {fault}")]
pub struct TextError {
    /// The line's number, from 1; one behind the last for what is missing at the end.
    pub line: u64,
    /// What is wrong there.
    pub fault: TextFault,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextFault {
    /// Too few fields.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A field that says nothing.
    #[error("malformed {0}")]
    Malformed(&'static str),
    /// A field that this type of file has not.
    #[error("a {0} where there can be none")]
    Misplaced(&'static str),
    /// Two fields that contradict each other.
    #[error("{0}")]
    Contradiction(&'static str),
    /// More than an image holds.
    #[error("{what} is {value}, more than {max}")]
    Limit {
        /// What is too large.
        what: &'static str,
        /// How large it is.
        value: u64,
        /// The limit.
        max: u64,
    },
    /// The path, or the one that it is a link to, is no path.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The name does not fit into the tree.
    #[error(transparent)]
    Misfit(#[from] Misfit),
    /// The directory or the target of a link did not come before.
    #[error("{0} did not come before")]
    Unknown(&'static str),
}

/// Reads a text.
///
/// Objects are named by the algorithm that the length of their digests says.
pub fn parse_text(text: &[u8]) -> Result<Files, TextError> {
    let mut parser =
        Parser { tree: Tree::default(), objects: Objects::default(), parent: None, rooted: false };
    let mut line = 0;
    for bytes in text.split(|&b| b == b'\n') {
        line += 1;
        if !bytes.is_empty() {
            parser.line(bytes).map_err(|fault| TextError { line, fault })?;
        }
    }
    if !parser.rooted {
        return Err(TextError { line, fault: TextFault::Missing("the root") });
    }
    Ok(Files { tree: parser.tree, objects: parser.objects })
}

struct Parser {
    tree: Tree,
    objects: Objects,
    /// The directory of the last name.
    parent: Option<(Path, NodeId)>,
    rooted: bool,
}

/// What a line says of a file.
struct Entry<'a> {
    size: u64,
    mode: u32,
    rdev: u64,
    metadata: Metadata,
    payload: Option<&'a [u8]>,
    content: Option<&'a [u8]>,
    digest: Option<&'a [u8]>,
}

impl Parser {
    fn line(&mut self, line: &[u8]) -> Result<(), TextFault> {
        let mut fields = line.split(|&b| b == b' ');
        let mut next = |name| fields.next().ok_or(TextFault::Missing(name));
        let path = path(next("path")?)?;
        let size = next("size")?;
        let mode = next("mode")?;
        if let Some(mode) = mode.strip_prefix(b"@") {
            if number(mode, 8, "mode")? & 0o170_000 == S_IFDIR.into() {
                return Err(TextFault::Contradiction("a hard link to a directory"));
            }
            for name in ["number of links", "owner", "group", "device", "time"] {
                next(name)?;
            }
            return self.link(&path, next("payload")?);
        }
        let mode = number(mode, 8, "mode")?;
        // Links are counted.
        number(next("number of links")?, 10, "number of links")?;
        let id =
            |field, name| u32::try_from(number(field, 10, name)?).map_err(|_| TextFault::Malformed(name));
        let (uid, gid) = (id(next("owner")?, "owner")?, id(next("group")?, "group")?);
        let rdev = number(next("device")?, 10, "device")?;
        let mtime = time(next("time")?)?;
        let mut optional = |name| next(name).map(|field| (field != b"-").then_some(field));
        let (payload, content, digest) = (optional("payload")?, optional("content")?, optional("digest")?);
        let xattrs = xattrs(fields)?;
        let entry = Entry {
            size: number(size, 10, "size")?,
            mode: u32::try_from(mode)
                .ok()
                .filter(|mode| *mode <= 0o177_777)
                .ok_or(TextFault::Malformed("mode"))?,
            rdev,
            metadata: Metadata { mode: (mode & 0o7777) as u16, uid, gid, mtime, xattrs },
            payload,
            content,
            digest,
        };
        self.put(&path, entry)
    }

    fn put(&mut self, path: &Path, entry: Entry<'_>) -> Result<(), TextFault> {
        let (kind, object) = entry.kind()?;
        let Some((parent, name)) = path.split() else {
            return match kind {
                Kind::Directory(_) if !self.rooted => {
                    self.tree.node_mut(Tree::ROOT).metadata = entry.metadata;
                    self.rooted = true;
                    Ok(())
                }
                Kind::Directory(_) => Err(Misfit::Exists.into()),
                _ => Err(TextFault::Contradiction("the root is not a directory")),
            };
        };
        let parent = self.parent(parent)?;
        let node = self.tree.grow(parent, name, entry.metadata, kind)?;
        if let Some(object) = object {
            self.objects.set(node, object);
        }
        Ok(())
    }

    fn link(&mut self, path: &Path, payload: &[u8]) -> Result<(), TextFault> {
        let target = self::path(payload)?;
        let target = self.find(&target).ok_or(TextFault::Unknown("the target of the link"))?;
        let Some((parent, name)) = path.split() else {
            return Err(TextFault::Contradiction("the root is not a directory"));
        };
        let parent = self.parent(parent)?;
        Ok(self.tree.grow_name(parent, name, target)?)
    }

    fn parent(&mut self, path: Path) -> Result<NodeId, TextFault> {
        match &self.parent {
            _ if !self.rooted => Err(TextFault::Unknown("the root")),
            Some((known, node)) if *known == path => Ok(*node),
            _ => {
                let node = self.find(&path).ok_or(TextFault::Unknown("the directory"))?;
                self.parent = Some((path, node));
                Ok(node)
            }
        }
    }

    /// What a path names, without following a link.
    fn find(&self, path: &Path) -> Option<NodeId> {
        path.components().try_fold(Tree::ROOT, |node, name| self.tree.entries(node)?.get(name).copied())
    }
}

impl Entry<'_> {
    fn kind(&self) -> Result<(Kind, Option<Object>), TextFault> {
        let file_type = (self.mode & 0o170_000) as u16;
        let is_file = file_type == S_IFREG;
        let is_device = matches!(file_type, S_IFCHR | S_IFBLK);
        for (there, what) in [
            (self.content.is_some() && !is_file, "content"),
            (self.digest.is_some() && !is_file, "digest"),
            (self.payload.is_some() && !is_file && file_type != S_IFLNK, "payload"),
            (self.rdev != 0 && !is_device, "device's number"),
        ] {
            if there {
                return Err(TextFault::Misplaced(what));
            }
        }
        let device = Device::split(self.rdev);
        limit("a device's number", if is_device { self.rdev } else { 0 }, u32::MAX.into())?;
        let kind = match file_type {
            S_IFREG => return self.file(),
            S_IFDIR => Kind::Directory(Directory::new()),
            S_IFLNK => Kind::Symlink(self.text()?),
            S_IFCHR => Kind::CharDevice(device),
            S_IFBLK => Kind::BlockDevice(device),
            S_IFIFO => Kind::Fifo,
            S_IFSOCK => Kind::Socket,
            _ => return Err(TextFault::Malformed("mode")),
        };
        Ok((kind, None))
    }

    fn text(&self) -> Result<Box<[u8]>, TextFault> {
        let text = unescaped(self.payload.ok_or(TextFault::Missing("the link's text"))?, "payload")?;
        if text.is_empty() || text.contains(&0) {
            return Err(TextFault::Malformed("payload"));
        }
        limit("the length of a link's text", text.len() as u64, LINK_TEXT_MAX as u64)?;
        Ok(text.into())
    }

    fn file(&self) -> Result<(Kind, Option<Object>), TextFault> {
        let file = |content| Kind::File(content);
        let Some(payload) = self.payload else {
            if self.digest.is_some() {
                return Err(TextFault::Misplaced("digest"));
            }
            let content = unescaped(self.content.unwrap_or_default(), "content")?;
            limit("the length of content", content.len() as u64, IMAGE_CONTENT_MAX as u64)?;
            return match content.len() as u64 {
                0 if self.size == 0 => Ok((file(Content::Empty), None)),
                0 => self.outside().map(|content| (file(content), None)),
                length if length == self.size => Ok((file(Content::Inline(content.into())), None)),
                _ => Err(TextFault::Contradiction("the content has another length than the size says")),
            };
        };
        if self.content.is_some() {
            return Err(TextFault::Misplaced("content"));
        }
        if self.size == 0 {
            return Err(TextFault::Contradiction("an object for a file without bytes"));
        }
        let path = unescaped(payload, "payload")?;
        let named = Object::parse_path(path.strip_prefix(b"/").unwrap_or(&path))
            .ok_or(TextFault::Malformed("path of an object"))?;
        if let Some(digest) = self.digest
            && digest_of(digest)? != named
        {
            return Err(TextFault::Contradiction("the path of the object has another digest"));
        }
        let object = Object { digest: named, enforced: self.digest.is_some() };
        Ok((file(self.outside()?), Some(object)))
    }

    fn outside(&self) -> Result<Content, TextFault> {
        limit("the size of a file", self.size, OBJECT_SIZE_MAX)?;
        Ok(outside(self.size))
    }
}

fn limit(what: &'static str, value: u64, max: u64) -> Result<(), TextFault> {
    if value > max { Err(TextFault::Limit { what, value, max }) } else { Ok(()) }
}

fn unescaped(field: &[u8], name: &'static str) -> Result<Vec<u8>, TextFault> {
    escape::read(field).ok_or(TextFault::Malformed(name))
}

fn digest_of(field: &[u8]) -> Result<FileDigest, TextFault> {
    let algorithm = if field.len() == 128 { Algorithm::Sha512 } else { Algorithm::Sha256 };
    let digest = str::from_utf8(field).ok().and_then(|hex| FileDigest::from_hex(algorithm, hex).ok());
    digest.ok_or(TextFault::Malformed("digest"))
}

/// Digits alone.
fn number(field: &[u8], radix: u32, name: &'static str) -> Result<u64, TextFault> {
    let digits = str::from_utf8(field).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    digits.and_then(|digits| u64::from_str_radix(digits, radix).ok()).ok_or(TextFault::Malformed(name))
}

fn time(field: &[u8]) -> Result<Time, TextFault> {
    let malformed = || TextFault::Malformed("time");
    let dot = field.iter().position(|&b| b == b'.').ok_or_else(malformed)?;
    let (seconds, nanoseconds) = (&field[..dot], number(&field[dot + 1..], 10, "time")?);
    let (negative, digits) = match seconds.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, seconds),
    };
    let seconds = i128::from(number(digits, 10, "time")?);
    let seconds = i64::try_from(if negative { -seconds } else { seconds }).map_err(|_| malformed())?;
    let nanoseconds = u32::try_from(nanoseconds).ok().filter(|n| *n < 1_000_000_000).ok_or_else(malformed)?;
    Ok(Time { seconds, nanoseconds })
}

/// A path that starts at the root, in the one form that it has.
fn path(field: &[u8]) -> Result<Path, TextFault> {
    let bytes = unescaped(field, "path")?;
    let path = Path::parse(&bytes, DEPTH_MAX)?;
    match bytes.strip_prefix(b"/") {
        Some(rest) if rest == path.as_bytes() => Ok(path),
        _ => Err(TextFault::Malformed("path")),
    }
}

fn xattrs<'a>(fields: impl Iterator<Item = &'a [u8]>) -> Result<Option<Box<Xattrs>>, TextFault> {
    let mut all = Xattrs::new();
    for field in fields {
        let equals = field.iter().position(|&b| b == b'=').ok_or(TextFault::Malformed("attribute"))?;
        let name = unescaped(&field[..equals], "attribute's name")?;
        let value = unescaped(&field[equals + 1..], "attribute's value")?;
        if name.is_empty() || name.contains(&0) {
            return Err(TextFault::Malformed("attribute's name"));
        }
        limit("the length of an attribute's name", name.len() as u64, XATTR_NAME_MAX as u64)?;
        limit("the length of an attribute's value", value.len() as u64, XATTR_VALUE_MAX as u64)?;
        if all.insert(name.into(), value.into()).is_some() {
            return Err(TextFault::Contradiction("an attribute twice"));
        }
    }
    Ok((!all.is_empty()).then(|| Box::new(all)))
}
