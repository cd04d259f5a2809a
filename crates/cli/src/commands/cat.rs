//! `unlade cat`.

use std::fmt;
use std::io::{self, BufWriter, IsTerminal, Write};

use tree::{Content, Kind, Lost, escape};

use super::Outcome;
use super::shared::{Session, layer_options, path_in_image, trust};
use crate::args::{Cat, Common};
use crate::render;
use crate::terminal::{Screen, unanswered};

/// Prints a file of an image.
pub(crate) fn run(common: &Common, command: &Cat) -> Outcome {
    let path = path_in_image(&command.path)?;
    let session = Session::start(common, &command.image, &command.look.source)?;
    let (options, trust) = (layer_options(&command.look.layers), trust(&command.look));
    let scratch = std::env::temp_dir();
    let found = session.with_image(|image, report| {
        pipeline::look(&session.store, image, &options, trust, report, |view| {
            let tree = &view.merged.tree;
            let content = match tree.find(&path).map(|node| &tree.node(node).kind) {
                Ok(Kind::File(content)) => content.clone(),
                Ok(other) => return Ok(Err(NotPrinted::Other(render::kind(other)))),
                Err(lost) => return Ok(Err(NotPrinted::Lost(lost))),
            };
            let spool = view.spool(&[&content], &scratch)?;
            Ok(Ok((content, spool)))
        })
    })?;
    let (content, spool) = match found {
        Ok(found) => found,
        Err(NotPrinted::Lost(lost)) => return Err(lost.into()),
        Err(NotPrinted::Other(kind)) => {
            return Err(NotAFile { path: escape(path.as_bytes()).to_string(), kind }.into());
        }
    };
    print(&content, &spool).map_err(unanswered)?;
    Ok(())
}

fn print(content: &Content, spool: &pipeline::Spool) -> io::Result<()> {
    let stdout = io::stdout().lock();
    if stdout.is_terminal() {
        let mut screen = Screen::new(BufWriter::new(stdout));
        spool.write_content(content, &mut screen)?;
        return screen.finish();
    }
    let mut out = stdout;
    spool.write_content(content, &mut out)?;
    out.flush()
}

/// Why nothing is printed.
enum NotPrinted {
    Lost(Lost),
    Other(&'static str),
}

/// Something that has no bytes to be printed.
#[derive(Debug)]
struct NotAFile {
    /// From the root, escaped.
    path: String,
    kind: &'static str,
}

impl fmt::Display for NotAFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{} is no file: {}", self.path, self.kind)
    }
}

impl std::error::Error for NotAFile {}
