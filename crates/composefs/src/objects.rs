//! Objects: files under their fs-verity digests, each written once and never changed.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use hash::{FileDigest, Verity};

use crate::names::object_path;
use crate::{Error, Repository, Security, verity};

/// Contents up to so many bytes wait in memory until it is known whether they are there already.
const MEMORY: usize = 256 << 10;

/// What is believed of an object that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Present {
    /// That it is right, if it has the right length.
    Trusted,
    /// Nothing: it is read, and replaced if its bytes are wrong.
    Checked,
}

/// An object that is being written, and gets its name in the end.
pub struct ObjectWriter<'r> {
    repository: &'r Repository,
    verity: Verity,
    memory: Vec<u8>,
    file: Option<Nameless>,
    size: u64,
}

/// A file that is no object yet.
struct Nameless {
    file: File,
    /// Where the filesystem has no files without names: the name that it has until then.
    beside: Option<PathBuf>,
}

impl Drop for Nameless {
    fn drop(&mut self) {
        if let Some(path) = &self.beside {
            let _ = fs::remove_file(path);
        }
    }
}

impl Repository {
    /// Starts an object.
    pub fn object(&self) -> ObjectWriter<'_> {
        let verity = Verity::new(self.meta().algorithm);
        ObjectWriter { repository: self, verity, memory: Vec::new(), file: None, size: 0 }
    }

    /// Stores bytes as an object, and gives its name.
    pub fn put_object(&self, bytes: &[u8]) -> Result<FileDigest, Error> {
        let digest = FileDigest::of(self.meta().algorithm, bytes);
        // These are few and small, and what cannot be read is of no use: damaged ones are written anew.
        if !self.has_whole_object(&digest, bytes.len() as u64) {
            let mut nameless = self.nameless()?;
            nameless.file.write_all(bytes).map_err(Error::io("write an object in", &self.root))?;
            self.name_object(nameless, &digest)?;
        }
        Ok(digest)
    }

    /// Opens an object. Its bytes are checked by whoever reads them.
    pub fn open_object(&self, digest: &FileDigest) -> Result<File, Error> {
        let path = self.root.join(object_path(digest));
        match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(Error::Missing { what: "object", name: digest.hex() })
            }
            opened => opened.map_err(Error::io("open", &path)),
        }
    }

    /// Reads an object of the program's own making, a stream or an image, and checks that it is the one.
    pub fn read_object(&self, digest: &FileDigest) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let path = self.root.join(object_path(digest));
        self.open_object(digest)?.read_to_end(&mut bytes).map_err(Error::io("read", &path))?;
        let found = FileDigest::of(digest.algorithm(), &bytes);
        if found == *digest { Ok(bytes) } else { Err(Error::Object { expected: *digest, found }) }
    }

    /// The digest that an object's bytes have.
    pub fn measure(&self, digest: &FileDigest) -> Result<FileDigest, Error> {
        let mut verity = Verity::new(digest.algorithm());
        self.each_chunk(digest, |bytes| verity.update(bytes))?;
        Ok(verity.finish())
    }

    /// Reads an object, for what the kernel says to that.
    pub(crate) fn read_through(&self, digest: &FileDigest) -> Result<(), Error> {
        self.each_chunk(digest, |_| ())
    }

    fn each_chunk(&self, digest: &FileDigest, mut with: impl FnMut(&[u8])) -> Result<(), Error> {
        let path = self.root.join(object_path(digest));
        let (mut file, mut buffer) = (self.open_object(digest)?, vec![0; 1 << 20]);
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => with(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("read", &path)(error)),
            }
        }
    }

    /// The digest that the kernel demands of an object; `None` if it demands nothing.
    pub(crate) fn demanded(&self, digest: &FileDigest) -> Result<Option<FileDigest>, Error> {
        let path = self.root.join(object_path(digest));
        verity::measure(&self.open_object(digest)?).map_err(Error::io("measure", &path))
    }

    /// Whether an object of that size is there, as far as that is looked at.
    pub fn has(&self, digest: &FileDigest, size: u64, present: Present) -> bool {
        match present {
            Present::Trusted => self.has_object(digest, size),
            Present::Checked => self.has_whole_object(digest, size),
        }
    }

    /// Whether an object is there, with as many bytes as it should have: what was cut short by a crash is not, and
    /// neither is what lacks the fs-verity that the repository demands.
    fn has_object(&self, digest: &FileDigest, size: u64) -> bool {
        let path = self.root.join(object_path(digest));
        if !fs::symlink_metadata(&path).is_ok_and(|found| found.is_file() && found.len() == size) {
            return false;
        }
        match self.security() {
            Security::Insecure => true,
            Security::Verity => self.demanded(digest).is_ok_and(|found| found == Some(*digest)),
        }
    }

    /// Whether an object is there and all its bytes are right.
    fn has_whole_object(&self, digest: &FileDigest, size: u64) -> bool {
        self.has_object(digest, size) && self.measure(digest).is_ok_and(|found| found == *digest)
    }

    fn nameless(&self) -> Result<Nameless, Error> {
        self.create_directory("objects".as_ref())?;
        let directory = self.root.join("objects");
        match host::nameless(&directory, 0o644).map_err(Error::io("write", &directory))? {
            Some(file) => Ok(Nameless { file, beside: None }),
            None => {
                static NEXT: AtomicU64 = AtomicU64::new(0);
                let number = NEXT.fetch_add(1, Ordering::Relaxed);
                let path = directory.join(format!(".tmp-object-{}-{number}", std::process::id()));
                let file = File::options().read(true).write(true).create_new(true).open(&path);
                let file = file.map_err(Error::io("write", &path))?;
                Ok(Nameless { file, beside: Some(path) })
            }
        }
    }

    /// Gives a finished file its name.
    fn name_object(&self, nameless: Nameless, digest: &FileDigest) -> Result<(), Error> {
        let below = object_path(digest);
        let path = self.root.join(&below);
        let nameless = self.seal(nameless, digest)?;
        let size = nameless.file.metadata().map_err(Error::io("read", &path))?.len();
        let link = || match &nameless.beside {
            Some(beside) => fs::hard_link(beside, &path),
            None => host::link_nameless(&nameless.file, &path),
        };
        let failed = |linked: &io::Result<()>, kind| linked.as_ref().is_err_and(|error| error.kind() == kind);
        let mut linked = link();
        if failed(&linked, ErrorKind::NotFound) {
            self.create_directory(below.parent().expect("an object has a directory"))?;
            linked = link();
        }
        if failed(&linked, ErrorKind::AlreadyExists) && !self.has_whole_object(digest, size) {
            // Something that only looks like the object. Whoever has it open keeps it.
            match fs::remove_file(&path) {
                // Two layers have it, and somebody else was faster.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                removed => removed.map_err(Error::io("replace", &path))?,
            }
            linked = link();
        }
        match linked {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(Error::io("write", &path)(error)),
        }
    }

    /// Enables fs-verity on a finished file, where the filesystem has it.
    fn seal(&self, nameless: Nameless, digest: &FileDigest) -> Result<Nameless, Error> {
        if self.lacks_verity.load(Ordering::Relaxed) {
            return Ok(nameless);
        }
        let failed = |error: io::Error| Error::io("enable fs-verity in", &self.root)(error);
        let read_only = match &nameless.beside {
            Some(beside) => File::open(beside),
            None => host::reopen(&nameless.file),
        };
        let read_only = read_only.map_err(failed)?;
        // Nobody may have it open for writing: the descriptor that wrote it is closed here.
        let nameless = nameless.with(read_only);
        if verity::enable(&nameless.file, digest.algorithm()).map_err(failed)? {
            let found = verity::measure(&nameless.file).map_err(failed)?;
            return match found.filter(|found| found != digest) {
                Some(found) => Err(Error::Object { expected: *digest, found }),
                None => Ok(nameless),
            };
        }
        if self.security() == Security::Verity {
            return Err(Error::NoVerity(self.root.clone()));
        }
        self.lacks_verity.store(true, Ordering::Relaxed);
        Ok(nameless)
    }
}

impl Nameless {
    /// The same file, by another descriptor.
    fn with(mut self, file: File) -> Nameless {
        self.file = file;
        self
    }
}

impl ObjectWriter<'_> {
    /// Bytes so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Stores the object, unless it is there, and gives its name.
    pub fn finish(self, present: Present) -> Result<FileDigest, Error> {
        let digest = self.verity.finish();
        if self.repository.has(&digest, self.size, present) {
            return Ok(digest);
        }
        let mut nameless = match self.file {
            Some(nameless) => nameless,
            None => self.repository.nameless()?,
        };
        nameless
            .file
            .write_all(&self.memory)
            .map_err(Error::io("write an object in", &self.repository.root))?;
        self.repository.name_object(nameless, &digest)?;
        Ok(digest)
    }
}

impl Write for ObjectWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.memory.len() + bytes.len() > MEMORY {
            if self.file.is_none() {
                self.file = Some(self.repository.nameless().map_err(io::Error::other)?);
            }
            if let Some(nameless) = &mut self.file {
                nameless.file.write_all(&self.memory)?;
                self.memory.clear();
            }
        }
        self.memory.extend_from_slice(bytes);
        self.verity.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
