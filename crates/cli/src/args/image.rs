//! Where an image comes from, and how its layers are read: for every command that takes one.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args as ClapArgs, ValueEnum, ValueHint};

use crate::size;

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

    /// Log in as this user, whatever logins are stored; without a password it is asked for
    #[arg(long, value_name = "USER[:PASSWORD]", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) creds: Option<String>,

    /// Read the password for --creds USER, or USER:PASSWORD, from standard input
    #[arg(long)]
    pub(crate) creds_stdin: bool,

    /// Look for stored logins in this file alone
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) authfile: Option<PathBuf>,

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
