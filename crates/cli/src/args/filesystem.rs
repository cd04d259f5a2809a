//! How filesystems are made.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum, ValueHint};

use crate::size;

/// How each format is made.
#[derive(Debug, ClapArgs)]
pub(crate) struct FormatArgs {
    #[command(flatten)]
    pub(crate) common: FilesystemArgs,

    #[command(flatten)]
    pub(crate) ext4: Ext4Args,

    #[command(flatten)]
    pub(crate) erofs: ErofsArgs,
}

/// What filesystems of all formats have.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Filesystems")]
pub(crate) struct FilesystemArgs {
    /// Name of the volume, at most 16 bytes (ext4) or 15 (EROFS)
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub(crate) label: String,

    /// UUID of the filesystem; default: derived from the image and the options
    #[arg(long, value_name = "UUID")]
    pub(crate) uuid: Option<String>,

    /// Bytes of a block: 1024, 2048, 4096, or for EROFS 512
    #[arg(long, value_name = "BYTES", default_value = "4096", value_parser = ["512", "1024", "2048", "4096"])]
    pub(crate) block_size: String,

    /// Put a hash tree for dm-verity behind the filesystem, and its root into OUTPUT.roothash
    ///
    /// The root is printed as well: whoever knows it knows every byte. It is what veritysetup(8) takes, with the file
    /// as data and hash device and --hash-offset as printed.
    #[arg(long)]
    pub(crate) verity: bool,

    /// Put the hash tree into a file of its own instead
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "verity")]
    pub(crate) verity_tree: Option<PathBuf>,

    /// Make a disk: a partition table (GPT), the filesystem in a partition, and with --verity its hash tree in another one
    ///
    /// The partitions have the types of the Discoverable Partitions Specification for a root of the image's
    /// architecture. --size and --free are about the filesystem; the disk is some MiB larger.
    #[arg(long, conflicts_with = "verity_tree")]
    pub(crate) gpt: bool,

    /// Bytes of the disk's sectors: 512 or 4096
    #[arg(long, value_name = "BYTES", default_value = "512", value_parser = ["512", "4096"], requires = "gpt")]
    pub(crate) sector_size: String,
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

/// How an EROFS filesystem is made.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "EROFS")]
pub(crate) struct ErofsArgs {
    /// The oldest Linux that must be able to read it, from 5.4 on; more than 16 TiB need 6.15
    #[arg(long, value_name = "VERSION", default_value_t = erofs::Kernel::DEFAULT)]
    pub(crate) erofs_min_kernel: erofs::Kernel,

    /// Keep the ends of files in blocks of their own, for direct access (DAX); takes more room
    #[arg(long)]
    pub(crate) no_inline: bool,

    /// Compress small files, and the ends of others, together: smaller, and slower to read one by one (Linux 6.1)
    #[arg(long, conflicts_with = "no_inline")]
    pub(crate) fragments: bool,

    /// Store the blocks of equal files once, or with =chunks equal parts of files, too
    ///
    /// Compressed files need Linux 6.1 for it; their parts may begin at any byte, and have 24 KiB or more. Parts of others
    /// are whole blocks, and need Linux 5.15.
    #[arg(
        long,
        value_name = "WHAT",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "files"
    )]
    pub(crate) dedupe: Option<Dedupe>,

    /// Compress contents: lz4, lz4hc[,1-12], deflate[,1-12] (Linux 6.6), zstd[,1-22] (Linux 6.10), or none
    #[arg(long, value_name = "ALGORITHM[,LEVEL]", default_value = "none", value_parser = compression)]
    pub(crate) compress: Compress,

    /// Leave these files as they are: "*.png" by name, "/usr/lib/**" by path; may be given several times
    #[arg(long, value_name = "GLOB")]
    pub(crate) compress_exclude: Vec<pipeline::Glob>,

    /// Bytes that are compressed and read as one, at most; default: 64K where kernels read it, else 4K
    #[arg(long, value_name = "SIZE", value_parser = cluster_size)]
    pub(crate) erofs_cluster_size: Option<erofs::ClusterSize>,
}

/// What of files is stored once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Dedupe {
    /// Files that are equal as a whole
    Files,
    /// That, and what files that are equal in parts have in common
    Chunks,
}

/// Whether and how contents are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Compress(pub(crate) Option<erofs::Algorithm>);

fn compression(text: &str) -> Result<Compress, erofs::Error> {
    if text == "none" {
        return Ok(Compress(None));
    }
    text.parse().map(|algorithm| Compress(Some(algorithm)))
}

fn cluster_size(text: &str) -> Result<erofs::ClusterSize, String> {
    erofs::ClusterSize::new(size::parse(text)?).map_err(|error| error.to_string())
}
