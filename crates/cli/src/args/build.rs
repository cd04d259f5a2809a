//! `unlade build`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum, ValueHint};

use super::{IMAGE_HELP, LayerArgs, SourceArgs};
use crate::size;

/// Build a root filesystem from an image
///
/// Pulls what is missing, verifies every byte, merges the layers in memory and writes the root filesystem.
/// The format follows from the name of the output: NAME.ext4 (or .img), NAME.tar, or a directory (NAME/).
/// The output appears under its name only when it is complete; what was there before stays until then.
///
/// The same image and options give the same bytes on every machine.
#[derive(Debug, ClapArgs)]
#[command(after_help = IMAGE_HELP, after_long_help = format!("{IMAGE_HELP}\n\n{BUILD_EXAMPLES}"))]
pub(crate) struct Build {
    /// The image
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,

    /// The file, block device or directory to write; - writes a tarball to standard output
    #[arg(short, long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) output: PathBuf,

    /// The format, if the name of the output does not tell it
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<FormatKind>,

    /// Let no time in the rootfs be later than $SOURCE_DATE_EPOCH
    #[arg(long)]
    pub(crate) clamp_mtime: bool,

    /// Where file contents wait to be written, instead of the directory of the output
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) scratch: Option<PathBuf>,

    /// Take no scratch space: read the layers of a new image twice instead (ext4 and tar files)
    #[arg(long, conflicts_with = "scratch")]
    pub(crate) no_scratch: bool,

    /// Take a rootfs that somebody has pushed beside the image (unlade push --rootfs), if one was built with these options
    ///
    /// It is verified like an image, but against the image's layers it cannot be: whoever may push to the image's
    /// repository decides what is in it. Where there is none, or none that is whole, the rootfs is built.
    #[arg(long)]
    pub(crate) prefer_prebuilt: bool,

    /// Build even if the image holds not one file
    #[arg(long)]
    pub(crate) allow_empty: bool,

    /// Print a summary as JSON on standard output
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) source: SourceArgs,

    #[command(flatten)]
    pub(crate) layers: LayerArgs,

    #[command(flatten)]
    pub(crate) filesystem: Ext4Args,
}

const BUILD_EXAMPLES: &str = "\
Examples:
  unlade build alpine -o rootfs.ext4
  unlade build debian:12 -o disk.ext4 --size 4G --label root
  unlade build oci:./layout -o disk.ext4 --free 512M --no-journal
  unlade build docker-archive:app.tar -o - --format tar | tar -t
  unlade build ghcr.io/org/app@sha256:… -o rootfs/ --platform linux/arm64
  unlade build registry.example/app:v1 -o app.ext4 --prefer-prebuilt";

/// How an ext4 filesystem is made.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "ext4")]
pub(crate) struct Ext4Args {
    /// Size of the filesystem in all; too small is an error that names the size needed
    #[arg(long, value_name = "SIZE", value_parser = size::parse, conflicts_with = "free")]
    pub(crate) size: Option<u64>,

    /// Free space in the filesystem; default: a tenth of what is used, at least 64M
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    pub(crate) free: Option<u64>,

    /// Make no journal
    #[arg(long)]
    pub(crate) no_journal: bool,

    /// What the filesystem is for
    #[arg(long, value_name = "PROFILE", default_value = "rw")]
    pub(crate) profile: ProfileKind,

    /// Name of the volume, at most 16 bytes
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub(crate) label: String,

    /// UUID of the filesystem; default: derived from the image and the options
    #[arg(long, value_name = "UUID")]
    pub(crate) uuid: Option<String>,

    /// Bytes of a block: 1024, 2048 or 4096
    #[arg(long, value_name = "BYTES", default_value = "4096", value_parser = ["1024", "2048", "4096"])]
    pub(crate) block_size: String,

    /// Inodes in all; default: what is needed and some more
    #[arg(long, value_name = "N")]
    pub(crate) inodes: Option<u64>,

    /// Percentage of the blocks that only root may fill
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=50))]
    pub(crate) reserved: u8,
}

/// What a filesystem is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProfileKind {
    /// Everything that a fresh mkfs.ext4 gives
    Rw,
    /// The same for GRUB before 2.12 and other old readers
    Compat,
    /// Never to be written: no journal, no room to grow
    Ro,
}

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatKind {
    /// An ext4 filesystem
    Ext4,
    /// A tarball
    Tar,
    /// A directory
    Dir,
}
