//! A directory of the host as a tree.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use erofs::composefs::{Files, Object, Objects};
use hash::{Algorithm, FileDigest, Verity};
use rustix::fs::OFlags;
use rustix::io::Errno;
use tree::{Content, Device, Directory, Kind, Metadata, NodeId, Time, Tree, Xattrs};

use super::InputError;

/// The tree that a directory of the host is, with all that lies in it, mounts included: owners, times and attributes are
/// those that the kernel says. Nothing but the directory itself is looked up by following symlinks.
pub fn of_directory(root: &Path, algorithm: Algorithm, inline_max: u64) -> Result<Files, InputError> {
    let mut looking =
        Looking { tree: Tree::default(), objects: Vec::new(), known: BTreeMap::new(), algorithm, inline_max };
    let found = fs::metadata(root).map_err(unreadable(root))?;
    let followed = fs::canonicalize(root).map_err(unreadable(root))?;
    looking.tree.node_mut(Tree::ROOT).metadata = metadata(&followed, &found)?;
    let mut pending = vec![(followed, Tree::ROOT)];
    while let Some((path, directory)) = pending.pop() {
        let entries = fs::read_dir(&path).map_err(unreadable(&path))?;
        let mut names = entries
            .map(|entry| Ok(entry?.file_name()))
            .collect::<io::Result<Vec<_>>>()
            .map_err(unreadable(&path))?;
        names.sort();
        for name in names {
            let path = path.join(&name);
            if let Some(directory) = looking.entry(&path, &name, directory)? {
                pending.push((path, directory));
            }
        }
    }
    let mut objects = Objects::of(&looking.tree);
    for (node, digest) in looking.objects {
        objects.set(node, Object { digest, enforced: true });
    }
    Ok(Files { tree: looking.tree, objects })
}

struct Looking {
    tree: Tree,
    objects: Vec<(NodeId, FileDigest)>,
    /// What has a name already, by device and number: hard links are further names.
    known: BTreeMap<(u64, u64), NodeId>,
    algorithm: Algorithm,
    inline_max: u64,
}

impl Looking {
    /// Takes in one name. Gives the node if it is a directory, which is to be looked at, too.
    fn entry(&mut self, path: &Path, name: &OsStr, parent: NodeId) -> Result<Option<NodeId>, InputError> {
        let found = fs::symlink_metadata(path).map_err(unreadable(path))?;
        let kind = found.file_type();
        let misfit = |misfit| unreadable(path)(io::Error::other(format!("{misfit}")));
        if !kind.is_dir()
            && let Some(node) = self.known.get(&(found.dev(), found.ino()))
        {
            self.tree.grow_name(parent, name.as_bytes(), *node).map_err(misfit)?;
            return Ok(None);
        }
        let device = Device::split(found.rdev());
        let mut object = None;
        let node = if kind.is_dir() {
            Kind::Directory(Directory::new())
        } else if kind.is_symlink() {
            let target = fs::read_link(path).map_err(unreadable(path))?;
            Kind::Symlink(target.into_os_string().as_bytes().into())
        } else if kind.is_char_device() {
            Kind::CharDevice(device)
        } else if kind.is_block_device() {
            Kind::BlockDevice(device)
        } else if kind.is_fifo() {
            Kind::Fifo
        } else if kind.is_socket() {
            Kind::Socket
        } else {
            let (content, digest) = self.content(path, &found)?;
            object = digest;
            Kind::File(content)
        };
        let metadata = metadata(path, &found)?;
        let node = self.tree.grow(parent, name.as_bytes(), metadata, node).map_err(misfit)?;
        self.objects.extend(object.map(|digest| (node, digest)));
        if kind.is_dir() {
            return Ok(Some(node));
        }
        self.known.insert((found.dev(), found.ino()), node);
        Ok(None)
    }

    /// What a file holds, and the object that it is if it is not in the image.
    fn content(
        &self,
        path: &Path,
        found: &fs::Metadata,
    ) -> Result<(Content, Option<FileDigest>), InputError> {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = File::options().read(true).custom_flags(flags.bits() as i32).open(path);
        let mut file = file.map_err(unreadable(path))?;
        let opened = file.metadata().map_err(unreadable(path))?;
        if (opened.dev(), opened.ino(), opened.len()) != (found.dev(), found.ino(), found.len()) {
            return Err(InputError::Changes { path: path.into() });
        }
        let size = found.len();
        let mut small = Vec::new();
        let (mut verity, mut read, mut buffer) = (Verity::new(self.algorithm), 0, vec![0; 256 << 10]);
        loop {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => {
                    read += count as u64;
                    verity.update(&buffer[..count]);
                    if size <= self.inline_max {
                        small.extend_from_slice(&buffer[..count]);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unreadable(path)(error)),
            }
            if read > size {
                break;
            }
        }
        if read != size {
            return Err(InputError::Changes { path: path.into() });
        }
        Ok(match size {
            0 => (Content::Empty, None),
            _ if size <= self.inline_max => (Content::Inline(small.into()), None),
            _ => {
                // Where its bytes are is nobody's business but the object's.
                let outside = Content::Pieces { size, declared: false, pieces: Box::default() };
                (outside, Some(verity.finish()))
            }
        })
    }
}

fn metadata(path: &Path, found: &fs::Metadata) -> Result<Metadata, InputError> {
    let xattrs = xattrs(path).map_err(|error| unreadable(path)(error.into()))?;
    Ok(Metadata {
        mode: (found.mode() & 0o7777) as u16,
        uid: found.uid(),
        gid: found.gid(),
        mtime: Time { seconds: found.mtime(), nanoseconds: found.mtime_nsec() as u32 },
        xattrs: (!xattrs.is_empty()).then(|| Box::new(xattrs)),
    })
}

/// All attributes that the kernel shows.
fn xattrs(path: &Path) -> Result<Xattrs, Errno> {
    // As long as the kernel lets a list, and a value, be.
    let mut buffer = vec![0; 65_536];
    let length = match rustix::fs::llistxattr(path, &mut buffer[..]) {
        Err(Errno::OPNOTSUPP) => return Ok(Xattrs::new()),
        length => length?,
    };
    let names: Vec<Vec<u8>> =
        buffer[..length].split(|&b| b == 0).filter(|name| !name.is_empty()).map(Vec::from).collect();
    let mut found = Xattrs::new();
    for name in names {
        match rustix::fs::lgetxattr(path, &*name, &mut buffer[..]) {
            // It is gone since.
            Err(Errno::NODATA) => {}
            length => {
                found.insert(name.into(), buffer[..length?].into());
            }
        }
    }
    Ok(found)
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> InputError {
    let path = path.to_owned();
    move |source| InputError::Io { path, source }
}
