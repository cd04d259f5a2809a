//! Why there is no package.

use std::io;
use std::path::PathBuf;

use layer::write::ustar::Unfit;
use tree::{Lost, escape};

use super::missing::Missing;
use super::{LISTED, PACKAGE_MAX};

/// Why there is no package.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// Files that the format cannot hold.
    #[error("{count} file{} do{} not fit into the package", if *count == 1 { "" } else { "s" }, if *count == 1 { "es" } else { "" })]
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
    /// A file lies in something that is a file, too.
    #[error("{} cannot be in the package: what it lies in is a file there", escape(.0))]
    Inside(Vec<u8>),
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
    /// Nothing says what the image is to run.
    #[error("the image names no command: --keep says what is to be in the package")]
    NoCommand,
    /// The image's command is not in it.
    #[error("the image's command {} is not in the image", escape(.0.as_bytes()))]
    Command(String),
    /// What is to be kept is not there.
    #[error("--keep {}: {lost}", escape(path))]
    Keep {
        /// Its path.
        path: Vec<u8>,
        /// What is missing.
        lost: Lost,
    },
    /// What is to be kept cannot be in a package.
    #[error("--keep {}: it is neither file nor directory", escape(.0))]
    Special(Vec<u8>),
    /// A program of this machine, or a library, cannot be read.
    #[error("cannot pack {}", path.display())]
    Host {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// This machine's programs are no guest's.
    #[error("programs of this machine can be packed on Linux alone")]
    NotLinux,
    /// Programs need what is not there.
    #[error("{} needed file{} missing", .0.len(), if .0.len() == 1 { " is" } else { "s are" })]
    Missing(Vec<Missing>),
    /// A program that is to be left as it is is not there.
    #[error("--no-rewrite {}: {lost}", escape(path))]
    Left {
        /// Its path.
        path: Vec<u8>,
        /// What is missing.
        lost: Lost,
    },
}

impl PackError {
    /// What the error is about, a line each, where it is about much.
    pub fn details(&self) -> Vec<String> {
        let (mut lines, count): (Vec<String>, usize) = match self {
            PackError::Unfit { files, count } => {
                let lines = files.iter().map(|(path, unfit)| format!("{}: {unfit}", escape(path)));
                (lines.collect(), *count as usize)
            }
            PackError::Missing(missing) => {
                (missing.iter().take(LISTED).map(Missing::to_string).collect(), missing.len())
            }
            _ => return Vec::new(),
        };
        if count > lines.len() {
            lines.push(format!("and {} more", count - lines.len()));
        }
        lines
    }
}
