//! `unlade composefs`: a repository that `cfsctl` reads, too, and images of composefs by themselves.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand, ValueEnum, ValueHint};
use composefs::Tag;
use erofs::composefs::Version;

use super::{IMAGE_HELP, LayerArgs, SourceArgs};

/// Keep images in a composefs repository: every file once, checked by the kernel where it can
///
/// Repository and images are those of composefs-rs: `cfsctl` opens what unlade fills, and unlade what `cfsctl` fills.
/// Where kernel and filesystem have fs-verity, files are protected by it; `init` demands that unless told otherwise.
#[derive(Debug, ClapArgs)]
pub(crate) struct Composefs {
    #[command(subcommand)]
    pub(crate) command: ComposefsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ComposefsCommand {
    Init(Init),
    Pull(Box<ComposefsPull>),
    Images(ComposefsImages),
    Tag(ComposefsTag),
    Untag(Untag),
    Inspect(ComposefsInspect),
    Ls(ComposefsLs),
    Dump(ComposefsDump),
    ComputeId(ComputeId),
    CreateImage(CreateImage),
    OciLayout(OciLayout),
    Mount(ComposefsMount),
    Fsck(ComposefsFsck),
    Gc(ComposefsGc),
}

/// Where the repository is.
#[derive(Debug, ClapArgs)]
pub(crate) struct Repo {
    /// The repository
    #[arg(long, value_name = "DIR", env = "UNLADE_COMPOSEFS", value_hint = ValueHint::DirPath)]
    pub(crate) repo: PathBuf,
}

/// The hash function of objects' names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum HashKind {
    /// 32 bytes
    Sha256,
    /// 64 bytes
    Sha512,
}

/// Make an empty repository
///
/// The filesystem must have fs-verity (ext4 and f2fs made with -O verity, btrfs), unless --insecure says otherwise.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Examples:\n  unlade composefs init --repo /var/lib/images\n  unlade composefs init --repo images --insecure --hash sha256"
)]
pub(crate) struct Init {
    #[command(flatten)]
    pub(crate) repo: Repo,

    /// Do not demand fs-verity of the filesystem: damage is then found by `fsck`, and not while files are read
    #[arg(long)]
    pub(crate) insecure: bool,

    /// The hash function of objects' names
    #[arg(long, value_name = "HASH", default_value = "sha512")]
    pub(crate) hash: HashKind,

    /// The format of images
    #[arg(long, value_name = "VERSION", default_value = "1")]
    pub(crate) image_version: Version,
}

/// Put an image into a repository
///
/// Its layers are split into objects and streams, from which they can be put together again to the last byte; its
/// merged tree becomes an image of composefs, whose digest is printed, and that of a bootable one in a line of its own. A
/// tag leads to all of it, and is written last. What is there already is neither read nor written again.
#[derive(Debug, ClapArgs)]
#[command(after_help = format!("{IMAGE_HELP}\n\nExamples:\n  unlade composefs pull --repo images alpine\n  unlade composefs pull --repo images oci:./layout app:v1"))]
pub(crate) struct ComposefsPull {
    /// The image
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,

    /// The tag; the image's own name if there is none
    #[arg(value_name = "TAG")]
    pub(crate) tag: Option<Tag>,

    #[command(flatten)]
    pub(crate) repo: Repo,

    /// Make an image of the tree as it is booted, too: /boot and /sysroot empty, files with the labels of the tree's own
    /// SELinux policy, if it has one
    #[arg(long)]
    pub(crate) bootable: bool,

    /// Read everything that is there already, and write anew what is damaged
    #[arg(long)]
    pub(crate) verify: bool,

    /// Print what came of it as JSON
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) source: SourceArgs,

    #[command(flatten)]
    pub(crate) layers: LayerArgs,
}

/// List the tags of a repository
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:\n  unlade composefs images --repo images --json | jq -r '.[].tag'")]
pub(crate) struct ComposefsImages {
    #[command(flatten)]
    pub(crate) repo: Repo,

    /// Print a JSON array
    #[arg(long)]
    pub(crate) json: bool,
}

/// Give an image of a repository another tag
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:\n  unlade composefs tag --repo images alpine base")]
pub(crate) struct ComposefsTag {
    /// The tag that it has
    pub(crate) source: Tag,

    /// The tag that it is to have as well; whatever had it before has it no longer
    pub(crate) tag: Tag,

    #[command(flatten)]
    pub(crate) repo: Repo,
}

/// Take a tag away; what only it led to goes with the next `gc`
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Examples:\n  unlade composefs untag --repo images base && unlade composefs gc --repo images"
)]
pub(crate) struct Untag {
    /// The tags
    #[arg(value_name = "TAG", required = true)]
    pub(crate) tags: Vec<Tag>,

    #[command(flatten)]
    pub(crate) repo: Repo,
}

/// Show an image of a repository: its manifest, its config, and what was made of it
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:\n  unlade composefs inspect --repo images alpine | jq .images")]
pub(crate) struct ComposefsInspect {
    /// The tag
    pub(crate) tag: Tag,

    #[command(flatten)]
    pub(crate) repo: Repo,
}

/// List the files of an image of a repository, with the objects that they are
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:\n  unlade composefs ls --repo images alpine | grep bin/")]
pub(crate) struct ComposefsLs {
    /// The tag
    pub(crate) tag: Tag,

    #[command(flatten)]
    pub(crate) repo: Repo,
}

const INPUT_HELP: &str = "\
INPUT is the text of composefs-dump(5), an image of composefs, a tarball or a directory; which of them, its bytes tell.
With --repo it is a tag. - is standard input.";

/// What is made into an image, or text.
#[derive(Debug, ClapArgs)]
pub(crate) struct Input {
    /// The text, image, tarball, directory or tag
    #[arg(value_name = "INPUT")]
    pub(crate) input: PathBuf,

    /// Take an image of this repository
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) repo: Option<PathBuf>,

    /// The hash function of objects' names, where the input does not have them
    #[arg(long, value_name = "HASH", default_value = "sha256")]
    pub(crate) hash: HashKind,
}

/// Print a tree as the text of composefs-dump(5), in its canonical form
#[derive(Debug, ClapArgs)]
#[command(after_help = format!("{INPUT_HELP}\n\nExamples:\n  unlade composefs dump image.cfs\n  unlade composefs dump --repo images alpine"))]
pub(crate) struct ComposefsDump {
    #[command(flatten)]
    pub(crate) input: Input,
}

/// Print the fs-verity digest that the image of a tree has
#[derive(Debug, ClapArgs)]
#[command(after_help = format!("{INPUT_HELP}\n\nExamples:\n  unlade composefs compute-id tree.dump\n  unlade composefs compute-id rootfs.tar --image-version 0"))]
pub(crate) struct ComputeId {
    #[command(flatten)]
    pub(crate) input: Input,

    /// The image's format
    #[arg(long, value_name = "VERSION", default_value = "1")]
    pub(crate) image_version: Version,
}

/// Write the image of a tree to a file, and print its fs-verity digest
///
/// The objects are not written: those of a text or an image are where they are, and those of a tarball or a directory are
/// named in the image alone. `pull` puts both into a repository.
#[derive(Debug, ClapArgs)]
#[command(after_help = format!("{INPUT_HELP}\n\nExamples:\n  unlade composefs create-image tree.dump -o image.cfs\n  unlade composefs create-image rootfs/ -o image.cfs"))]
pub(crate) struct CreateImage {
    #[command(flatten)]
    pub(crate) input: Input,

    /// The file to write
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: PathBuf,

    /// The image's format
    #[arg(long, value_name = "VERSION", default_value = "1")]
    pub(crate) image_version: Version,
}

/// Write an image of a repository to an OCI image layout
///
/// Config and diff IDs are those of the image that was pulled. A repository has no compressed bytes, so layers come as
/// plain tarballs, and where they were compressed the manifest becomes another one that says so. --as-pulled takes the
/// compressed layers from the store; the manifest then keeps its digest.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Examples:\n  unlade composefs oci-layout --repo images alpine -o layout:latest\n  skopeo inspect oci:layout:latest"
)]
pub(crate) struct OciLayout {
    /// The tag
    pub(crate) tag: Tag,

    #[command(flatten)]
    pub(crate) repo: Repo,

    /// The layout, which is made or added to, and the name that the image gets there
    #[arg(short, long, value_name = "DIR[:REF]", value_hint = ValueHint::DirPath)]
    pub(crate) output: String,

    /// Take the compressed layers from the store, and fail if it does not have them any more
    #[arg(long)]
    pub(crate) as_pulled: bool,

    /// Print what was written as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Mount an image of a repository; umount(8) ends that
///
/// Takes root, and Linux 6.5. The kernel checks every file against its digest where the repository has fs-verity. While
/// it is mounted the image must keep a tag, since `gc` does not see mounts.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Examples:\n  unlade composefs mount --repo images alpine /mnt && ls /mnt && umount /mnt"
)]
pub(crate) struct ComposefsMount {
    /// The tag
    pub(crate) tag: Tag,

    /// The directory to mount on
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) point: PathBuf,

    #[command(flatten)]
    pub(crate) repo: Repo,

    /// Mount the image that `pull --bootable` made
    #[arg(long)]
    pub(crate) bootable: bool,

    /// Let set-user-ID programs and devices of the image mean what they say
    #[arg(long)]
    pub(crate) trusted: bool,

    /// Ask the kernel in this way alone
    #[arg(long, hide = true)]
    pub(crate) way: Option<WayKind>,
}

/// How a kernel is asked to mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum WayKind {
    /// As Linux 6.15 can be
    Detached,
    /// As Linux 6.12 can be
    File,
    /// As all can be
    Loop,
}

/// Check a repository: every object, every stream, every image, every name
///
/// Exits with 0 if there is nothing to say, and with 3 if there is. `pull` mends what an image lacks, and `pull --verify`
/// what is damaged.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:\n  unlade composefs fsck --repo images --json | jq '.findings[]'")]
pub(crate) struct ComposefsFsck {
    #[command(flatten)]
    pub(crate) repo: Repo,

    /// Print the findings as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Remove what no tag leads to
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:\n  unlade composefs gc --repo images --dry-run")]
pub(crate) struct ComposefsGc {
    #[command(flatten)]
    pub(crate) repo: Repo,

    /// Print what would be removed, and remove nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,

    /// Print what is removed as JSON
    #[arg(long)]
    pub(crate) json: bool,
}
