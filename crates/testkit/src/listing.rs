//! What a directory tree holds, as text that two unpackers can be compared by.
//!
//! Everything a root filesystem keeps about a name is listed: type, mode, owner, content, link target,
//! hard links, device number, extended attributes and the modification time to the nanosecond. What two
//! filesystems may rightly do differently is not: inode numbers, holes, directory sizes, other times.
//!
//! Names are bytes; nothing is followed. Reading every attribute takes root.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crate::sums::{hex, sha256};

/// One name of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The path below the root, without a leading slash; empty for the root itself.
    pub path: Vec<u8>,
    /// The type, with what only this type has.
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Seconds since the epoch and nanoseconds.
    pub mtime: (i64, i64),
    /// The link count; always 1 for a directory, whose count filesystems keep as they like.
    pub links: u64,
    /// The first name, in byte order, of the node that this is another name of.
    pub same_as: Option<Vec<u8>>,
    /// Every extended attribute, as the kernel hands it out.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// The type of a node, with what only this type has.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Kind {
    Directory,
    File { size: u64, sha256: String },
    Symlink { target: Vec<u8> },
    Character { major: u32, minor: u32 },
    Block { major: u32, minor: u32 },
    Fifo,
    Socket,
}

/// Lists `root` and all below it, in byte order of the paths.
pub fn list(root: &Path) -> io::Result<Vec<Line>> {
    let mut names = Vec::new();
    let mut waiting = vec![(Vec::new(), root.to_owned())];
    while let Some((path, place)) = waiting.pop() {
        let metadata = fs::symlink_metadata(&place).map_err(|error| at(&place, error))?;
        if metadata.is_dir() {
            for entry in fs::read_dir(&place).map_err(|error| at(&place, error))? {
                let entry = entry.map_err(|error| at(&place, error))?;
                waiting.push((join(&path, entry.file_name().as_bytes()), entry.path()));
            }
        }
        names.push((path, place, metadata));
    }
    names.sort_by(|left, right| left.0.cmp(&right.0));

    let mut first_names = HashMap::new();
    names.iter().map(|name| line(name, &mut first_names).map_err(|error| at(&name.1, error))).collect()
}

/// Says in what `left` and `right` differ: one text for each name and field, none when they are equal.
pub fn diff(left: &[Line], right: &[Line]) -> Vec<String> {
    let paired = |lines: &'_ [Line]| -> BTreeMap<Vec<u8>, Line> {
        lines.iter().map(|line| (line.path.clone(), line.clone())).collect()
    };
    let (left, mut right) = (paired(left), paired(right));
    let mut found = Vec::new();
    for (path, left) in left {
        match right.remove(&path) {
            Some(right) => found.extend(left.differences(&right)),
            None => found.push(format!("only left: {left}")),
        }
    }
    found.extend(right.values().map(|line| format!("only right: {line}")));
    found
}

/// Prints bytes so that every name is one word of visible ASCII.
pub fn escape(bytes: &[u8]) -> String {
    let visible = |byte: &u8| matches!(byte, 0x21..=0x7e) && *byte != b'\\';
    bytes
        .iter()
        .map(|byte| if visible(byte) { char::from(*byte).to_string() } else { format!("\\x{byte:02x}") })
        .collect()
}

impl Line {
    fn differences(&self, right: &Line) -> Vec<String> {
        let fields = self.fields().into_iter().zip(right.fields());
        fields
            .filter(|(left, right)| left != right)
            .map(|((name, left), (_, right))| {
                format!("/{}: {name} left {left}, right {right}", escape(&self.path))
            })
            .collect()
    }

    fn fields(&self) -> [(&'static str, String); 8] {
        let xattrs: Vec<_> =
            self.xattrs.iter().map(|(name, value)| format!("{}={}", escape(name), hex(value))).collect();
        [
            ("type", self.kind.to_string()),
            ("mode", format!("{:04o}", self.mode)),
            ("uid", self.uid.to_string()),
            ("gid", self.gid.to_string()),
            ("mtime", format!("{}.{:09}", self.mtime.0, self.mtime.1)),
            ("links", self.links.to_string()),
            ("same-as", self.same_as.as_ref().map_or("-".into(), |path| format!("/{}", escape(path)))),
            ("xattrs", if xattrs.is_empty() { "-".into() } else { xattrs.join(",") }),
        ]
    }
}

impl fmt::Display for Line {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "/{}", escape(&self.path))?;
        for (name, value) in self.fields() {
            write!(formatter, " {name}={value}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory => write!(formatter, "directory"),
            Self::File { size, sha256 } => write!(formatter, "file:{size}:{sha256}"),
            Self::Symlink { target } => write!(formatter, "symlink:{}", escape(target)),
            Self::Character { major, minor } => write!(formatter, "character:{major}:{minor}"),
            Self::Block { major, minor } => write!(formatter, "block:{major}:{minor}"),
            Self::Fifo => write!(formatter, "fifo"),
            Self::Socket => write!(formatter, "socket"),
        }
    }
}

type Name = (Vec<u8>, PathBuf, Metadata);

fn line((path, place, metadata): &Name, first_names: &mut HashMap<(u64, u64), Vec<u8>>) -> io::Result<Line> {
    let links = if metadata.is_dir() { 1 } else { metadata.nlink() };
    let same_as = if links > 1 {
        let first = first_names.entry((metadata.dev(), metadata.ino())).or_insert_with(|| path.clone());
        (first != path).then(|| first.clone())
    } else {
        None
    };
    Ok(Line {
        path: path.clone(),
        kind: kind(place, metadata)?,
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid(),
        gid: metadata.gid(),
        mtime: (metadata.mtime(), metadata.mtime_nsec()),
        links,
        same_as,
        xattrs: xattrs(place)?,
    })
}

fn kind(place: &Path, metadata: &Metadata) -> io::Result<Kind> {
    let device = metadata.rdev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let file_type = metadata.file_type();
    Ok(if file_type.is_dir() {
        Kind::Directory
    } else if file_type.is_symlink() {
        Kind::Symlink { target: fs::read_link(place)?.as_os_str().as_bytes().to_vec() }
    } else if file_type.is_char_device() {
        Kind::Character { major, minor }
    } else if file_type.is_block_device() {
        Kind::Block { major, minor }
    } else if file_type.is_fifo() {
        Kind::Fifo
    } else if file_type.is_socket() {
        Kind::Socket
    } else {
        Kind::File { size: metadata.len(), sha256: sha256(place)? }
    })
}

fn xattrs(place: &Path) -> io::Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    // The kernel's limits for the list of names and for one value are 64 KiB each.
    let mut buffer = vec![0; 1 << 16];
    let length = match rustix::fs::llistxattr(place, &mut buffer) {
        Ok(length) => length,
        Err(rustix::io::Errno::NOTSUP) => return Ok(BTreeMap::new()),
        Err(error) => return Err(error.into()),
    };
    let names: Vec<_> = buffer[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(<[u8]>::to_vec)
        .collect();
    let mut xattrs = BTreeMap::new();
    for name in names {
        let length = rustix::fs::lgetxattr(place, OsStr::from_bytes(&name), &mut buffer)?;
        xattrs.insert(name, buffer[..length].to_vec());
    }
    Ok(xattrs)
}

fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}

fn at(place: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", escape(place.as_os_str().as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn tree() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let place = |name: &[u8]| root.path().join(OsStr::from_bytes(name));
        fs::write(place(b"file"), "content").unwrap();
        fs::hard_link(place(b"file"), place(b"a\xff\nb")).unwrap();
        fs::create_dir(place(b"dir")).unwrap();
        symlink("nowhere", place(b"dir/link")).unwrap();
        root
    }

    #[test]
    fn names_are_sorted_and_escaped() {
        let lines = list(tree().path()).unwrap();
        let names: Vec<_> = lines.iter().map(|line| escape(&line.path)).collect();
        assert_eq!(names, ["", r"a\xff\x0ab", "dir", "dir/link", "file"]);
    }

    #[test]
    fn hard_links_name_the_first() {
        let lines = list(tree().path()).unwrap();
        assert_eq!(lines[1].same_as, None);
        assert_eq!(lines[4].same_as.as_deref(), Some(&b"a\xff\nb"[..]));
        assert_eq!(lines[4].links, 2);
    }

    #[test]
    fn every_difference_is_said() {
        let root = tree();
        let before = list(root.path()).unwrap();
        assert!(diff(&before, &before).is_empty());

        fs::set_permissions(root.path().join("file"), fs::Permissions::from_mode(0o4711)).unwrap();
        fs::remove_file(root.path().join("dir/link")).unwrap();
        let found = diff(&before, &list(root.path()).unwrap()).join("\n");
        assert!(found.contains("/file: mode left 0644, right 4711"), "{found}");
        assert!(found.contains("only left: /dir/link type=symlink:nowhere"), "{found}");
    }
}
