//! Packing an image for LiteBox: all files as a plain tarball, in which links are what they lead to and programs are
//! rewritten. `docs/formats/litebox.md` has the format.
//!
//! ```text
//! Tree ─▶ files, by every path ─┬─▶ what fits into ustar, all that does not being named
//!                               └─▶ programs, each read once ─▶ patches ─▶ tarball
//! ```

mod include;
mod programs;

use std::io;
use std::path::{Path, PathBuf};

use hash::Digest;
use layer::write::ustar::{self, Unfit};
use oci::Image;
use store::Store;
use tree::{Content, Dropped, Kind, Lost, MATERIALISED_MAX, NodeId, Notes, Tree, escape};

use crate::arrivals::Arrivals;
use crate::build::{Merged, merge};
use crate::error::Error;
use crate::event::Report;
use crate::layers::{self, Contents};
use crate::output::{FileOutput, copying};
use crate::publish::{self, Unpublished};
use crate::spool::Spool;

pub use include::Include;
use programs::Programs;
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
    /// Programs of the image that are left as they are.
    pub left: Vec<tree::Path>,
    /// Whether programs that Bun packaged are left as they are, too, instead of being an error.
    pub allow_bun: bool,
}

/// What became of an image.
#[derive(Debug)]
pub struct Packed {
    /// The image.
    pub manifest: Digest,
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
    /// Names that became no file.
    pub dropped: Dropped,
    /// Lines of the environment that no shell can export.
    pub not_exported: Vec<String>,
    /// What was noticed.
    pub notes: Notes,
}

/// Why there is no package.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// Files that the format cannot hold.
    #[error("{count} file{} do{} not fit into the package{}", if *count == 1 { "" } else { "s" }, if *count == 1 { "es" } else { "" }, listed(files))]
    Unfit {
        /// Some of them, with the reason.
        files: Vec<(Vec<u8>, Unfit)>,
        /// How many there are.
        count: u64,
    },
    /// Links stand for more files than anybody wants.
    #[error(transparent)]
    Endless(#[from] tree::Endless),
    /// Links stand for more bytes than anybody wants.
    #[error("the files that links stand for have more bytes than the limit of {PACKAGE_MAX}")]
    Large,
    /// Two files have one name.
    #[error("{} is in the package twice", escape(.0))]
    Twice(Vec<u8>),
    /// A program cannot be used.
    #[error("{}: {fault}", escape(path))]
    Program {
        /// Where it is in the package.
        path: Vec<u8>,
        /// What is wrong with it.
        fault: elf::Error,
    },
    /// A file of the host cannot be added.
    #[error("cannot include {}", path.display())]
    Include {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// A program that is to be left as it is is not there.
    #[error("--no-rewrite {}: {lost}", escape(path))]
    Left {
        /// Its path.
        path: Vec<u8>,
        /// What is missing.
        lost: Lost,
    },
}

fn listed(files: &[(Vec<u8>, Unfit)]) -> String {
    files.iter().map(|(path, unfit)| format!("\n  {}: {unfit}", escape(path))).collect()
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
    let added = [
        (CONFIG.to_vec(), 0o644, store.document(&image.manifest.config)?),
        (SCRIPT.to_vec(), 0o755, execution.script().into_bytes()),
    ];
    let threads = options.layers.threads();
    let surveyed = survey(&tree, &spool)?;
    let programs = Programs::rewrite(&tree, &spool, &surveyed.programs, options, threads)?;
    let mut unrewritten = programs.unrewritten.clone();
    let mut added = Vec::from(added);
    for include in includes {
        unrewritten.extend(include.unrewritten);
        added.push(include.file);
    }
    check_names(&tree, &added)?;
    let mut package = Package { tree: &tree, spool: &spool, programs: &programs, files: 0 };

    let output = Unpublished::create(path, 0).map_err(fail)?;
    let bytes = copying(&output.file, &spool, None, |copier| {
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
    Ok(Packed {
        manifest: image.descriptor.digest,
        files,
        bytes,
        architecture: image.config.platform.architecture.clone(),
        rewritten: programs.rewritten,
        unrewritten,
        dropped: surveyed.dropped,
        not_exported: execution.not_exported().map(str::to_owned).collect(),
        notes,
    })
}

/// A file that is not in the image: path, mode, bytes.
type Added = (Vec<u8>, u16, Vec<u8>);

/// What a first look at the files has shown.
struct Surveyed {
    /// What looks like a program, by one of its paths.
    programs: Vec<(Vec<u8>, NodeId)>,
    dropped: Dropped,
    /// Bytes of all files.
    bytes: u64,
}

/// Looks at all files, and refuses what does not fit, all at once.
fn survey(tree: &Tree, spool: &Spool) -> Result<Surveyed, Error> {
    let mut surveyed = Surveyed { programs: Vec::new(), dropped: Dropped::default(), bytes: 0 };
    let mut seen = vec![false; tree.table_length()];
    let (mut unfit, mut count) = (Vec::new(), 0);
    let mut files = tree.files(MATERIALISED_MAX);
    while let Some((path, node)) = files.step().map_err(PackError::from)? {
        let Kind::File(content) = &tree.node(node).kind else { continue };
        surveyed.bytes = surveyed.bytes.saturating_add(content.size());
        if surveyed.bytes > PACKAGE_MAX {
            return Err(PackError::Large.into());
        }
        if let Err(why) = ustar::header(path, 0, content.size()) {
            count += 1;
            if unfit.len() < LISTED {
                unfit.push((path.to_vec(), why));
            }
        }
        if !std::mem::replace(&mut seen[node.index()], true) && programs::is_one(content, spool)? {
            surveyed.programs.push((path.to_vec(), node));
        }
    }
    surveyed.dropped = files.dropped();
    if count > 0 { Err(PackError::Unfit { files: unfit, count }.into()) } else { Ok(surveyed) }
}

/// Refuses names that are there already, which the runner would fall over.
fn check_names(tree: &Tree, added: &[Added]) -> Result<(), PackError> {
    let mut names: Vec<&[u8]> = added.iter().map(|(path, ..)| &path[..]).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(PackError::Twice(twice[0].to_vec()));
    }
    let unfit: Vec<_> = added
        .iter()
        .filter_map(|(path, mode, bytes)| {
            ustar::header(path, *mode, bytes.len() as u64).err().map(|why| (path.clone(), why))
        })
        .collect();
    if !unfit.is_empty() {
        return Err(PackError::Unfit { count: unfit.len() as u64, files: unfit });
    }
    let mut files = tree.files(MATERIALISED_MAX);
    while let Some((path, _)) = files.step()? {
        if names.binary_search(&path).is_ok() {
            return Err(PackError::Twice(path.to_vec()));
        }
    }
    Ok(())
}

/// A package while it is written.
struct Package<'a> {
    tree: &'a Tree,
    spool: &'a Spool,
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
        let mut files = self.tree.files(MATERIALISED_MAX);
        while let Some((path, node)) = files.step().map_err(PackError::from)? {
            let found = self.tree.node(node);
            let Kind::File(content) = &found.kind else { continue };
            let mode = found.metadata.mode;
            self.files += 1;
            match self.programs.patch(node) {
                None => {
                    let header = header(path, mode, content.size())?;
                    writer.content(&header, content).map_err(Error::Archive)?;
                }
                Some(patch) => {
                    let mut bytes = whole(self.spool, content)?;
                    patch.apply(&mut bytes);
                    let header = header(path, mode, bytes.len() as u64)?;
                    writer.bytes(&header, &bytes).map_err(Error::Archive)?;
                }
            }
        }
        for (path, mode, bytes) in added {
            self.files += 1;
            writer.bytes(&header(path, *mode, bytes.len() as u64)?, bytes).map_err(Error::Archive)?;
        }
        writer.finish().map_err(Error::Archive)
    }
}

/// All bytes of a file, which is small enough.
fn whole(spool: &Spool, content: &Content) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![0; content.size() as usize];
    spool.read_content(content, 0, &mut bytes).map_err(Error::Spool)?;
    Ok(bytes)
}
