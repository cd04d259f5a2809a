//! The programs of a package: each is rewritten once, however many paths lead to it, by all processors.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use elf::{Obstacle, Outcome, Patch};
use hash::Digest;
use tree::{Content, Kind, NodeId, Tree};

use super::{Options, PackError, read_start, whole};
use crate::error::Error;
use crate::in_order::in_order;
use crate::spool::Spool;

/// Most bytes of a program that is rewritten: it is in memory as a whole, with some times as much for what is known of
/// its code. The largest browsers have half of that.
pub const PROGRAM_MAX: u64 = 512 << 20;

/// Larger programs than this, in bytes, are rewritten one at a time.
const LARGE: u64 = 64 << 20;

/// A program that is left as it is although it calls the kernel by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unrewritten {
    /// One of its paths.
    pub path: Vec<u8>,
    /// Why.
    pub why: Why,
}

/// Why a program is left as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// Some places are in the way.
    Obstacles {
        /// They are, at most a thousand.
        obstacles: Vec<Obstacle>,
        /// How many there are.
        count: usize,
    },
    /// Bun packaged it.
    Bun,
    /// It has more than [`PROGRAM_MAX`] bytes.
    Large,
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Why::Obstacles { obstacles, count } => match obstacles.first() {
                Some(first) if *count > 1 => write!(f, "{first}, and {} more", count - 1),
                Some(first) => write!(f, "{first}"),
                None => f.write_str("no reason is known"),
            },
            Why::Bun => f.write_str("packaged by Bun"),
            Why::Large => write!(f, "more than {PROGRAM_MAX} bytes"),
        }
    }
}

/// What became of the programs.
pub(super) struct Programs {
    patches: HashMap<NodeId, Arc<Patch>>,
    pub(super) rewritten: u64,
    pub(super) unrewritten: Vec<Unrewritten>,
}

/// What became of one.
#[derive(Clone)]
enum Done {
    Patched(Arc<Patch>),
    Kept,
    Left(Why),
}

impl Programs {
    /// Rewrites what looks like a program, in the order of paths.
    pub(super) fn rewrite(
        tree: &Tree,
        spool: &Spool,
        programs: &[(Vec<u8>, NodeId)],
        options: &Options,
        threads: usize,
    ) -> Result<Programs, Error> {
        let left = left(tree, options)?;
        let wanted: Vec<&(Vec<u8>, NodeId)> =
            programs.iter().filter(|(_, node)| !left.contains(node)).collect();
        let known: Mutex<HashMap<Digest, Done>> = Mutex::default();
        let large = Mutex::new(());
        let mut found = Programs { patches: HashMap::new(), rewritten: 0, unrewritten: Vec::new() };
        let work = |_: &mut (), job: usize| {
            let (path, node) = wanted[job];
            let Kind::File(content) = &tree.node(*node).kind else { return Ok(Done::Kept) };
            if content.size() > PROGRAM_MAX {
                return Ok(Done::Left(Why::Large));
            }
            let _alone = (content.size() > LARGE).then(|| large.lock());
            let bytes = whole(spool, content)?;
            let digest = Digest::sha256(&bytes);
            if let Some(done) = known.lock().unwrap_or_else(PoisonError::into_inner).get(&digest) {
                return Ok(done.clone());
            }
            let done = outcome(path, &bytes, options.allow_bun)?;
            known.lock().unwrap_or_else(PoisonError::into_inner).insert(digest, done.clone());
            Ok(done)
        };
        in_order(
            wanted.len(),
            threads,
            || (),
            work,
            |job, done: Result<Done, Error>| {
                let (path, node) = wanted[job];
                match done? {
                    Done::Kept => {}
                    Done::Patched(patch) => {
                        found.rewritten += 1;
                        found.patches.insert(*node, patch);
                    }
                    Done::Left(why) => found.unrewritten.push(Unrewritten { path: path.clone(), why }),
                }
                Ok::<_, Error>(())
            },
        )?;
        Ok(found)
    }

    /// What is to be changed in a file.
    pub(super) fn patch(&self, node: NodeId) -> Option<&Patch> {
        self.patches.get(&node).map(|patch| &**patch)
    }
}

/// Whether a file says that it is ELF.
pub(super) fn is_one(content: &Content, spool: &Spool) -> Result<bool, Error> {
    Ok(read_start(spool, content, 4)? == b"\x7fELF")
}

/// Rewrites bytes of a file that is not in the image. `None` if they stay as they are.
pub(super) fn of_host(path: &[u8], bytes: &mut Vec<u8>, allow_bun: bool) -> Result<Option<Why>, PackError> {
    match outcome(path, bytes, allow_bun)? {
        Done::Kept => Ok(None),
        Done::Left(why) => Ok(Some(why)),
        Done::Patched(patch) => {
            patch.apply(bytes);
            Ok(None)
        }
    }
}

fn outcome(path: &[u8], bytes: &[u8], allow_bun: bool) -> Result<Done, PackError> {
    match elf::rewrite(bytes) {
        Ok(Outcome::Rewritten(patch)) => Ok(Done::Patched(Arc::new(patch))),
        Ok(Outcome::Kept(_)) => Ok(Done::Kept),
        Ok(Outcome::Unrewritable { obstacles, count }) => Ok(Done::Left(Why::Obstacles { obstacles, count })),
        Err(elf::Error::Bun) if allow_bun => Ok(Done::Left(Why::Bun)),
        // No loader takes it either: what is damaged runs nowhere, and calls nothing.
        Err(elf::Error::Corrupt(_)) => Ok(Done::Kept),
        Err(fault) => Err(PackError::Program { path: path.to_vec(), fault }),
    }
}

/// Programs that are to be left as they are.
fn left(tree: &Tree, options: &Options) -> Result<HashSet<NodeId>, PackError> {
    let find = |path: &tree::Path| {
        tree.find(path).map_err(|lost| PackError::Left { path: path.as_bytes().to_vec(), lost })
    };
    options.left.iter().map(find).collect()
}
