//! `unlade export`.

use std::io::{self, IsTerminal};

use pipeline::Target;
use pipeline::export::{Form, export};
use tree::{Kind, Lost};

use super::Outcome;
use super::shared::{Session, layer_options, path_in_image, trust, unkept};
use crate::args::{Common, Export, ExportKind};
use crate::exit::Usage;

/// Writes a part of an image.
pub(crate) fn run(common: &Common, command: &Export) -> Outcome {
    let streamed = command.output.as_os_str() == "-";
    if streamed && command.format == Some(ExportKind::Plain) {
        return Err(Usage("only a tarball goes to standard output: `unlade cat` prints a file".into()).into());
    }
    if streamed && io::stdout().is_terminal() {
        return Err(Usage("standard output is a terminal: redirect it, or name a file".into()).into());
    }
    let path = path_in_image(&command.path)?;
    let session = Session::start(common, &command.image, &command.look.source)?;
    let (options, trust) = (layer_options(&command.look.layers), trust(&command.look));
    let mut stdout = io::stdout().lock();
    let done = session.with_image(|image, report| {
        pipeline::look(&session.store, image, &options, trust, report, |view| {
            let tree = &view.merged.tree;
            let top = match tree.find_name(&path) {
                Ok(top) => top,
                Err(lost) => return Ok(Err(Refused::Lost(lost))),
            };
            let is_file = matches!(tree.node(top).kind, Kind::File(_));
            let Some(kind) = kind(command, streamed, is_file) else { return Ok(Err(Refused::Unclear)) };
            // The last name is as it was typed: nothing is followed there.
            let form = match kind {
                ExportKind::Tar => Form::Tarball(path.split().map_or(b".", |(_, name)| name)),
                ExportKind::Plain => Form::Plain,
            };
            let mut target =
                if streamed { Target::Stream(&mut stdout) } else { Target::Path(&command.output) };
            export(view, top, form, &mut target).map(Ok)
        })
    })?;
    drop(stdout);
    match done {
        Ok(done) => unkept(&done).iter().for_each(|line| session.say(line)),
        Err(Refused::Lost(lost)) => return Err(lost.into()),
        Err(Refused::Unclear) => {
            let text = "a file whose name ends in .tar to another such: --format plain writes the file itself, \
                        --format tar a tarball with the file in it";
            return Err(Usage(text.into()).into());
        }
    }
    Ok(())
}

/// Why nothing was written.
enum Refused {
    Lost(Lost),
    Unclear,
}

/// What is to be written; nothing if that is not clear.
fn kind(command: &Export, streamed: bool, is_file: bool) -> Option<ExportKind> {
    let is_tar = command.output.extension().is_some_and(|extension| extension == "tar");
    match command.format {
        Some(kind) => Some(kind),
        None if streamed => Some(ExportKind::Tar),
        None if is_tar && is_file && command.path.as_encoded_bytes().ends_with(b".tar") => None,
        None if is_tar => Some(ExportKind::Tar),
        None => Some(ExportKind::Plain),
    }
}
