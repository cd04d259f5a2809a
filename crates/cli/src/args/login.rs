//! `unlade login` and `logout`.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args as ClapArgs, ValueHint};

/// Store a login for a registry
///
/// The registry is asked first whether it is a good one. It is stored where Podman and skopeo look for it and store
/// theirs: in $REGISTRY_AUTH_FILE, else in $XDG_RUNTIME_DIR/containers/auth.json; and where that file names a
/// credential helper for the registry, with the helper.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Examples:\n  unlade login ghcr.io\n  echo $TOKEN | unlade login ghcr.io --username me --password-stdin"
)]
pub(crate) struct Login {
    /// The registry; with a namespace behind it, the login is for that alone
    #[arg(value_name = "REGISTRY[/NAMESPACE]")]
    pub(crate) registry: String,

    /// The user; default: asked for on the terminal
    #[arg(short, long, value_name = "USER", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) username: Option<String>,

    /// Read the password from standard input instead of asking for it on the terminal
    #[arg(long)]
    pub(crate) password_stdin: bool,

    /// Store it in this file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) authfile: Option<PathBuf>,

    /// Allow HTTP, and certificates that nobody vouches for, with this registry (repeatable)
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(crate) insecure_registry: Vec<String>,

    /// Trust the certificates in this PEM file as well (repeatable)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) ca: Vec<PathBuf>,
}

/// Remove a stored login
///
/// From the same place where login stores it. What Docker has stored elsewhere stays.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:\n  unlade logout ghcr.io")]
pub(crate) struct Logout {
    /// The registry, as it was given to login
    #[arg(value_name = "REGISTRY[/NAMESPACE]")]
    pub(crate) registry: String,

    /// Remove it from this file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) authfile: Option<PathBuf>,
}
