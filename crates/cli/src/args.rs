//! What can be typed. Help texts, man pages and completions all come from here.

use std::path::PathBuf;

use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand, ValueEnum, ValueHint};

use crate::size;

/// How an image is named, for the help of every command that takes one.
const IMAGE_HELP: &str = "\
An image is named in one of these ways:

  alpine, ghcr.io/org/app:tag, NAME@sha256:…   from a registry (docker:// may stand in front)
  oci:DIR[:REF]                                 from an OCI image layout
  oci-archive:FILE[:REF]                        from a tarball of such a layout
  docker-archive:FILE[:REF]                     from what `docker save` writes

A name that was pulled before is taken from the store.";

/// Turns OCI images into root filesystems, without root, mounts or mkfs.
#[derive(Debug, Parser)]
#[command(name = "unlade", version, propagate_version = true, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,

    #[command(flatten)]
    pub(crate) common: Common,
}

/// What every command understands.
#[derive(Debug, ClapArgs)]
pub(crate) struct Common {
    /// Keep images in this directory instead of $XDG_DATA_HOME/unlade
    #[arg(long, global = true, value_name = "DIR", env = "UNLADE_STORE", value_hint = ValueHint::DirPath)]
    pub(crate) store: Option<PathBuf>,

    /// Keep nothing: use a store that is gone afterwards, whatever --store or its variable says
    #[arg(long, global = true)]
    pub(crate) no_store: bool,

    /// Say nothing but errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    /// Say more: every note about a layer, every retry
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    /// How progress is shown on standard error
    #[arg(long, global = true, value_name = "HOW", default_value = "auto")]
    pub(crate) progress: ProgressKind,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressKind {
    /// Bars on a terminal, nothing elsewhere
    Auto,
    /// One JSON object a line
    Json,
    /// Not at all
    None,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Build(Box<Build>),
    Pull(Pull),
    Inspect(Inspect),
    Ls(Ls),
    Completions(Completions),
    #[command(hide = true)]
    Man(Man),
}

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
  unlade build ghcr.io/org/app@sha256:… -o rootfs/ --platform linux/arm64";

/// Where an image comes from.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Image")]
pub(crate) struct SourceArgs {
    /// OS/ARCHITECTURE[/VARIANT] to choose; default: linux on this machine's architecture
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<String>,

    /// Take the image even if it says to be for another platform
    #[arg(long)]
    pub(crate) any_platform: bool,

    /// When to ask the registry
    #[arg(long, value_name = "WHEN")]
    pub(crate) pull: Option<PullKind>,

    /// Allow HTTP, and certificates that nobody vouches for, with this registry (repeatable)
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(crate) insecure_registry: Vec<String>,

    /// Trust the certificates in this PEM file as well (repeatable)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) ca: Vec<PathBuf>,

    /// How many blobs are fetched at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) parallel_downloads: u8,
}

/// When a registry is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PullKind {
    /// If the store does not have the image
    Missing,
    /// Always, so that a moved tag is noticed
    Always,
    /// Never
    Never,
}

/// How layers are read.
#[derive(Debug, Default, ClapArgs)]
#[command(next_help_heading = "Layers")]
pub(crate) struct LayerArgs {
    /// Refuse what is odd but harmless: unknown entry types, wrong media types
    #[arg(long)]
    pub(crate) strict: bool,

    /// Leave out devices
    #[arg(long)]
    pub(crate) no_devices: bool,

    /// Keep security.selinux and overlay attributes, which belong to the host that built the image
    #[arg(long)]
    pub(crate) keep_host_xattrs: bool,

    /// Keep the files by which lazily pulled layers (eStargz) describe themselves
    #[arg(long)]
    pub(crate) keep_lazy_metadata: bool,

    /// How many layers are read at once; default: one for each processor
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(crate) threads: usize,

    /// Most bytes that a layer may expand to; default: 256G
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    pub(crate) max_expanded: Option<u64>,

    /// Most bytes that all layers may expand to together; default: 1T
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    pub(crate) max_image_expanded: Option<u64>,

    /// Most expanded bytes for each compressed one, from 1G on; default: 250
    #[arg(long, value_name = "N")]
    pub(crate) max_ratio: Option<u64>,

    /// Most entries of a layer; default: 5000000
    #[arg(long, value_name = "N")]
    pub(crate) max_entries: Option<u64>,

    /// Most entries of all layers together; default: 20000000
    #[arg(long, value_name = "N")]
    pub(crate) max_image_entries: Option<u64>,

    /// Most components of a path; default: 16384
    #[arg(long, value_name = "N")]
    pub(crate) max_depth: Option<usize>,

    /// Most bytes of the headers that extend one entry; default: 1M
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    pub(crate) max_header: Option<u64>,
}

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

/// List the files of an image, merged, with modes and owners
///
/// Names are shown escaped: a backslash is doubled, and \n, \t, \xNN stand for what a terminal should not
/// see, in JSON as well, so that every name is text and can be read back.
#[derive(Debug, ClapArgs)]
#[command(after_help = format!("{IMAGE_HELP}\n\nExamples:\n  unlade ls debian:12 etc/apt\n  unlade ls oci:./layout --json | jq -r 'select(.uid != 0) | .path'"))]
pub(crate) struct Ls {
    /// The image
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,

    /// Only what lies at or below this path
    #[arg(value_name = "PATH")]
    pub(crate) path: Option<String>,

    /// One JSON object a line
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) source: SourceArgs,

    #[command(flatten)]
    pub(crate) layers: LayerArgs,
}

/// Print a completion script for a shell
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Example:\n  unlade completions bash > ~/.local/share/bash-completion/completions/unlade"
)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

/// Write the man pages into a directory
#[derive(Debug, ClapArgs)]
pub(crate) struct Man {
    /// The directory
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) directory: PathBuf,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn definitions_hold_together() {
        super::Args::command().debug_assert();
    }
}
