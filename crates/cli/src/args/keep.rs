//! `unlade images`, `tag`, `rm`, `history`, `gc` and `fsck`: what is in the store, by name, and keeping it small and
//! true.

use std::time::Duration;

use clap::Args as ClapArgs;

use super::{IMAGE_HELP, SourceArgs};
use crate::template::Template;
use crate::{duration, size};

/// How an image of the store is named, for the commands that look nowhere else.
const STORED_HELP: &str = "\
An image of the store is named by a tag (alpine, ghcr.io/org/app:tag), or by the digest that `unlade images` shows
(sha256:…, at least 12 digits).";

/// List the images of the store
///
/// One line for each name and platform. SIZE is what the layers have as transferred; layers that images share are
/// counted with each. USED is when it was last pulled or built from. ROOTFS is what the rootfs take that
/// unlade build --cache has left of it.
#[derive(Debug, ClapArgs)]
#[command(after_help = IMAGES_HELP)]
pub(crate) struct Images {
    /// Also list images without a name: of layouts and archives, and such whose name another image has by now
    #[arg(short, long)]
    pub(crate) all: bool,

    /// Print a JSON array
    #[arg(long, conflicts_with = "format")]
    pub(crate) json: bool,

    /// Print a line of this form for each image
    #[arg(long, value_name = "TEMPLATE", value_parser = Template::for_images)]
    pub(crate) format: Option<Template>,
}

const IMAGES_HELP: &str = "\
A template is text with fields: {{.Name}} {{.Repository}} {{.Tag}} {{.Digest}} {{.Platform}} {{.Size}} {{.Bytes}}
{{.Created}} {{.Used}} {{.Rootfs}} {{.State}}; \\t and \\n stand for a tab and a new line. There is nothing else in it.

Examples:
  unlade images
  unlade images --all --json | jq -r '.[] | select(.name == null) | .digest'
  unlade images --format '{{.Name}}\\t{{.Digest}}'";

/// Give an image of the store another name
#[derive(Debug, ClapArgs)]
#[command(after_help = format!("{STORED_HELP}\n\nExamples:\n  unlade tag alpine:3.22 base\n  unlade tag sha256:0123456789ab localhost/app:v1"))]
pub(crate) struct Tag {
    /// The image
    pub(crate) source: String,

    /// The name that it is to have as well; whatever had it before has it no longer
    pub(crate) name: String,
}

/// Take names away
///
/// The image is gone for good with the next `unlade gc`, unless it has another name.
#[derive(Debug, ClapArgs)]
#[command(after_help = format!("{STORED_HELP}\nA digest removes an image that has no name.\n\nExamples:\n  unlade rm alpine:3.22\n  unlade rm sha256:0123456789ab && unlade gc"))]
pub(crate) struct Rm {
    /// The names
    #[arg(value_name = "NAME", required = true)]
    pub(crate) names: Vec<String>,

    /// Only the image for this platform
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<String>,
}

/// Show how an image was made, the last step first
#[derive(Debug, ClapArgs)]
#[command(after_help = format!("{IMAGE_HELP}\n{STORED_HELP}\n\nExamples:\n  unlade history debian:12\n  unlade history oci:./layout --json | jq '.[].size'"))]
pub(crate) struct History {
    /// The image
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,

    /// Print a JSON array
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) source: SourceArgs,
}

/// Remove from the store what nobody needs
///
/// What a name leads to stays, and what a running pull or build uses. Everything else goes: images without a name,
/// what is remembered of their layers, their rootfs (build --cache), and what killed processes left. What has arrived of a blob is kept for a day,
/// for whoever goes on with it.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Examples:\n  unlade gc --dry-run\n  unlade gc --older-than 30d\n  unlade gc --keep-bytes 20G --json"
)]
pub(crate) struct Gc {
    /// Print what would be removed, and remove nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,

    /// Also take the names from images that were not used for so long, and remove such rootfs: 90s, 15m, 12h, 30d, 4w
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) older_than: Option<Duration>,

    /// Also take the names from images and remove rootfs, what was not used for the longest time first, until no more
    /// bytes are needed than this
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    pub(crate) keep_bytes: Option<u64>,

    /// Print what is removed as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Check the store: every byte, every name
///
/// Exits with 0 if there is nothing but notes, and with 3 if there is more, unless --repair could mend all of it.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Examples:\n  unlade fsck\n  unlade fsck --json | jq -r '.findings[] | .code'\n  unlade fsck --repair --drop-tags"
)]
pub(crate) struct Fsck {
    /// Mend what can be: fetch again what is missing or corrupt, from where its name says; remove what is damaged
    /// and needed by nobody
    #[arg(long)]
    pub(crate) repair: bool,

    /// Take the names from images that cannot be mended
    #[arg(long, requires = "repair")]
    pub(crate) drop_tags: bool,

    /// Read no layers: look only whether they are there, and how long they are
    #[arg(long)]
    pub(crate) quick: bool,

    /// Print the findings as JSON
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) source: SourceArgs,
}
