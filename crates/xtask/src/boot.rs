//! Boots an ext4 rootfs, to look at what it does.

use std::io;
use std::path::PathBuf;

use testkit::boot;

use crate::kernel;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The file to boot
    rootfs: PathBuf,
    /// What the kernel runs
    #[arg(long, default_value = "/sbin/init")]
    init: String,
    /// Keep in the file what the guest writes
    #[arg(long)]
    keep: bool,
}

pub(crate) fn run(options: &Options) -> io::Result<()> {
    kernel::run()?;
    let writes = if options.keep { boot::Writes::Keep } else { boot::Writes::Discard };
    print!("{}", boot::boot(&options.rootfs, &options.init, writes)?);
    Ok(())
}
