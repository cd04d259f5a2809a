//! `unlade pull`, `inspect` and `dump`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueHint};

use super::{IMAGE_HELP, SourceArgs};

/// Bring an image into the store
///
/// What comes from a registry gets a tag there, its full name, and is used by that name from then on. What comes
/// from a layout or an archive gets none. The registry is asked even if the store has the image, so that a
/// moved tag is noticed.
#[derive(Debug, ClapArgs)]
#[command(after_help = format!("{IMAGE_HELP}\n\nExamples:\n  unlade pull debian:12\n  unlade pull localhost:5000/app --platform linux/arm64"))]
pub(crate) struct Pull {
    /// The image
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,

    /// Print the digest, layers and sizes as JSON
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) source: SourceArgs,
}

/// Show an image's manifest, config and layers
///
/// Fetches the manifest and the config if the store does not have them, but no layer.
#[derive(Debug, ClapArgs)]
#[command(after_help = format!("{IMAGE_HELP}\n\nExamples:\n  unlade inspect debian:12\n  unlade inspect oci:./layout --json | jq .config.config.Env"))]
pub(crate) struct Inspect {
    /// The image
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,

    /// Print everything as JSON
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) source: SourceArgs,
}

/// Show an ext4 or EROFS filesystem in a file as text
///
/// What is where: the filesystem, its inodes by path with owner, mode, size, time, blocks and attributes. The same
/// filesystem gives the same text, so that two can be compared. Everything is checked against the bounds of the
/// filesystem and its checksums; contents of files are neither read nor expanded. Of a disk the root partition is shown.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Examples:\n  unlade dump rootfs.ext4 | less\n  diff <(unlade dump a.ext4) <(unlade dump b.ext4)"
)]
pub(crate) struct Dump {
    /// The file or block device
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
}
