//! Hash trees for dm-verity, as veritysetup sees them.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use serde_json::Value;
use testkit::judge::{Mount, e2fsck, fsck_erofs, source};
use testkit::{corpus, tools};

use crate::support::{Place, schema};

fn verify(place: &Place, data: &str, tree: &str, verity: &Value) -> Result<(), String> {
    let mut verify = tools::command("veritysetup");
    verify.arg("verify").args([place.path(data), place.path(tree)]);
    verify.arg(verity["rootHash"].as_str().unwrap());
    verify.arg(format!("--hash-offset={}", verity["hashOffset"]));
    tools::run(&mut verify).map(drop).map_err(|error| error.to_string())
}

fn built(place: &Place, arguments: &[&str]) -> Value {
    // One without long links where blocks are short.
    let name = if arguments.contains(&"1024") { "layers60" } else { "special" };
    let image = source(corpus::find(name).unwrap());
    let said = place.done(&[&["build", &image, "--json"], arguments].concat());
    let summary: Value = serde_json::from_str(&said.out).unwrap();
    schema::conforms("build", &summary);
    summary["verity"].clone()
}

#[test]
fn every_block_is_covered() {
    let place = Place::new();
    for (name, options) in [
        ("a.ext4", &["--verity"][..]),
        ("b.ext4", &["--verity", "--block-size", "1024", "--free", "1023K"]),
        ("c.erofs", &["--verity"]),
        ("d.erofs", &["--verity", "--compress", "lz4"]),
        ("e.erofs", &["--verity", "--block-size", "512", "--erofs-min-kernel", "6.4"]),
    ] {
        let verity = built(&place, &[&["-o", name], options].concat());
        verify(&place, name, name, &verity).unwrap();
        let root = fs::read_to_string(place.path(name).with_extension("roothash")).unwrap();
        assert_eq!(root, verity["rootHash"].as_str().unwrap(), "{name}");
        let rootfs = place.path(name);
        // Debian's fsck.erofs does not know short blocks.
        if name.ends_with("ext4") {
            e2fsck(&rootfs).unwrap();
        } else if !options.contains(&"512") {
            fsck_erofs(&rootfs).unwrap();
        }
        Mount::new(&rootfs, "ro").unwrap();
        // One bit of the last data block.
        let file = File::options().read(true).write(true).open(&rootfs).unwrap();
        let length = verity["dataBlocks"].as_u64().unwrap() * verity["dataBlockSize"].as_u64().unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, length - 1).unwrap();
        file.write_all_at(&[byte[0] ^ 1], length - 1).unwrap();
        verify(&place, name, name, &verity).unwrap_err();
    }
}

#[test]
fn in_a_file_of_its_own() {
    let place = Place::new();
    let verity = built(&place, &["-o", "rootfs.erofs", "--verity-tree", "rootfs.verity"]);
    assert_eq!(verity["hashOffset"], 0);
    verify(&place, "rootfs.erofs", "rootfs.verity", &verity).unwrap();
    // It changes nothing of the rootfs, and is the same again.
    let (rootfs, tree) = (fs::read(place.path("rootfs.erofs")), fs::read(place.path("rootfs.verity")));
    built(&place, &["-o", "plain.erofs"]);
    assert!(fs::read(place.path("plain.erofs")).unwrap() == rootfs.unwrap());
    let again = built(&place, &["-o", "rootfs.erofs", "--verity-tree", "again.verity", "--threads", "7"]);
    assert_eq!(again["rootHash"], verity["rootHash"]);
    assert!(fs::read(place.path("again.verity")).unwrap() == tree.unwrap());
}

#[test]
fn out_of_the_store_it_is_the_same() {
    let place = Place::new();
    let first = built(&place, &["-o", "one.erofs", "--verity", "--cache"]);
    let second = built(&place, &["-o", "two.erofs", "--verity", "--cache"]);
    assert_eq!(first["rootHash"], second["rootHash"]);
    assert!(place.path("two.roothash").is_file());
    verify(&place, "two.erofs", "two.erofs", &second).unwrap();
}

#[test]
fn a_tree_in_the_place_of_another_output() {
    let place = Place::new();
    let image = source(corpus::find("init").unwrap());
    for tree in ["x.erofs", "./x.erofs", "x.roothash"] {
        let said = place.run(&["build", &image, "-o", "x.erofs", "--verity-tree", tree]);
        assert_eq!(said.code, Some(2), "{}", said.err);
        assert!(!place.path("x.erofs").exists());
    }
}

#[test]
fn what_has_no_blocks() {
    let place = Place::new();
    let image = source(corpus::find("init").unwrap());
    for output in ["x.tar", "x/", "x.cpio.gz"] {
        let said = place.run(&["build", &image, "-o", output, "--verity"]);
        assert_eq!(said.code, Some(2), "{}", said.err);
        assert!(said.err.contains("--verity is for filesystems"), "{}", said.err);
    }
}
