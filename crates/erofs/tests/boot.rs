//! The kernel that the default is meant for, Debian 12's, in a virtual machine.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a test may fail, say why it did not run, and touch the machine"
)]

mod common;

use common::zoo::{compressible, overlapping, zoo};
use common::{build, compressed};
use testkit::boot;
use testkit::tools::{command, run};
use tree::Tree;
use unlade_erofs::{Kernel, Options, Sharing, Tails};

/// Says what a mounted tree holds, in two lines that differ where anything does. Holes are read in part.
const LOOK: &str = "
busybox find . -print0 | busybox sort -z | busybox xargs -0 busybox stat -c '%N %a %u %g %s %h %F %Y %t %T' |
    busybox sha256sum
{ busybox find . -type f -size -9000k -print0 | busybox sort -z | busybox xargs -0 busybox sha256sum
    busybox head -c 9000000 deep/holes; } | busybox sha256sum
";

#[test]
fn the_default_is_read_by_the_kernel_that_it_names() {
    assert!(Kernel::DEFAULT.to_string() == "6.1", "the guest has another kernel");
    there_as_here(&zoo(), &Options::default());
}

#[test]
fn so_is_what_is_compressed() {
    for (algorithm, cluster, sharing, tails) in [
        ("lz4", 65_536, Sharing::Files, Tails::Inline),
        ("lz4hc", 4096, Sharing::None, Tails::Inline),
        ("lz4", 1 << 20, Sharing::None, Tails::Inline),
        ("lz4", 65_536, Sharing::Files, Tails::Packed),
    ] {
        let options = Options { sharing, tails, ..compressed(algorithm, cluster, "6.1") };
        there_as_here(&compressible(), &options);
    }
    let options = Options { sharing: Sharing::Chunks, ..compressed("lz4", 65_536, "6.1") };
    there_as_here(&overlapping(1), &options);
}

/// The guest must see in a filesystem what this kernel sees.
fn there_as_here(tree: &Tree, options: &Options) {
    let image = build(tree, options);
    let Some(mount) = image.mount() else { return };
    let here = run(command("busybox").args(["sh", "-c", LOOK]).current_dir(mount.root())).unwrap();
    let here = String::from_utf8(here).unwrap();
    assert_eq!(here.lines().count(), 2);

    let script = format!("mount -t erofs -o ro /dev/nvme0n1 /mnt && cd /mnt && uname -r\n{LOOK}");
    let there = boot::script(&image.path, &[], &["libcrc32c", "erofs"], &script).unwrap();
    assert!(there.contains("6.1."), "{there}");
    for line in here.lines() {
        assert!(there.contains(line), "{line} is not in\n{there}");
    }
}
