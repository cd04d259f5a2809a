//! `unlade ls`, `cat`, `diff` and `export`: what looks at the files of an image.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum, ValueHint};

use super::{IMAGE_HELP, LayerArgs, SourceArgs};

/// How an image is looked at.
#[derive(Debug, ClapArgs)]
pub(crate) struct LookArgs {
    /// Read and verify all layers, instead of believing what the store remembers of an earlier read
    #[arg(long)]
    pub(crate) verify: bool,

    #[command(flatten)]
    pub(crate) source: SourceArgs,

    #[command(flatten)]
    pub(crate) layers: LayerArgs,
}

/// List the files of an image, merged, with modes and owners
///
/// Names are shown escaped: a backslash is doubled, and \n, \t, \xNN stand for what a terminal should not
/// see, in JSON as well, so that every name is text and can be read back.
///
/// Once the layers of an image have been read, the store knows what is in them, and they are neither read nor
/// fetched again for a listing.
#[derive(Debug, ClapArgs)]
#[command(after_help = format!("{IMAGE_HELP}\n\nExamples:\n  unlade ls debian:12 etc/apt\n  unlade ls oci:./layout --json | jq -r 'select(.uid != 0) | .path'"))]
pub(crate) struct Ls {
    /// The image
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,

    /// Only what lies at or below this path; symlinks are not followed
    #[arg(value_name = "PATH")]
    pub(crate) path: Option<OsString>,

    /// One JSON object a line
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) look: LookArgs,
}

/// Print a file of an image
///
/// Symlinks are followed inside the image. Only the layer that holds the file is read, as far as the file. Its blob
/// is verified as a whole before the first byte is printed.
///
/// On a terminal what a terminal would obey is escaped; a file or a pipe gets the bytes as they are.
#[derive(Debug, ClapArgs)]
#[command(after_help = format!("{IMAGE_HELP}\n\nExamples:\n  unlade cat debian:12 etc/os-release\n  unlade cat oci:./layout usr/bin/app | sha256sum"))]
pub(crate) struct Cat {
    /// The image
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,

    /// The file
    #[arg(value_name = "PATH")]
    pub(crate) path: OsString,

    #[command(flatten)]
    pub(crate) look: LookArgs,
}

/// Show in what the files of two images differ, or of an image before and after some of its layers
///
/// One path a line: A what only the second has, D what only the first has, C what both have and not alike, with the
/// reasons: type, mode, owner, size, content, target, device, attributes, hard link. Times count only with --times,
/// since builders stamp their own. Contents are compared byte by byte unless they lie at one place of one layer.
#[derive(Debug, ClapArgs)]
#[command(after_help = format!("{IMAGE_HELP}\n\nExamples:\n  unlade diff debian:12.5 debian:12.6\n  unlade diff oci:./app --layers 3\n  unlade diff app:1 app:2 --json | jq -r 'select(.change == \"added\") | .path'"))]
pub(crate) struct Diff {
    /// The first image
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,

    /// The second image
    #[arg(value_name = "OTHER", required_unless_present = "layers", conflicts_with = "layers")]
    pub(crate) other: Option<String>,

    /// Instead of a second image: what layer N of the image changes, or, as M..N, what the layers above the Mth up
    /// to the Nth do; the lowest layer is 1, and 0 is nothing at all
    #[arg(long, value_name = "N|M..N", value_parser = layer_range)]
    pub(crate) layers: Option<LayerRange>,

    /// Compare times, too
    #[arg(long)]
    pub(crate) times: bool,

    /// One JSON object a line
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) look: LookArgs,
}

/// How many layers there are before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LayerRange {
    pub(crate) before: usize,
    pub(crate) after: usize,
}

fn layer_range(text: &str) -> Result<LayerRange, String> {
    let number =
        |text: &str| text.parse::<usize>().map_err(|_| format!("\"{}\" is no number", text.escape_debug()));
    match text.split_once("..") {
        Some((before, after)) => Ok(LayerRange { before: number(before)?, after: number(after)? }),
        None => match number(text)? {
            0 => Err("the lowest layer is 1".into()),
            after => Ok(LayerRange { before: after - 1, after }),
        },
    }
}

/// Write a file or a directory of an image to the host, or as a tarball
///
/// Only what was asked for is written, and only layers that hold some of it are read. Symlinks on the way to PATH
/// are followed inside the image; one at its end is not.
///
/// To - or NAME.tar goes a tarball, in which PATH has its own last name. Otherwise a file becomes a file and a
/// directory a directory, with modes, times and attributes, and with owners as far as the user may; the output
/// appears under its name only when it is complete. Nothing but a file is ever replaced. All else, symlinks and
/// devices, goes into a tarball only.
#[derive(Debug, ClapArgs)]
#[command(after_help = format!("{IMAGE_HELP}\n\nExamples:\n  unlade export debian:12 etc/apt -o apt\n  unlade export oci:./layout usr/bin/app -o app\n  unlade export debian:12 usr/share/doc -o - | tar -t"))]
pub(crate) struct Export {
    /// The image
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,

    /// What is to be written
    #[arg(value_name = "PATH")]
    pub(crate) path: OsString,

    /// The file or directory to write; - writes a tarball to standard output
    #[arg(short, long, value_name = "OUTPUT", value_hint = ValueHint::AnyPath)]
    pub(crate) output: PathBuf,

    /// What is written, if the name of the output does not tell it
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<ExportKind>,

    #[command(flatten)]
    pub(crate) look: LookArgs,
}

/// What is written of a part of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportKind {
    /// A tarball
    Tar,
    /// What it is in the image: a file or a directory
    Plain,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers() {
        for (text, before, after) in [("1", 0, 1), ("7", 6, 7), ("0..3", 0, 3), ("3..1", 3, 1)] {
            assert_eq!(layer_range(text), Ok(LayerRange { before, after }), "{text}");
        }
        for wrong in ["", "0", "-1", "x", "1..", "..1", "1...2", "1..2..3"] {
            assert!(layer_range(wrong).is_err(), "{wrong}");
        }
    }
}
