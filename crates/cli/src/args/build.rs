//! `unlade build`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum, ValueHint};

use super::{FormatArgs, IMAGE_HELP, LayerArgs, SourceArgs};

/// Build a root filesystem from an image
///
/// Pulls what is missing, verifies every byte, merges the layers in memory and writes the root filesystem.
/// The format follows from the name of the output: NAME.ext4 (or .img), NAME.erofs, NAME.tar, NAME.cpio (an
/// initramfs), either with .gz or .zst, or a directory (NAME/).
/// The output appears under its name only when it is complete; what was there before stays until then.
///
/// The same image and options give the same bytes on every machine.
#[derive(Debug, ClapArgs)]
#[command(after_help = IMAGE_HELP, after_long_help = format!("{IMAGE_HELP}\n\n{BUILD_EXAMPLES}"))]
pub(crate) struct Build {
    /// The image
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,

    /// The file, block device or directory to write; - writes an archive to standard output, a tarball if not said
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

    /// Take no scratch space: read the layers of a new image twice instead (files only)
    #[arg(long, conflicts_with = "scratch")]
    pub(crate) no_scratch: bool,

    /// Take a rootfs that somebody has pushed beside the image (unlade push --rootfs), if one was built with these options
    ///
    /// It is verified like an image, but against the image's layers it cannot be: whoever may push to the image's
    /// repository decides what is in it. Where there is none, or none that is whole, the rootfs is built.
    #[arg(long)]
    pub(crate) prefer_prebuilt: bool,

    /// Leave the rootfs in the store, and take it from there if it was built with these options before (files only)
    ///
    /// It is checked byte for byte on its way; one that is damaged is built anew. It takes room in the store for as
    /// long as its image, or until unlade gc needs the room.
    #[arg(long)]
    pub(crate) cache: bool,

    /// Write an index: names and metadata alone. Contents stay in the layers, whose tarballs go to this directory, expanded
    ///
    /// Each is DIR/HEX.tar, named by its diff ID, made if it is not there, else verified: images share those of the layers
    /// that they have in common. The index is an EROFS filesystem with blocks of 512 bytes; a kernel (Linux 6.4) is told of
    /// the tarballs as of further devices, in the order that is printed. They must stay for as long as the index is used.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath,
          conflicts_with_all = ["verity", "verity_tree", "cache", "prefer_prebuilt"])]
    pub(crate) erofs_index: Option<PathBuf>,

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
    pub(crate) formats: FormatArgs,
}

const BUILD_EXAMPLES: &str = "\
Examples:
  unlade build alpine -o rootfs.ext4
  unlade build debian:12 -o disk.ext4 --size 4G --label root
  unlade build oci:./layout -o disk.ext4 --free 512M --no-journal
  unlade build nginx -o rootfs.erofs --erofs-min-kernel 5.10
  unlade build nginx -o rootfs.erofs --compress zstd,9 --erofs-min-kernel 6.10
  unlade build nginx -o nginx.erofs --erofs-index layers --erofs-min-kernel 6.4
  unlade build docker-archive:app.tar -o - --format tar | tar -t
  unlade build debian:12 -o disk.raw --gpt --format erofs --verity
  unlade build oci:./initramfs -o initramfs.cpio.zst
  unlade build ghcr.io/org/app@sha256:… -o rootfs/ --platform linux/arm64
  unlade build debian:12 -o vm7.ext4 --free 2G --cache
  unlade build registry.example/app:v1 -o app.ext4 --prefer-prebuilt";

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatKind {
    /// An ext4 filesystem
    Ext4,
    /// An EROFS filesystem, which is read-only
    Erofs,
    /// A tarball
    Tar,
    /// A tarball, compressed with gzip
    #[value(name = "tar.gz")]
    TarGz,
    /// A tarball, compressed with zstd
    #[value(name = "tar.zst")]
    TarZst,
    /// A cpio archive, as Linux takes it for its first root (initramfs)
    Cpio,
    /// The same, compressed with gzip
    #[value(name = "cpio.gz")]
    CpioGz,
    /// The same, compressed with zstd
    #[value(name = "cpio.zst")]
    CpioZst,
    /// A directory
    Dir,
}
