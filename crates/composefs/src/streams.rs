//! Names: symlinks to objects, and symlinks to those. Each is replaced at once, or not.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use erofs::composefs::Object;
use hash::FileDigest;

use crate::names::object_path;
use crate::splitstream::Part;
use crate::{Error, Repository, Splitstream, StreamName, Tag};

impl Repository {
    /// The object that a stream's name stands for.
    pub fn stream(&self, name: &StreamName) -> Result<FileDigest, Error> {
        let missing = || Error::Missing { what: "stream", name: name.to_string() };
        self.linked(&Path::new("streams").join(name.to_string()))?.ok_or_else(missing)
    }

    /// Reads a stream.
    pub fn open_stream(&self, digest: &FileDigest) -> Result<Splitstream, Error> {
        let bytes = self.read_object(digest)?;
        let stream = Splitstream::parse(&bytes);
        stream.map_err(|source| Error::Stream { name: digest.hex(), source })
    }

    /// Writes out all bytes that a stream stands for. Whether they are the right ones is for the caller to check: he
    /// knows their digest.
    pub fn cat(&self, digest: &FileDigest, out: &mut dyn Write) -> Result<(), Error> {
        let stream = self.open_stream(digest)?;
        let malformed = |source| Error::Stream { name: digest.hex(), source };
        let mut parts = stream.parts().map_err(malformed)?;
        let mut buffer = vec![0; 1 << 20];
        let write = |error| Error::io("write what stands in", &self.root.join(object_path(digest)))(error);
        while let Some(part) = parts.step().map_err(malformed)? {
            match part {
                Part::Inline(bytes) => out.write_all(bytes).map_err(write)?,
                Part::Object(object) => {
                    let mut file = self.open_object(&object)?;
                    loop {
                        let path = self.root.join(object_path(&object));
                        match file.read(&mut buffer) {
                            Ok(0) => break,
                            Ok(count) => out.write_all(&buffer[..count]).map_err(write)?,
                            Err(error) if error.kind() == ErrorKind::Interrupted => {}
                            Err(error) => return Err(Error::io("read", &path)(error)),
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Lets a name stand for a stream that is on the disk.
    pub(crate) fn name_stream(&self, name: &StreamName, digest: &FileDigest) -> Result<(), Error> {
        self.link(&Path::new("streams").join(name.to_string()), &Path::new("..").join(object_path(digest)))
    }

    /// Lists an image among the others.
    pub(crate) fn name_image(&self, digest: &FileDigest) -> Result<(), Error> {
        self.link(&Path::new("images").join(digest.hex()), &Path::new("..").join(object_path(digest)))
    }

    /// Lets a tag mean a manifest.
    pub fn tag(&self, tag: &Tag, manifest: &StreamName) -> Result<(), Error> {
        self.stream(manifest)?;
        self.link(&tag_path(tag), &Path::new("../..").join(manifest.to_string()))
    }

    /// Takes a tag away.
    pub fn untag(&self, tag: &Tag) -> Result<(), Error> {
        let path = self.root.join(tag_path(tag));
        match fs::remove_file(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(Error::Missing { what: "tag", name: tag.to_string() })
            }
            removed => removed.map_err(Error::io("remove", &path)),
        }
    }

    /// All tags in their order, with the manifests that they mean.
    pub fn tags(&self) -> Result<Vec<(Tag, StreamName)>, Error> {
        let mut tags = Vec::new();
        for entry in crate::open::list(&self.root.join("streams/refs/oci"))? {
            let target = fs::read_link(entry.path()).ok();
            let name = target.as_deref().and_then(Path::file_name).and_then(|name| name.to_str());
            let tag = entry.file_name().to_str().and_then(Tag::from_file_name);
            tags.extend(tag.zip(name.and_then(StreamName::parse)));
        }
        tags.sort();
        Ok(tags)
    }

    /// The manifest that a tag means.
    pub fn resolve(&self, tag: &Tag) -> Result<StreamName, Error> {
        let missing = || Error::Missing { what: "tag", name: tag.to_string() };
        self.tags()?.into_iter().find(|(known, _)| known == tag).map(|(_, name)| name).ok_or_else(missing)
    }

    /// The object that the symlink `below` leads to; `None` if it is not there.
    pub(crate) fn linked(&self, below: &Path) -> Result<Option<FileDigest>, Error> {
        let path = self.root.join(below);
        let target = match fs::read_link(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            target => target.map_err(Error::io("read", &path))?,
        };
        Ok(linked_object(&target).filter(|digest| digest.algorithm() == self.meta().algorithm))
    }

    /// Lets `below` be a symlink, in place of what is there.
    fn link(&self, below: &Path, target: &Path) -> Result<(), Error> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let path = self.root.join(below);
        if fs::read_link(&path).is_ok_and(|found| found == target) {
            return Ok(());
        }
        let parent = below.parent().expect("names lie in directories");
        self.create_directory(parent)?;
        // Where nothing is to be replaced, a symlink is there at once.
        match host::symlink(target, &path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => return made.map_err(Error::io("make", &path)),
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // Not among the tags, for whose names a crash would otherwise make another.
        let top = below.components().next().expect("names lie in directories");
        let beside = self.root.join(top).join(format!(".tmp-link-{}-{number}", std::process::id()));
        host::symlink(target, &beside).map_err(Error::io("make", &beside))?;
        let renamed = fs::rename(&beside, &path);
        if renamed.is_err() {
            let _ = fs::remove_file(&beside);
        }
        renamed.map_err(Error::io("write", &path))
    }
}

fn tag_path(tag: &Tag) -> PathBuf {
    ["streams/refs/oci", &tag.file_name()].iter().collect()
}

/// The object that a symlink's text leads to: its last two components.
pub(crate) fn linked_object(target: &Path) -> Option<FileDigest> {
    let mut last = target.components().rev();
    let (rest, first) = (last.next()?, last.next()?);
    let path = [first.as_os_str().as_encoded_bytes(), b"/", rest.as_os_str().as_encoded_bytes()].concat();
    Object::parse_path(&path)
}
