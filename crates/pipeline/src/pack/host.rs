//! Programs of this machine, with the libraries that they need: found by reading files, and never by running anything.
//!
//! Only where the machine is a Linux system are its programs the guest's.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tree::{BLOCK, Content, Directory, Kind, Metadata, NodeId, Span, Tree};

use super::closure::{Closure, Needed, Scripts, closure};
use super::command::Environment;
use super::image::{Chosen, Kept};
use super::package::{self, Material};
use super::system::{Found, System};
use super::{Options, PackError, Packed, include, packed};
use crate::error::Error;
use crate::event::Report;
use crate::publish::{self, Unpublished};
use crate::spool::Spool;

/// How many links may lead to one file, as in Linux.
const LINKS: usize = 40;

/// Packs programs, and publishes the package.
pub(super) fn pack(
    programs: &[PathBuf],
    options: &Options,
    path: &Path,
    report: Report<'_>,
) -> Result<Packed, Error> {
    Unpublished::check(path).map_err(|cause| Error::Output { path: path.into(), cause })?;
    let includes = include::read(&options.includes, options.allow_bun)?;
    let mut machine = Machine { paths: Vec::new(), numbers: BTreeMap::new() };
    let found = closure(&mut machine, &Environment::default(), |search| {
        for program in programs {
            let fail = |cause| Error::from(PackError::Host { path: program.clone(), cause });
            let absolute = std::path::absolute(program).map_err(fail)?;
            check_program(&absolute).map_err(fail)?;
            search.keep(absolute.as_os_str().as_bytes(), None, Scripts::Asked)?;
        }
        Ok(())
    })?;
    let scratch = options.scratch.clone().unwrap_or_else(|| publish::directory_of(path).into());
    let spool = Spool::new(0, true);
    let (tree, kept) = read(found, &machine, &spool, &scratch)?;
    let chosen = Chosen::Some(kept);
    let material = Material { tree: &tree, spool: &spool, chosen: &chosen, added: Vec::new(), includes };
    let written = package::write(material, options, path, report)?;
    Ok(packed(written, chosen, &oci::Platform::host().architecture))
}

/// Refuses what is neither program nor script.
fn check_program(path: &Path) -> io::Result<()> {
    let mut start = Vec::new();
    open(path)?.take(4).read_to_end(&mut start)?;
    if is_program(&start) { Ok(()) } else { Err(io::Error::other("it is neither a program nor a script")) }
}

fn is_program(start: &[u8]) -> bool {
    start.starts_with(b"\x7fELF") || start.starts_with(b"#!")
}

/// Opens a regular file. Others may wait for somebody who writes.
fn open(path: &Path) -> io::Result<File> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    File::open(path)
}

/// Reads files into the spool, and makes a tree of them.
fn read(
    found: Closure<usize>,
    machine: &Machine,
    spool: &Spool,
    scratch: &Path,
) -> Result<(Tree, Kept), Error> {
    let layer = spool.own_layer();
    let mut out = BufWriter::with_capacity(1 << 20, spool.create(layer, scratch).map_err(Error::Spool)?);
    let (mut tree, mut offset) = (Tree::default(), 0);
    let mut nodes: BTreeMap<usize, NodeId> = BTreeMap::new();
    let mut files = BTreeMap::new();
    for (path, needed) in found.files {
        let inside = |_| Error::from(PackError::Inside(path.clone()));
        let (directory, name) = directory(&mut tree, &path).map_err(inside)?;
        let node = match nodes.get(&needed.file) {
            Some(node) => {
                tree.grow_name(directory, name, *node).map_err(inside)?;
                *node
            }
            None => {
                let host = &machine.paths[needed.file];
                let fail = |cause| Error::from(PackError::Host { path: host.clone(), cause });
                let file = open(host).map_err(fail)?;
                let mut start = Vec::new();
                (&file).take(4).read_to_end(&mut start).map_err(fail)?;
                out.write_all(&start).map_err(Error::Spool)?;
                let length = start.len() as u64 + io::copy(&mut &file, &mut out).map_err(fail)?;
                let next = (offset + length).next_multiple_of(BLOCK);
                out.write_all(&vec![0; (next - offset - length) as usize]).map_err(Error::Spool)?;
                // As for other files of this machine: its modes are not asked.
                let mode = if is_program(&start) { 0o755 } else { 0o644 };
                let content = Content::Whole(Span { layer, offset, length });
                offset = next;
                let metadata = Metadata { mode, ..Metadata::implicit() };
                let content = if length == 0 { Content::Empty } else { content };
                tree.grow(directory, name, metadata, Kind::File(content)).map_err(inside)?
            }
        };
        nodes.insert(needed.file, node);
        files.insert(path.clone(), Needed { file: node, wanted_by: needed.wanted_by });
    }
    out.flush().map_err(Error::Spool)?;
    Ok((tree, Kept::new(Closure { files, astray: found.astray }, None)))
}

/// The directory in which a path lies, which is made, and the path's last name.
fn directory<'a>(tree: &mut Tree, path: &'a [u8]) -> Result<(NodeId, &'a [u8]), tree::Misfit> {
    let mut here = Tree::ROOT;
    let mut names = path.split(|byte| *byte == b'/').peekable();
    loop {
        let name = names.next().unwrap_or_default();
        if names.peek().is_none() {
            return Ok((here, name));
        }
        here = match tree.entries(here).and_then(|entries| entries.get(name)) {
            Some(node) => *node,
            None => tree.grow(here, name, Metadata::implicit(), Kind::Directory(Directory::new()))?,
        };
    }
}

/// This machine as a system in which programs are looked for.
struct Machine {
    /// Files, by number: paths without links.
    paths: Vec<PathBuf>,
    numbers: BTreeMap<PathBuf, usize>,
}

impl System for Machine {
    type File = usize;

    fn find(&mut self, path: &[u8]) -> Result<Option<Found<usize>>, Error> {
        let path = Path::new(OsStr::from_bytes(path));
        // What cannot be looked at is not there for a loader either.
        let Some(found) = fs::metadata(path).ok().filter(fs::Metadata::is_file) else { return Ok(None) };
        let Ok(real) = fs::canonicalize(path) else { return Ok(None) };
        let mut names = links(path).unwrap_or_default();
        names.push(name(&real));
        let next = self.paths.len();
        let file = *self.numbers.entry(real.clone()).or_insert(next);
        if file == next {
            self.paths.push(real);
        }
        Ok(Some(Found { file, names, is_executable: found.permissions().mode() & 0o111 != 0 }))
    }

    fn read(&mut self, file: usize, most: u64) -> Result<Vec<u8>, Error> {
        let path = &self.paths[file];
        let mut bytes = Vec::new();
        let read = open(path).and_then(|file| file.take(most).read_to_end(&mut bytes));
        match read {
            Ok(_) => Ok(bytes),
            Err(cause) => Err(PackError::Host { path: path.clone(), cause }.into()),
        }
    }

    fn names(&mut self, directory: &[u8]) -> Result<Vec<Box<[u8]>>, Error> {
        let entries = fs::read_dir(OsStr::from_bytes(directory)).into_iter().flatten().flatten();
        let mut names: Vec<Box<[u8]>> = entries.map(|entry| entry.file_name().as_bytes().into()).collect();
        names.sort();
        Ok(names)
    }
}

/// Paths of the links that a path's last name leads through, without others on the way.
fn links(path: &Path) -> io::Result<Vec<Box<[u8]>>> {
    let (mut path, mut found) = (path.to_path_buf(), Vec::new());
    while found.len() < LINKS {
        let (Some(directory), Some(last)) = (path.parent(), path.file_name()) else { break };
        path = fs::canonicalize(directory)?.join(last);
        let Ok(target) = fs::read_link(&path) else { break };
        found.push(name(&path));
        path.pop();
        path.push(target);
    }
    Ok(found)
}

/// A path in a package.
fn name(path: &Path) -> Box<[u8]> {
    path.as_os_str().as_bytes().iter().copied().skip(1).collect()
}
