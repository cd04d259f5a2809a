//! What can be typed. Help texts, man pages and completions all come from here.

mod build;
mod composefs;
mod copy;
mod files;
mod filesystem;
mod image;
mod keep;
mod login;
mod look;
mod pack;
mod push;
mod shell;

use std::path::PathBuf;

use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand, ValueEnum, ValueHint};

pub(crate) use self::composefs::{
    Composefs, ComposefsCommand, ComposefsDump, ComposefsFsck, ComposefsGc, ComposefsImages,
    ComposefsInspect, ComposefsLs, ComposefsMount, ComposefsPull, ComposefsTag, ComputeId, CreateImage,
    HashKind, Init, Input, OciLayout, Repo, Untag, WayKind,
};
pub(crate) use build::{Build, FormatKind};
pub(crate) use copy::Copy;
pub(crate) use files::{Cat, Diff, Export, ExportKind, LayerRange, LookArgs, Ls};
pub(crate) use filesystem::{Dedupe, Ext4Args, FilesystemArgs, FormatArgs, ProfileKind};
pub(crate) use image::{LayerArgs, PullKind, SourceArgs};
pub(crate) use keep::{Fsck, Gc, History, Images, Rm, Tag};
pub(crate) use login::{Login, Logout};
pub(crate) use look::{Dump, Inspect, Pull};
pub(crate) use pack::Pack;
pub(crate) use push::Push;
pub(crate) use shell::{Completions, Man};

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
    Copy(Copy),
    Push(Box<Push>),
    Inspect(Inspect),
    Ls(Ls),
    Cat(Cat),
    Diff(Diff),
    Export(Box<Export>),
    Pack(Box<Pack>),
    Dump(Dump),
    Login(Login),
    Logout(Logout),
    Images(Images),
    Tag(Tag),
    Rm(Rm),
    History(History),
    Gc(Gc),
    Fsck(Fsck),
    Composefs(Box<Composefs>),
    Completions(Completions),
    #[command(hide = true)]
    Man(Man),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn definitions_hold_together() {
        super::Args::command().debug_assert();
    }
}
