//! What of an image is in a package: all files, or those that its entrypoint needs and those that are named.

use oci::Execution;
use tree::{Dropped, Endless, Kind, Lost, MATERIALISED_MAX, NodeId, Path, Tree};

use super::closure::{Closure, Needed, Scripts, Search, closure};
use super::command::Environment;
use super::system::{Found, System};
use super::{PackError, Part, SCRIPT, read_start};
use crate::error::Error;
use crate::spool::Spool;

/// The files of a package.
pub(super) enum Chosen {
    /// All of the tree, by every path.
    All,
    /// These.
    Some(Kept),
}

/// Files that are kept out of an image.
pub(super) struct Kept {
    /// In the order of names within each directory.
    files: Vec<(Vec<u8>, NodeId)>,
    /// What wanted each first, in their order; `None` for what was asked for.
    wanted_by: Vec<Option<Vec<u8>>>,
    left_out: Option<u64>,
    astray: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Chosen {
    /// Visits each file, and gives what of the whole tree became no file.
    pub(super) fn each<E: From<Error>>(
        &self,
        tree: &Tree,
        mut visit: impl FnMut(&[u8], NodeId) -> Result<(), E>,
    ) -> Result<Dropped, E> {
        match self {
            Chosen::All => {
                let mut files = tree.files(MATERIALISED_MAX);
                while let Some((path, node)) =
                    files.step().map_err(|end| Error::from(PackError::from(end)))?
                {
                    visit(path, node)?;
                }
                Ok(files.dropped())
            }
            Chosen::Some(kept) => {
                kept.files.iter().try_for_each(|(path, node)| visit(path, *node))?;
                Ok(Dropped::default())
            }
        }
    }
}

impl Kept {
    /// Puts files into their order; of an image with `count` files, if it is one.
    pub(super) fn new(closure: Closure<NodeId>, count: Option<u64>) -> Kept {
        let Closure { files, astray } = closure;
        let left_out = count.map(|count| count.saturating_sub(files.len() as u64));
        let mut sorted: Vec<(Vec<u8>, Needed<NodeId>)> = files.into_iter().collect();
        sorted.sort_by(|(one, _), (other, _)| {
            one.split(|byte| *byte == b'/').cmp(other.split(|byte| *byte == b'/'))
        });
        let (mut files, mut wanted_by) = (Vec::new(), Vec::new());
        for (path, needed) in sorted {
            files.push((path, needed.file));
            wanted_by.push(needed.wanted_by);
        }
        Kept { files, wanted_by, left_out, astray }
    }

    /// What to say of it.
    pub(super) fn report(self) -> Part {
        let paths = self.files.into_iter().map(|(path, _)| path);
        Part { files: paths.zip(self.wanted_by).collect(), left_out: self.left_out, astray: self.astray }
    }
}

/// Chooses what an image's command needs, and what lies at `wanted`.
pub(super) fn choose(
    tree: &Tree,
    spool: &Spool,
    execution: &Execution,
    wanted: &[Path],
) -> Result<Kept, Error> {
    let mut image = Image { tree, spool, steps: MATERIALISED_MAX };
    let environment = Environment::of(execution);
    let command: Vec<&String> = execution.entrypoint.iter().chain(&execution.cmd).collect();
    let (mut directories, mut files) = (Vec::new(), Vec::new());
    for path in wanted {
        let trail = image.follow(path.as_bytes())?;
        let trail = trail.map_err(|lost| PackError::Keep { path: path.as_bytes().to_vec(), lost })?;
        match tree.node(trail.node).kind {
            Kind::Directory(_) => {
                let names = trail.names.iter().map(|name| name.to_vec());
                directories.extend(names.chain([path.as_bytes().to_vec()]));
            }
            Kind::File(_) => files.push([b"/", path.as_bytes()].concat()),
            _ => return Err(PackError::Special(path.as_bytes().to_vec()).into()),
        }
    }
    if command.is_empty() && wanted.is_empty() {
        return Err(PackError::NoCommand.into());
    }
    let mut count = 0;
    let found = closure(&mut image, &environment, |search| {
        // Whoever starts the package's script needs it.
        search.keep(b"/bin/sh", Some(SCRIPT), Scripts::Along)?;
        for (at, word) in command.iter().enumerate() {
            if !keep_word(search, &environment, word.as_bytes())? && at == 0 {
                return Err(PackError::Command(word.to_string()).into());
            }
        }
        for path in &files {
            search.keep(path, None, Scripts::Asked)?;
        }
        Chosen::All.each(tree, |path, node| {
            count += 1;
            let lies_in = |directory: &Vec<u8>| match path.strip_prefix(&**directory) {
                Some(rest) => directory.is_empty() || rest.starts_with(b"/"),
                None => false,
            };
            if !directories.iter().any(lies_in) {
                return Ok(());
            }
            search.insert(path, node, None)?;
            let found =
                Found { is_executable: is_executable(tree, node), names: vec![path.into()], file: node };
            search.needs(path, &found, Scripts::Along)
        })?;
        Ok(())
    })?;
    Ok(Kept::new(found, Some(count)))
}

/// Keeps what a word of a command names: a program, or another file of the working directory or by its whole path.
fn keep_word(
    search: &mut Search<'_, Image<'_>>,
    environment: &Environment,
    word: &[u8],
) -> Result<bool, Error> {
    let path = match environment.program(word, search.system)? {
        Some(path) => path,
        None => environment.absolute(word),
    };
    search.keep(&path, None, Scripts::Asked)
}

/// An image as a system in which programs are looked for.
struct Image<'a> {
    tree: &'a Tree,
    spool: &'a Spool,
    /// How many more names may be looked at.
    steps: u64,
}

impl Image<'_> {
    /// Where a path leads, or why it leads nowhere.
    fn follow(&mut self, path: &[u8]) -> Result<Result<tree::Trail, Lost>, Error> {
        match self.tree.follow(path, &mut self.steps) {
            Err(Lost::Endless) => Err(endless()),
            other => Ok(other),
        }
    }
}

impl System for Image<'_> {
    type File = NodeId;

    fn find(&mut self, path: &[u8]) -> Result<Option<Found<NodeId>>, Error> {
        let Ok(trail) = self.follow(path)? else { return Ok(None) };
        let Kind::File(_) = self.tree.node(trail.node).kind else { return Ok(None) };
        let is_executable = is_executable(self.tree, trail.node);
        Ok(Some(Found { file: trail.node, names: trail.names, is_executable }))
    }

    fn read(&mut self, file: NodeId, most: u64) -> Result<Vec<u8>, Error> {
        match &self.tree.node(file).kind {
            Kind::File(content) => read_start(self.spool, content, most),
            _ => Ok(Vec::new()),
        }
    }

    fn names(&mut self, directory: &[u8]) -> Result<Vec<Box<[u8]>>, Error> {
        let Ok(trail) = self.follow(directory)? else { return Ok(Vec::new()) };
        let Some(entries) = self.tree.entries(trail.node) else { return Ok(Vec::new()) };
        self.steps = self.steps.checked_sub(entries.len() as u64).ok_or_else(endless)?;
        Ok(entries.keys().cloned().collect())
    }
}

fn is_executable(tree: &Tree, node: NodeId) -> bool {
    tree.node(node).metadata.mode & 0o111 != 0
}

fn endless() -> Error {
    PackError::Endless(Endless { limit: MATERIALISED_MAX }).into()
}
