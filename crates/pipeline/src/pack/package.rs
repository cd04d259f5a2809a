//! Writing a package: what is in it is settled.

use std::collections::BTreeSet;
use std::path::Path;

use layer::write::ustar;
use tree::{Dropped, Kind, NodeId, Tree};

use super::image::Chosen;
use super::programs::{self, Programs, Unrewritten};
use super::{LISTED, Options, PACKAGE_MAX, PackError, include, whole};
use crate::error::Error;
use crate::event::Report;
use crate::output::{FileOutput, copying};
use crate::publish::Unpublished;
use crate::spool::Spool;

/// A file that is not in the tree: path, mode, bytes.
pub(super) type Added = (Vec<u8>, u16, Vec<u8>);

/// What a package is made of.
pub(super) struct Material<'a> {
    pub(super) tree: &'a Tree,
    pub(super) spool: &'a Spool,
    pub(super) chosen: &'a Chosen,
    /// What comes behind it.
    pub(super) added: Vec<Added>,
    /// The same of this machine.
    pub(super) includes: Vec<include::Read>,
}

/// What became of it.
pub(super) struct Written {
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) rewritten: u64,
    pub(super) unrewritten: Vec<Unrewritten>,
    pub(super) dropped: Dropped,
}

/// Rewrites the programs, writes the package and publishes it.
pub(super) fn write(
    material: Material<'_>,
    options: &Options,
    path: &Path,
    report: Report<'_>,
) -> Result<Written, Error> {
    let fail = |cause| Error::Output { path: path.into(), cause };
    let Material { tree, spool, chosen, mut added, includes } = material;
    let surveyed = survey(tree, spool, chosen)?;
    let programs = Programs::rewrite(tree, spool, &surveyed.programs, options, options.layers.threads())?;
    let mut unrewritten = programs.unrewritten.clone();
    for include in includes {
        unrewritten.extend(include.unrewritten);
        added.push(include.file);
    }
    check_names(tree, chosen, &added)?;
    let mut package = Package { tree, spool, chosen, programs: &programs, files: 0 };
    let output = Unpublished::create(path, 0).map_err(fail)?;
    let bytes = copying(&output.file, spool, None, |copier| {
        let mut out = FileOutput::new(&output.file, copier, surveyed.bytes, report);
        let bytes = package.write(&added, &mut out).map_err(|error| match error {
            Error::Archive(layer::Error::Io { source, .. }) => fail(source),
            other => other,
        })?;
        out.finish().map_err(fail)?;
        Ok::<_, Error>(bytes)
    })?;
    output.publish().map_err(fail)?;
    let files = package.files;
    Ok(Written { files, bytes, rewritten: programs.rewritten, unrewritten, dropped: surveyed.dropped })
}

/// What a first look at the files has shown.
struct Surveyed {
    /// What looks like a program, by one of its paths.
    programs: Vec<(Vec<u8>, NodeId)>,
    dropped: Dropped,
    /// Bytes of all files.
    bytes: u64,
}

/// Looks at all files, and refuses what does not fit, all at once.
fn survey(tree: &Tree, spool: &Spool, chosen: &Chosen) -> Result<Surveyed, Error> {
    let (mut programs, mut bytes) = (Vec::new(), 0_u64);
    let mut seen = vec![false; tree.table_length()];
    let (mut unfit, mut count) = (Vec::new(), 0);
    let dropped = chosen.each(tree, |path, node| {
        let Kind::File(content) = &tree.node(node).kind else { return Ok(()) };
        bytes = bytes.saturating_add(content.size());
        if bytes > PACKAGE_MAX {
            return Err(Error::from(PackError::Large));
        }
        if let Err(why) = ustar::header(path, 0, content.size()) {
            count += 1;
            if unfit.len() < LISTED {
                unfit.push((path.to_vec(), why));
            }
        }
        if !std::mem::replace(&mut seen[node.index()], true) && programs::is_one(content, spool)? {
            programs.push((path.to_vec(), node));
        }
        Ok(())
    })?;
    if count > 0 {
        return Err(PackError::Unfit { files: unfit, count }.into());
    }
    Ok(Surveyed { programs, dropped, bytes })
}

/// Refuses names that are there already, which the runner would fall over, and files in files.
fn check_names(tree: &Tree, chosen: &Chosen, added: &[Added]) -> Result<(), Error> {
    let mut names: BTreeSet<&[u8]> = BTreeSet::new();
    for (path, ..) in added {
        if !names.insert(path) {
            return Err(PackError::Twice(path.clone()).into());
        }
    }
    let inside: Vec<(&[u8], &[u8])> =
        names.iter().flat_map(|name| directories(name).map(|directory| (directory, *name))).collect();
    let refuse = |path: &[u8]| Err(PackError::Inside(path.to_vec()).into());
    if let Some((_, name)) = inside.iter().find(|(directory, _)| names.contains(directory)) {
        return refuse(name);
    }
    let unfit: Vec<_> = added
        .iter()
        .filter_map(|(path, mode, bytes)| {
            ustar::header(path, *mode, bytes.len() as u64).err().map(|why| (path.clone(), why))
        })
        .collect();
    if !unfit.is_empty() {
        return Err(PackError::Unfit { count: unfit.len() as u64, files: unfit }.into());
    }
    // In the order of names in directories, what lies in a file comes right behind it.
    let mut before = Vec::new();
    chosen.each(tree, |path, _| {
        if names.contains(path) {
            return Err(PackError::Twice(path.to_vec()).into());
        }
        if let Some((_, name)) = inside.iter().find(|(directory, _)| *directory == path) {
            return refuse(name);
        }
        if directories(path).any(|directory| names.contains(directory) || *directory == *before) {
            return refuse(path);
        }
        before.clear();
        before.extend_from_slice(path);
        Ok(())
    })?;
    Ok(())
}

/// The directories in which a path lies, but for the root.
fn directories(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| &path[..at])
}

/// A package while it is written.
struct Package<'a> {
    tree: &'a Tree,
    spool: &'a Spool,
    chosen: &'a Chosen,
    programs: &'a Programs,
    files: u64,
}

impl Package<'_> {
    fn write(&mut self, added: &[Added], out: &mut dyn tree::Output) -> Result<u64, Error> {
        let mut writer = ustar::Writer::new(out);
        let header = |path: &[u8], mode, size| {
            let unfit = |why| PackError::Unfit { files: vec![(path.to_vec(), why)], count: 1 };
            ustar::header(path, mode, size).map_err(unfit)
        };
        self.chosen.each(self.tree, |path, node| {
            let found = self.tree.node(node);
            let Kind::File(content) = &found.kind else { return Ok(()) };
            let mode = found.metadata.mode;
            self.files += 1;
            match self.programs.patch(node) {
                None => {
                    let header = header(path, mode, content.size())?;
                    writer.content(&header, content).map_err(Error::Archive)
                }
                Some(patch) => {
                    let mut bytes = whole(self.spool, content)?;
                    patch.apply(&mut bytes);
                    let header = header(path, mode, bytes.len() as u64)?;
                    writer.bytes(&header, &bytes).map_err(Error::Archive)
                }
            }
        })?;
        for (path, mode, bytes) in added {
            self.files += 1;
            writer.bytes(&header(path, *mode, bytes.len() as u64)?, bytes).map_err(Error::Archive)?;
        }
        writer.finish().map_err(Error::Archive)
    }
}
