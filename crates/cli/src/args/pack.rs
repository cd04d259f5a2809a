//! `unlade pack`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueHint};

use super::{IMAGE_HELP, LayerArgs, SourceArgs};

const PACK_EXAMPLES: &str = "\
Examples:
  unlade pack busybox -o app.tar
  unlade pack nginx -o app.tar --entrypoint-closure --keep /etc --keep /usr/share/nginx
  unlade pack --host /usr/bin/curl /bin/sh -o app.tar
  unlade pack oci:./layout -o app.tar --include settings.json:etc/settings.json
  unlade pack debian:12 -o app.tar --rewrite-include libnss_x.so.2:usr/lib/x86_64-linux-gnu/libnss_x.so.2";

/// Pack an image for LiteBox: one tarball, its programs rewritten
///
/// LiteBox takes all files of a guest as one plain tarball of regular files, in which programs and libraries do not call
/// the kernel by themselves. Links become what they lead to; those to nowhere, devices and pipes are left out and
/// counted. The package also has the image's config and a script that runs what it says, both below litebox/.
///
/// A program in which a call cannot be replaced is left as it is, and named: LiteBox replaces what it can while it loads
/// the program. The same image gives the same bytes on every machine.
///
/// With --host, the package has programs of this machine instead, with their interpreters and libraries, at their own
/// paths. They are found by reading files; no program or loader is run.
#[derive(Debug, ClapArgs)]
#[command(after_help = IMAGE_HELP, after_long_help = format!("{IMAGE_HELP}\n\n{PACK_EXAMPLES}"))]
pub(crate) struct Pack {
    /// The image
    #[arg(value_name = "IMAGE", required_unless_present = "host")]
    pub(crate) image: Option<String>,

    /// Pack programs of this machine, by their paths, and the libraries that they need (Linux)
    #[arg(
        long,
        value_name = "PROG",
        num_args = 1..,
        conflicts_with_all = ["image", "entrypoint_closure"],
        value_hint = ValueHint::ExecutablePath
    )]
    pub(crate) host: Vec<PathBuf>,

    /// The package; its name ends in .tar
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath, default_value = "litebox_packager.tar")]
    pub(crate) output: PathBuf,

    /// Pack only what the image's command needs: the programs and files that its words name, interpreters of scripts,
    /// libraries, /bin/sh
    #[arg(long)]
    pub(crate) entrypoint_closure: bool,

    /// With --entrypoint-closure: pack this as well, a file or a directory, and what programs there need (repeatable)
    #[arg(long, value_name = "PATH", requires = "entrypoint_closure")]
    pub(crate) keep: Vec<OsString>,

    /// Add a file of this machine, HOST, as TAR; programs are rewritten
    #[arg(long, value_name = "HOST:TAR")]
    pub(crate) include: Vec<OsString>,

    /// The same for a library that only programs themselves load: anything else is an error
    #[arg(long, value_name = "HOST:TAR")]
    pub(crate) rewrite_include: Vec<OsString>,

    /// Leave a program of the package as it is (repeatable)
    #[arg(long, value_name = "PATH")]
    pub(crate) no_rewrite: Vec<OsString>,

    /// Also take programs that Bun packaged, which cannot be rewritten
    #[arg(long)]
    pub(crate) allow_unrewritable: bool,

    /// Where file contents wait to be written, instead of the directory of the output
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) scratch: Option<PathBuf>,

    /// Print a summary as JSON on standard output
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) source: SourceArgs,

    #[command(flatten)]
    pub(crate) layers: LayerArgs,
}
