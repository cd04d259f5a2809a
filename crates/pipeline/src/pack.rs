//! Packing an image for LiteBox: all files as a plain tarball, in which links are what they lead to and programs are
//! rewritten. `docs/formats/litebox.md` has the format.
//!
//! ```text
//! Tree ─▶ files, by every path ─┬─▶ what fits into ustar, all that does not being named
//!                               └─▶ programs, each read once ─▶ patches ─▶ tarball
//! ```

mod closure;
mod command;
mod configuration;
mod error;
#[cfg(target_os = "linux")]
mod host;
mod image;
mod include;
mod missing;
mod package;
mod programs;
mod system;

use std::path::{Path, PathBuf};

use hash::Digest;
use oci::Image;
use store::Store;
use tree::{Content, Dropped, Notes};

use crate::arrivals::Arrivals;
use crate::build::{Merged, merge};
use crate::error::Error;
use crate::event::Report;
use crate::layers::{self, Contents};
use crate::publish::{self, Unpublished};
use crate::spool::Spool;

pub use error::PackError;
use image::Chosen;
pub use include::Include;
pub use missing::Missing;
use package::{Material, Written};
pub use programs::{PROGRAM_MAX, Unrewritten};

/// The image's config, as it came.
const CONFIG: &[u8] = b"litebox/config.json";

/// A script that runs what the config says.
const SCRIPT: &[u8] = b"litebox/config_and_run.sh";

/// Most bytes of a package: as many as one layer may expand to. Links to directories may stand for far more than there is.
pub const PACKAGE_MAX: u64 = 256 << 30;

/// How many files are named that do not fit; the rest is counted.
const LISTED: usize = 100;

/// What the caller decides about a package.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How the layers are read.
    pub layers: layers::Options,
    /// Where contents wait to be written, if not beside the output.
    pub scratch: Option<PathBuf>,
    /// Files of the host that are added.
    pub includes: Vec<Include>,
    /// If only a part of the image is packed, what is in it beside what the image's command needs: files, and
    /// directories with all below them.
    pub closure: Option<Vec<tree::Path>>,
    /// Programs of the image that are left as they are.
    pub left: Vec<tree::Path>,
    /// Whether programs that Bun packaged are left as they are, too, instead of being an error.
    pub allow_bun: bool,
}

/// What became of an image.
#[derive(Debug)]
pub struct Packed {
    /// The image; `None` for programs of this machine.
    pub manifest: Option<Digest>,
    /// Files of the package.
    pub files: u64,
    /// Bytes of the package.
    pub bytes: u64,
    /// What the image's programs are for: those for `amd64` alone are rewritten.
    pub architecture: String,
    /// How many programs and libraries were rewritten, each counted once.
    pub rewritten: u64,
    /// Those that could not be.
    pub unrewritten: Vec<Unrewritten>,
    /// If it is a part of an image, or of this machine: what.
    pub part: Option<Part>,
    /// Names that became no file, of an image that was packed as a whole.
    pub dropped: Dropped,
    /// Lines of the environment that no shell can export.
    pub not_exported: Vec<String>,
    /// What was noticed.
    pub notes: Notes,
}

/// What is in a package that is not a whole image.
#[derive(Debug)]
pub struct Part {
    /// Each file, and the path of what wanted it first; `None` for what was asked for.
    pub files: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// How many files of the image there are besides; `None` if it is no image.
    pub left_out: Option<u64>,
    /// Programs that will not find their libraries by this path, which was a link, but by that one.
    pub astray: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Packs an image that is in the store, and publishes the package.
pub fn pack(
    store: &Store,
    image: &Image,
    options: &Options,
    path: &Path,
    report: Report<'_>,
) -> Result<Packed, Error> {
    let fail = |cause| Error::Output { path: path.into(), cause };
    Unpublished::check(path).map_err(fail)?;
    let includes = include::read(&options.includes, options.allow_bun)?;
    let scratch = options.scratch.clone().unwrap_or_else(|| publish::directory_of(path).into());
    let here = (store, &Arrivals::complete());
    let (Merged { tree, notes }, spool) =
        merge(here, image, &options.layers, Contents::Keep(&scratch), report, |_| {})?;
    // Several paths lead to one file.
    let spool = spool.kept();

    let execution = &image.config.execution;
    let chosen = match &options.closure {
        Some(wanted) => Chosen::Some(image::choose(&tree, &spool, execution, wanted)?),
        None => Chosen::All,
    };
    let added = vec![
        (CONFIG.to_vec(), 0o644, store.document(&image.manifest.config)?),
        (SCRIPT.to_vec(), 0o755, execution.script().into_bytes()),
    ];
    let material = Material { tree: &tree, spool: &spool, chosen: &chosen, added, includes };
    let written = package::write(material, options, path, report)?;
    Ok(Packed {
        manifest: Some(image.descriptor.digest),
        not_exported: execution.not_exported().map(str::to_owned).collect(),
        notes,
        ..packed(written, chosen, &image.config.platform.architecture)
    })
}

/// Packs programs of this machine, with the libraries that they need, and publishes the package.
///
/// # Errors
///
/// `NotLinux` elsewhere than on Linux.
pub fn pack_host(
    programs: &[PathBuf],
    options: &Options,
    path: &Path,
    report: Report<'_>,
) -> Result<Packed, Error> {
    #[cfg(target_os = "linux")]
    return host::pack(programs, options, path, report);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (programs, options, path, report);
        Err(PackError::NotLinux.into())
    }
}

fn packed(written: Written, chosen: Chosen, architecture: &str) -> Packed {
    let Written { files, bytes, rewritten, unrewritten, dropped } = written;
    let part = match chosen {
        Chosen::All => None,
        Chosen::Some(kept) => Some(kept.report()),
    };
    Packed {
        manifest: None,
        files,
        bytes,
        architecture: architecture.into(),
        rewritten,
        unrewritten,
        part,
        dropped,
        not_exported: Vec::new(),
        notes: Notes::default(),
    }
}

/// All bytes of a file, which is small enough.
fn whole(spool: &Spool, content: &Content) -> Result<Vec<u8>, Error> {
    read_start(spool, content, content.size())
}

/// The first bytes of a file, at most so many.
fn read_start(spool: &Spool, content: &Content, most: u64) -> Result<Vec<u8>, Error> {
    let length = content.size().min(most) as usize;
    if let Content::Inline(bytes) = content {
        return Ok(bytes[..length].to_vec());
    }
    let mut bytes = vec![0; length];
    spool.read_content(content, 0, &mut bytes).map_err(Error::Spool)?;
    Ok(bytes)
}
