//! `unlade push`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueHint};

use super::{FormatArgs, FormatKind, LayerArgs, SourceArgs};

const PUSH_HELP: &str = "\
IMAGE is named as for `unlade build`, or is store:NAME for one of the store alone. The options under \"Layers\",
\"Filesystems\", \"ext4\" and \"EROFS\" are for --rootfs.

Examples:
  unlade push oci:./layout registry.example/app:v1
  unlade push --all-platforms oci:./layout registry.example/app:v1
  unlade push registry.example/app:v1 --rootfs ext4 --free 512M
  unlade build registry.example/app:v1 -o app.ext4 --free 512M --prefer-prebuilt";

/// Push an image to a registry, or its built rootfs
///
/// An image goes there as `unlade copy` copies it.
///
/// With --rootfs the image, which the registry must have, is built with the options given here, as `unlade build` does,
/// and the rootfs is put beside it: an artifact that refers to the image's manifest. A build of the same image with the
/// same options and --prefer-prebuilt takes it then. Its holes cost nothing. The image's tags stay as they are.
#[derive(Debug, ClapArgs)]
#[command(after_help = PUSH_HELP)]
pub(crate) struct Push {
    /// The image
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,

    /// Where it goes, as NAME or NAME:TAG; with --rootfs the repository that has the image, by default the one that IMAGE names
    #[arg(value_name = "REFERENCE", required_unless_present = "rootfs")]
    pub(crate) reference: Option<String>,

    /// Push a rootfs in this format, built from the image
    #[arg(long, value_name = "FORMAT", conflicts_with = "all_platforms")]
    pub(crate) rootfs: Option<FormatKind>,

    /// Push the images for all platforms, with their index and all else that it names
    #[arg(long, conflicts_with_all = ["platform", "any_platform"])]
    pub(crate) all_platforms: bool,

    /// Print what was pushed as JSON
    #[arg(long)]
    pub(crate) json: bool,

    /// Let no time in the rootfs be later than $SOURCE_DATE_EPOCH
    #[arg(long)]
    pub(crate) clamp_mtime: bool,

    /// Where the rootfs waits to be pushed, instead of the store
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) scratch: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) source: SourceArgs,

    #[command(flatten)]
    pub(crate) layers: LayerArgs,

    #[command(flatten)]
    pub(crate) formats: FormatArgs,
}
