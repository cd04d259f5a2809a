//! Checking a repository: every object, every stream, every image, every name.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use erofs::composefs;
use hash::{Digest, FileDigest};
use serde::Serialize;

use crate::gc::is_unfinished;
use crate::hashing::Hashing;
use crate::open::list;
use crate::splitstream::ContentType;
use crate::streams::linked_object;
use crate::{Error, Repository, Security, StreamName};

/// What a check saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
pub enum Finding {
    /// An object's bytes are others than its name says.
    ObjectDamaged {
        /// Its name.
        object: FileDigest,
        /// The digest of its bytes.
        found: FileDigest,
    },
    /// An object's bytes cannot be read: the disk does not have them any more, or fs-verity does not let them pass.
    ObjectUnreadable {
        /// Its name.
        object: FileDigest,
        /// What the system said.
        what: String,
    },
    /// An object lacks the fs-verity that the repository demands.
    ObjectUnprotected {
        /// Its name.
        object: FileDigest,
    },
    /// Something that no repository has there.
    Stray {
        /// Below the repository.
        path: PathBuf,
    },
    /// A name that leads to nothing.
    Broken {
        /// Below the repository.
        path: PathBuf,
    },
    /// Something refers to an object that is not there.
    Missing {
        /// What refers to it: a stream or an image.
        by: String,
        /// The object.
        object: FileDigest,
    },
    /// A stream that cannot be read, or is not what its name says.
    StreamDamaged {
        /// Its name.
        stream: String,
        /// What is wrong with it.
        what: String,
    },
    /// An image that cannot be read.
    ImageDamaged {
        /// Its name.
        image: String,
        /// What is wrong with it.
        what: String,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::ObjectDamaged { object, found } => {
                write!(f, "object {} is damaged: its digest is {}", object.hex(), found.hex())
            }
            Finding::ObjectUnreadable { object, what } => {
                write!(f, "object {} cannot be read: {what}", object.hex())
            }
            Finding::ObjectUnprotected { object } => {
                write!(f, "object {} has no fs-verity, which the repository demands", object.hex())
            }
            Finding::Stray { path } => write!(f, "{} does not belong here", path.display()),
            Finding::Broken { path } => write!(f, "{} leads to nothing", path.display()),
            Finding::Missing { by, object } => {
                write!(f, "{by} needs object {}, which is not there", object.hex())
            }
            Finding::StreamDamaged { stream, what } => write!(f, "stream {stream} is damaged: {what}"),
            Finding::ImageDamaged { image, what } => write!(f, "image {image} is damaged: {what}"),
        }
    }
}

/// All that a check saw, and how much it looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Findings {
    /// Objects that were read.
    pub objects_checked: u64,
    /// Streams that were read.
    pub streams_checked: u64,
    /// Images that were read.
    pub images_checked: u64,
    /// Tags, and other names that keep something.
    pub names_checked: u64,
    /// What is wrong, in the order in which it was found.
    pub findings: Vec<Finding>,
}

impl Repository {
    /// Checks everything. What is wrong stands in the findings; an error means that it could not look.
    pub fn fsck(&self) -> Result<Findings, Error> {
        let mut check = Check { repository: self, objects: BTreeMap::new(), seen: Findings::default() };
        check.objects()?;
        check.streams()?;
        check.images()?;
        check.names(Path::new("streams/refs"))?;
        check.names(Path::new("images/refs"))?;
        Ok(check.seen)
    }
}

struct Check<'r> {
    repository: &'r Repository,
    /// Those that are there, and whether they are whole.
    objects: BTreeMap<FileDigest, bool>,
    seen: Findings,
}

impl Check<'_> {
    fn found(&mut self, finding: Finding) {
        self.seen.findings.push(finding);
    }

    fn objects(&mut self) -> Result<(), Error> {
        let root = self.repository.root.join("objects");
        for directory in list(&root)? {
            let below = Path::new("objects").join(directory.file_name());
            if is_unfinished(&directory.path()) {
                continue;
            }
            if !directory.path().is_dir() {
                self.found(Finding::Stray { path: below });
                continue;
            }
            for entry in list(&directory.path())? {
                if is_unfinished(&entry.path()) {
                    continue;
                }
                let object = linked_object(&entry.path());
                let ours = object.filter(|object| object.algorithm() == self.repository.meta().algorithm);
                let Some(object) = ours else {
                    self.found(Finding::Stray { path: below.join(entry.file_name()) });
                    continue;
                };
                self.seen.objects_checked += 1;
                let whole = self.object(object)?;
                self.objects.insert(object, whole);
            }
        }
        Ok(())
    }

    /// Checks one object: what the kernel demands of it, where it does, and its bytes. Says whether these are right.
    fn object(&mut self, object: FileDigest) -> Result<bool, Error> {
        let demanded = self.repository.demanded(&object)?;
        if demanded.is_none() && self.repository.security() == Security::Verity {
            self.found(Finding::ObjectUnprotected { object });
        }
        let read = match demanded {
            // The kernel lets nothing else pass, so it is enough to read.
            Some(demanded) => self.repository.read_through(&object).map(|()| demanded),
            None => self.repository.measure(&object),
        };
        let found = match read {
            Err(Error::Io { source, .. }) if is_unreadable(&source) => {
                self.found(Finding::ObjectUnreadable { object, what: source.to_string() });
                return Ok(false);
            }
            read => read?,
        };
        if found != object {
            self.found(Finding::ObjectDamaged { object, found });
        }
        Ok(found == object)
    }

    /// The object that a name leads to, if it is there and whole. Damaged ones were told of.
    fn behind(&mut self, below: &Path) -> Option<FileDigest> {
        let target = fs::read_link(self.repository.root.join(below)).ok();
        match target.as_deref().and_then(linked_object) {
            Some(object) if self.objects.contains_key(&object) => self.objects[&object].then_some(object),
            _ => {
                self.found(Finding::Broken { path: below.into() });
                None
            }
        }
    }

    fn needs(&mut self, by: &str, objects: impl IntoIterator<Item = FileDigest>) {
        for object in objects {
            if !self.objects.contains_key(&object) {
                self.found(Finding::Missing { by: by.into(), object });
            }
        }
    }

    fn streams(&mut self) -> Result<(), Error> {
        for entry in list(&self.repository.root.join("streams"))? {
            let file_name = entry.file_name();
            let below = Path::new("streams").join(&file_name);
            if file_name == "refs" || is_unfinished(&entry.path()) {
                continue;
            }
            let Some(object) = self.behind(&below) else { continue };
            self.seen.streams_checked += 1;
            let name = file_name.to_string_lossy().into_owned();
            if let Err(what) = self.stream(&name, &object)? {
                self.found(Finding::StreamDamaged { stream: name, what });
            }
        }
        Ok(())
    }

    fn stream(&mut self, name: &str, object: &FileDigest) -> Result<Result<(), String>, Error> {
        let stream = match self.repository.open_stream(object) {
            Err(Error::Stream { source, .. }) => return Ok(Err(chain(&source))),
            opened => opened?,
        };
        if stream.algorithm != self.repository.meta().algorithm {
            return Ok(Err("its digests are of another algorithm than the repository's".into()));
        }
        let before = self.seen.findings.len();
        let references = stream.references.iter().map(|(_, digest)| *digest);
        self.needs(&format!("stream {name}"), stream.objects.iter().copied().chain(references));
        let Some(expected) = StreamName::parse(name) else { return Ok(Ok(())) };
        let content_type = match expected {
            StreamName::Manifest(_) => ContentType::Manifest,
            StreamName::Config(_) => ContentType::Config,
            StreamName::Layer(_) => ContentType::Layer,
            StreamName::Blob(_) => ContentType::Blob,
        };
        if stream.content_type != Some(content_type) {
            return Ok(Err("it is of another kind than its name says".into()));
        }
        let is_whole = |object| self.objects.get(object) == Some(&true);
        if self.seen.findings.len() > before || !stream.objects.iter().all(is_whole) {
            // Its bytes are not all there, which was said.
            return Ok(Ok(()));
        }
        let mut hashing = Hashing::new(expected.digest().algorithm(), io::sink());
        match self.repository.cat(object, &mut hashing) {
            Err(Error::Stream { source, .. }) => return Ok(Err(chain(&source))),
            done => done?,
        }
        if hashing.size != stream.size {
            return Ok(Err(format!("it says to stand for {} bytes and has {}", stream.size, hashing.size)));
        }
        let found: Digest = hashing.digest();
        Ok(if found == expected.digest() {
            Ok(())
        } else {
            Err(format!("its bytes have the digest {found}"))
        })
    }

    fn images(&mut self) -> Result<(), Error> {
        for entry in list(&self.repository.root.join("images"))? {
            let file_name = entry.file_name();
            let below = Path::new("images").join(&file_name);
            if file_name == "refs" || is_unfinished(&entry.path()) {
                continue;
            }
            let Some(object) = self.behind(&below) else { continue };
            self.seen.images_checked += 1;
            let name = file_name.to_string_lossy().into_owned();
            let damaged = |what| Finding::ImageDamaged { image: name.clone(), what };
            if name != object.hex() {
                self.found(damaged("its name is another than its digest".into()));
            }
            match composefs::read(&self.repository.read_object(&object)?) {
                Ok(image) => {
                    let objects: Vec<FileDigest> =
                        image.files.objects.all().map(|object| object.digest).collect();
                    self.needs(&format!("image {name}"), objects);
                }
                Err(error) => self.found(damaged(error.to_string())),
            }
        }
        Ok(())
    }

    /// Names of names.
    fn names(&mut self, directory: &Path) -> Result<(), Error> {
        for entry in list(&self.repository.root.join(directory))? {
            let below = directory.join(entry.file_name());
            if entry.path().is_dir() {
                self.names(&below)?;
                continue;
            }
            self.seen.names_checked += 1;
            if !entry.path().exists() {
                self.found(Finding::Broken { path: below });
            }
        }
        Ok(())
    }
}

/// Whether the system says that a file's bytes are lost or wrong.
fn is_unreadable(error: &io::Error) -> bool {
    host::is_unreadable(error)
}

fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}
