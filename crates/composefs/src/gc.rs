//! Removing what no tag needs. A plan comes first, and can be shown instead of being carried out.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use erofs::composefs;
use hash::FileDigest;

use crate::names::object_path;
use crate::open::list;
use crate::streams::linked_object;
use crate::{Error, Repository, Splitstream};

/// What nobody needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Objects with their sizes in bytes.
    pub objects: Vec<(FileDigest, u64)>,
    /// Names that lead to nothing once those are gone, and what crashes left; below the repository.
    pub files: Vec<PathBuf>,
    /// How many objects stay.
    pub kept: u64,
}

impl Plan {
    /// Bytes of the objects that go.
    pub fn bytes(&self) -> u64 {
        self.objects.iter().map(|(_, size)| size).sum()
    }
}

impl Repository {
    /// Finds out what is not needed. Roots are the tags, and whatever else has a name below `streams/refs` or
    /// `images/refs`.
    ///
    /// Fails if something that is needed cannot be read: then it is not known what that needs in turn.
    pub fn plan_gc(&self) -> Result<Plan, Error> {
        let live = self.live()?;
        let mut plan = Plan::default();
        for directory in list(&self.root.join("objects"))? {
            if !directory.path().is_dir() {
                plan.leftover(self, &directory.path());
                continue;
            }
            for entry in list(&directory.path())? {
                let path = entry.path();
                match linked_object(&path) {
                    Some(digest) if live.contains(&digest) => plan.kept += 1,
                    Some(digest) => {
                        let size = entry.metadata().map_err(Error::io("read", &path))?.len();
                        plan.objects.push((digest, size));
                    }
                    None => plan.leftover(self, &path),
                }
            }
        }
        let gone: BTreeSet<FileDigest> = plan.objects.iter().map(|(digest, _)| *digest).collect();
        for directory in ["streams", "images"] {
            for entry in list(&self.root.join(directory))? {
                let Ok(target) = fs::read_link(entry.path()) else { continue };
                let leads_to = linked_object(&target);
                let is_there = |digest: &FileDigest| self.root.join(object_path(digest)).exists();
                if leads_to.is_some_and(|digest| gone.contains(&digest) || !is_there(&digest)) {
                    plan.files.push(Path::new(directory).join(entry.file_name()));
                } else {
                    plan.leftover(self, &entry.path());
                }
            }
        }
        Ok(plan)
    }

    /// Carries a plan out. The repository must have been opened to be swept since before the plan was made.
    pub fn sweep(&self, plan: &Plan) -> Result<(), Error> {
        let names = plan.files.iter().cloned();
        // Names first: none may lead to what is gone.
        for below in names.chain(plan.objects.iter().map(|(digest, _)| object_path(digest))) {
            let path = self.root.join(below);
            match fs::remove_file(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                removed => removed.map_err(Error::io("remove", &path))?,
            }
        }
        Ok(())
    }

    /// All objects that are needed.
    fn live(&self) -> Result<BTreeSet<FileDigest>, Error> {
        let mut live = BTreeSet::new();
        let mut pending = self.roots()?;
        while let Some((digest, name)) = pending.pop() {
            if !live.insert(digest) {
                continue;
            }
            let bytes = self.read_object(&digest)?;
            if bytes.starts_with(b"SplitStream") {
                let stream = Splitstream::parse(&bytes);
                let stream = stream.map_err(|source| Error::Stream { name: name.clone(), source })?;
                live.extend(stream.objects);
                pending.extend(stream.references.into_iter().map(|(name, digest)| (digest, name)));
            } else {
                let image = composefs::read(&bytes).map_err(|source| Error::Image { digest, source })?;
                live.extend(image.files.objects.all().map(|object| object.digest));
            }
        }
        Ok(live)
    }

    /// What has a name that keeps it, and the names.
    fn roots(&self) -> Result<Vec<(FileDigest, String)>, Error> {
        let mut roots = Vec::new();
        let mut pending = vec![self.root.join("streams/refs"), self.root.join("images/refs")];
        while let Some(directory) = pending.pop() {
            for entry in list(&directory)? {
                let path = entry.path();
                if entry.file_type().map_err(Error::io("read", &path))?.is_dir() {
                    pending.push(path);
                    continue;
                }
                // A name leads to a name, and that to the object.
                let named = fs::canonicalize(&path).ok().as_deref().and_then(linked_object);
                let name = path.display().to_string();
                match named {
                    Some(digest) => roots.push((digest, name)),
                    // It keeps nothing, and is for fsck to find.
                    None if fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink()) => {
                        return Err(Error::Missing { what: "object behind", name });
                    }
                    None => {}
                }
            }
        }
        Ok(roots)
    }
}

impl Plan {
    /// Notes a file that a crash left, by its name. Nobody else has the repository open while it is swept.
    fn leftover(&mut self, repository: &Repository, path: &Path) {
        if let (true, Ok(below)) = (is_unfinished(path), path.strip_prefix(&repository.root)) {
            self.files.push(below.into());
        }
    }
}

/// Whether a file has the name of one that is being made, or was when somebody was killed: it is no part of the
/// repository yet.
pub(crate) fn is_unfinished(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(".tmp-"))
}
