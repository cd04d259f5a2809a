//! Removing what nobody needs: a plan first, then the deed.
//!
//! What the tags lead to is needed, and what a running process holds (a lease). All the rest goes:
//! blobs, what is known of them, what was built from them, and what killed processes left. Who wants to have room names an age or a size, and
//! then the images go too that were not used for the longest time.
//!
//! The order of the deed lets it be killed at any point: the list of tags is replaced, in one piece and for good,
//! before the first blob goes that a tag led to.

mod room;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use hash::Digest;

use crate::error::Error;
use crate::format::unflat;
use crate::images::list;
use crate::open::{Store, json};
use crate::reach::Documents;
use crate::rootfs::Rootfs;
use room::{Candidate, Room, candidates};

/// How long what has arrived of a blob is kept for whoever goes on with it. Somebody tries again within a day, or
/// not at all.
pub const PART_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// How long the sweep lock is waited for. It is shared for moments, except by who cannot write a lease.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits so long, and no longer.
pub(crate) fn patience() -> impl Fn() -> ControlFlow<()> {
    let start = Instant::now();
    move || if start.elapsed() > PATIENCE { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

/// What the caller decides.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Images that were not used for this long lose their names, and rootfs go.
    pub older_than: Option<Duration>,
    /// Images lose their names and rootfs go, what was not used for the longest time first, until the others need no
    /// more bytes than this.
    pub keep_bytes: Option<u64>,
}

/// What is to be removed.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Images that lose their names.
    pub images: Vec<Eviction>,
    /// Blobs and their sizes.
    pub blobs: Vec<(Digest, u64)>,
    /// Other files of the store.
    pub files: Vec<Leftover>,
    /// Bytes of the blobs and rootfs that stay.
    pub kept_bytes: u64,
    /// How many blobs stay.
    pub kept_blobs: usize,
    /// How many rootfs stay.
    pub kept_rootfs: usize,
}

/// An image that loses its names.
#[derive(Debug, Clone)]
pub struct Eviction {
    /// Its manifest.
    pub digest: Digest,
    /// Its names.
    pub names: Vec<String>,
    /// When it was used last.
    pub used: Option<SystemTime>,
}

/// A file that is of no use.
#[derive(Debug, Clone)]
pub struct Leftover {
    /// Where it is.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: u64,
    /// What it is.
    pub kind: LeftoverKind,
}

/// What a file is that is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftoverKind {
    /// What arrived of a blob that nobody fetches any more.
    Part,
    /// What a killed process was writing.
    Temporary,
    /// What was known of a blob that is gone.
    Known,
    /// A rootfs of an image that is gone, or that was not used for long.
    Rootfs,
}

impl Plan {
    /// Bytes that will be free.
    pub fn freed_bytes(&self) -> u64 {
        self.blobs.iter().map(|(_, size)| size).chain(self.files.iter().map(|file| &file.bytes)).sum()
    }
}

impl Store {
    /// Plans what [`Store::gc`] would remove. Beside running processes it is a guess.
    ///
    /// # Errors
    ///
    /// [`Error::Unreachable`] if a tag cannot be followed: then nobody can say which blobs it needs.
    pub fn plan_gc(&self, options: &Options) -> Result<Plan, Error> {
        let _shared = self.share_sweep_lock();
        plan(self, options, SystemTime::now())
    }

    /// Removes what nobody needs, and says what that was. `waiting` is asked whether to wait on while another
    /// process keeps sweeps away.
    ///
    /// # Errors
    ///
    /// As [`Store::plan_gc`]; [`Error::InUse`] if it is not to wait on. Whatever it is, nothing needed is gone.
    pub fn gc(&self, options: &Options, waiting: &dyn Fn() -> ControlFlow<()>) -> Result<Plan, Error> {
        let _lock = self.lock_sweep(waiting)?;
        let plan = plan(self, options, SystemTime::now())?;
        act(self, &plan)?;
        Ok(plan)
    }
}

fn plan(store: &Store, options: &Options, now: SystemTime) -> Result<Plan, Error> {
    let mut documents = Documents::default();
    let leases = store.leases()?;
    // Whoever has read a manifest will ask for its layers next.
    let mut needed: BTreeSet<Digest> = BTreeSet::new();
    for digest in &leases.held {
        needed.extend(documents.closure(store, digest));
    }
    let blobs: BTreeMap<Digest, u64> = store.blobs()?.into_iter().collect();

    let mut candidates = candidates(store, &mut documents, &leases.held)?;
    let mut rootfs = store.all_rootfs()?;
    let mut plan = Plan::default();
    if let Some(age) = options.older_than {
        let old = |used: Option<SystemTime>| {
            used.is_some_and(|used| now.duration_since(used).is_ok_and(|since| since > age))
        };
        let gone = candidates.extract_if(.., |image| image.may_go && old(image.used)).collect();
        plan.evict(gone, rootfs.extract_if(.., |rootfs| old(rootfs.used)).collect());
    }
    if let Some(bytes_max) = options.keep_bytes {
        let room = Room { blobs: &blobs, needed: &needed };
        let (images, gone) = room.make(bytes_max, &mut candidates, &mut rootfs);
        plan.evict(images, gone);
    }
    needed.extend(candidates.into_iter().flat_map(|candidate| candidate.needs));

    let (kept, swept): (Vec<_>, Vec<_>) = blobs.into_iter().partition(|(digest, _)| needed.contains(digest));
    plan.kept_bytes = kept.iter().map(|(_, size)| size).sum();
    plan.kept_blobs = kept.len();
    plan.blobs = swept;
    let kept: BTreeSet<Digest> = kept.into_iter().map(|(digest, _)| digest).collect();
    for directory in [store.paths.diff_ids(), store.paths.outlines(), store.paths.uses()] {
        for entry in list(&directory)? {
            match unflat(&entry.file_name()) {
                Some(blob) if kept.contains(&blob) => {}
                Some(_) => plan.leave(entry.path(), LeftoverKind::Known),
                None => plan.leave(entry.path(), LeftoverKind::Temporary),
            }
        }
    }
    // A rootfs goes with its image.
    let (stay, go): (Vec<_>, Vec<_>) = rootfs.into_iter().partition(|rootfs| kept.contains(&rootfs.manifest));
    plan.kept_rootfs = stay.len();
    plan.kept_bytes += stay.iter().map(|rootfs| rootfs.bytes).sum::<u64>();
    plan.evict(Vec::new(), go);
    for path in store.rootfs_leftovers()? {
        plan.leave(path, LeftoverKind::Temporary);
    }
    for entry in list(&store.paths.parts())? {
        let held = unflat(&entry.file_name()).is_some_and(|digest| leases.held.contains(&digest));
        let age = entry.metadata().and_then(|found| found.modified()).map(|time| now.duration_since(time));
        let old = age.is_ok_and(|age| age.is_ok_and(|age| age > PART_AGE));
        if old && !held && free_part(&entry.path()).is_some() {
            plan.leave(entry.path(), LeftoverKind::Part);
        }
    }
    for entry in list(&store.paths.own())? {
        if entry.path().extension().is_some_and(|extension| extension == "new") {
            plan.leave(entry.path(), LeftoverKind::Temporary);
        }
    }
    leases.dead.into_iter().for_each(|path| plan.leave(path, LeftoverKind::Temporary));
    Ok(plan)
}

impl Plan {
    fn evict(&mut self, images: Vec<Candidate>, rootfs: Vec<Rootfs>) {
        let evicted =
            images.into_iter().map(|Candidate { digest, names, used, .. }| Eviction { digest, names, used });
        self.images.extend(evicted);
        let removed = rootfs.into_iter();
        self.files.extend(removed.map(|Rootfs { path, bytes, .. }| Leftover {
            path,
            bytes,
            kind: LeftoverKind::Rootfs,
        }));
    }

    fn leave(&mut self, path: PathBuf, kind: LeftoverKind) {
        // A directory is nothing that this program makes there.
        if let Ok(found) = fs::symlink_metadata(&path)
            && !found.is_dir()
        {
            self.files.push(Leftover { path, bytes: found.len(), kind });
        }
    }
}

fn act(store: &Store, plan: &Plan) -> Result<(), Error> {
    // Also whoever replaces the list of tags has a temporary file, and holds this lock.
    let _lock = store.lock_tags()?;
    if !plan.images.is_empty() {
        let gone: BTreeSet<Digest> = plan.images.iter().map(|image| image.digest).collect();
        let mut listing = store.read_index()?;
        listing.remove(|entry| gone.contains(&entry.digest));
        store.replace(&store.paths.index(), &json(&listing))?;
    }
    for (digest, _) in &plan.blobs {
        if let Ok(mut fresh) = store.fresh.lock() {
            fresh.remove(digest);
        }
        remove(&store.paths.blob(digest))?;
    }
    for Leftover { path, kind, .. } in &plan.files {
        // Its lock, while it is removed, keeps away whoever would go on with it.
        let part = (*kind == LeftoverKind::Part).then(|| free_part(path));
        if !matches!(part, Some(None)) {
            remove(path)?;
        }
    }
    Ok(())
}

/// Locks a part if nobody has it.
fn free_part(path: &Path) -> Option<File> {
    let part = File::options().write(true).open(path).ok()?;
    part.try_lock().is_ok().then_some(part)
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        done => done.map_err(Error::io("remove", path)),
    }
}
