//! fs-verity, in a guest whose kernel has it.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use testkit::boot;
use testkit::image::write_layout;
use testkit::tools;

use super::{layers, place};
use crate::support::Place;

/// What the guest does first: its filesystem is on the disk.
const START: &str =
    "mount -t ext4 /dev/nvme0n1 /mnt && cd /mnt && export HOME=/mnt UNLADE_STORE=/mnt/store\n";

/// Runs a script in the guest, with the disk of this place.
fn guest(place: &Place, script: &str) -> String {
    let program = place.path("unlade");
    let script = format!("{START}{script}\nresult=$?; cd /; umount /mnt; exit $result");
    boot::script(&place.path("disk"), &[program.to_str().unwrap()], &[], &script).unwrap()
}

/// Writes into the middle of a file in a filesystem that nobody has mounted, past its back.
fn overwrite(disk: &Path, file: &str) {
    let blocks =
        tools::run(tools::command("debugfs").args(["-R", &format!("blocks {file}")]).arg(disk)).unwrap();
    let blocks = String::from_utf8(blocks).unwrap();
    let first: u64 = blocks.split_whitespace().next().unwrap().parse().unwrap();
    let disk = fs::File::options().write(true).open(disk).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&disk, b"not what it was", first * 4096 + 100).unwrap();
}

#[test]
#[ignore = "boots a guest twice: cargo xtask cfsctl"]
fn the_kernel_watches_over_objects() {
    let place = place();
    write_layout(&place.path("files/two"), "v1", &layers(), &json!({})).unwrap();
    // Without what only a debugger reads: the guest has little memory.
    let mut strip = Command::new("strip");
    strip.arg("-o").arg(place.path("unlade")).arg(env!("CARGO_BIN_EXE_unlade"));
    tools::run(&mut strip).unwrap();
    let disk = place.path("disk");
    let mut make = tools::command("mke2fs");
    make.args(["-q", "-t", "ext4", "-b", "4096", "-O", "verity", "-d"]).arg(place.path("files"));
    tools::run(make.arg(&disk).arg("64M")).unwrap();

    let said = guest(
        &place,
        "unlade composefs init --repo repo --hash sha256 &&
         unlade composefs pull --repo repo oci:two two &&
         unlade composefs fsck --repo repo --json &&
         echo \"large: $(find repo/objects -type f -size 10000c)\" &&
         for object in $(find repo/objects -type f); do (echo x >> $object) && echo \"$object can be written\"; done
         unlade composefs pull --repo repo oci:two two",
    );
    assert!(said.contains("\"clean\": true") || said.contains("\"clean\":true"), "{said}");
    assert!(said.contains("2 layers, 0 of them new"), "{said}");
    assert!(!said.contains("can be written"), "{said}");
    let large = said.lines().find_map(|line| line.trim().strip_prefix("large: "));
    let large = large.unwrap_or_else(|| panic!("{said}")).to_owned();

    overwrite(&disk, &large);
    let said = guest(
        &place,
        &format!(
            "cat {large} > /dev/null; echo read $?
             unlade composefs fsck --repo repo; echo checked $?
             unlade composefs pull --repo repo oci:two two --verify &&
             unlade composefs fsck --repo repo && cat {large} > /dev/null &&
             cp {large} other && cat other > {large}x && mv {large}x {large} &&
             unlade composefs fsck --repo repo; echo then $?
             unlade composefs pull --repo repo oci:two two --verify && unlade composefs fsck --repo repo"
        ),
    );
    assert!(said.contains("read 1") && said.contains("checked 3"), "{said}");
    assert!(said.contains("cannot be read"), "{said}");
    assert!(said.contains("then 3") && said.contains("has no fs-verity"), "{said}");
}
