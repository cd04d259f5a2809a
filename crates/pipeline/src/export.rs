//! A part of an image, written on its own.

use std::io::{self, ErrorKind};
use std::path::Path;

use tree::{Content, Kind, NodeId};

use crate::directory::{self, Unkept};
use crate::error::Error;
use crate::look::View;
use crate::options::{Target, beside};
use crate::output::{FileOutput, StreamOutput, copying, fill};
use crate::publish::Unpublished;
use crate::spool::Spool;
use crate::write::stream_error;

/// What a part of an image is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form<'a> {
    /// A tarball, in which the part has this name; `.` for what is to be the root.
    Tarball(&'a [u8]),
    /// What it is in the image: a file or a directory.
    Plain,
}

/// Writes what lies at and below a node of an image's tree, and publishes it. Layers in which nothing of it lies
/// are not read.
pub fn export(
    view: &View<'_>,
    top: NodeId,
    form: Form<'_>,
    target: &mut Target<'_>,
) -> Result<Unkept, Error> {
    if let (Form::Plain, Target::Path(path)) = (form, &*target) {
        check_plain(view, top, path).map_err(|cause| Error::Output { path: path.to_path_buf(), cause })?;
    }
    let tree = &view.merged.tree;
    let mut contents: Vec<&Content> = Vec::new();
    let mut walk = tree.walk_from(top);
    while let Some(visit) = walk.step() {
        if let Kind::File(content) = &tree.node(visit.node).kind {
            contents.push(content);
        }
    }
    let spool = view.spool(&contents, &beside(target))?;
    match (form, target) {
        (Form::Tarball(name), Target::Stream(stream)) => {
            let mut output = StreamOutput::new(stream, &spool);
            layer::write_from(tree, top, name, &mut output).map_err(stream_error)?;
            output.finish().map_err(Error::Stream)?;
            Ok(Unkept::default())
        }
        (Form::Tarball(name), Target::Path(path)) => write_tar(view, top, name, &spool, path),
        (Form::Plain, Target::Path(path)) => match &tree.node(top).kind {
            Kind::File(content) => write_file(view, top, content, &spool, path),
            _ => write_directory(view, top, &spool, path),
        },
        (Form::Plain, Target::Stream(_)) => Err(Error::Stream(io::Error::new(
            ErrorKind::InvalidInput,
            "only a tarball can be written to a stream",
        ))),
    }
}

/// Refuses what cannot work before any work is done.
fn check_plain(view: &View<'_>, top: NodeId, path: &Path) -> io::Result<()> {
    let invalid = |text| Err(io::Error::new(ErrorKind::InvalidInput, text));
    match &view.merged.tree.node(top).kind {
        Kind::Directory(_) => directory::check_free(path),
        // What a file's metadata would be given to is not ours.
        Kind::File(_) if Unpublished::check(path)? => invalid("the output is a device"),
        Kind::File(_) => Ok(()),
        _ => invalid("what is no file and no directory goes into a tarball only"),
    }
}

fn write_tar(view: &View<'_>, top: NodeId, name: &[u8], spool: &Spool, path: &Path) -> Result<Unkept, Error> {
    let fail = |cause| Error::Output { path: path.into(), cause };
    let output = Unpublished::create(path, 0).map_err(fail)?;
    copying(&output.file, spool, None, |copy| {
        let mut out = FileOutput::new(&output.file, copy, 0, view.report);
        layer::write_from(&view.merged.tree, top, name, &mut out).map_err(|error| match error {
            layer::Error::Io { source, .. } => fail(source),
            other => Error::Archive(other),
        })?;
        out.finish().map_err(fail)
    })?;
    output.publish().map_err(fail)?;
    Ok(Unkept::default())
}

fn write_file(
    view: &View<'_>,
    top: NodeId,
    content: &Content,
    spool: &Spool,
    path: &Path,
) -> Result<Unkept, Error> {
    let mut unkept = Unkept::default();
    let written = Unpublished::create(path, 0).and_then(|output| {
        fill(&output.file, content, spool)?;
        directory::describe(&output.file, view.merged.tree.node(top), &mut unkept)?;
        output.publish()
    });
    written.map_err(|cause| Error::Output { path: path.into(), cause })?;
    Ok(unkept)
}

fn write_directory(view: &View<'_>, top: NodeId, spool: &Spool, path: &Path) -> Result<Unkept, Error> {
    let part = view.merged.tree.subtree(top);
    let written = directory::Unpublished::write(&part, spool, path, view.report)
        .map_err(|fault| Error::Directory { path: path.into(), fault })?;
    let unkept = written.unkept;
    written.publish().map_err(|cause| Error::Output { path: path.into(), cause })?;
    Ok(unkept)
}
