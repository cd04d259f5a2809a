//! Disks with partitions, as other people's tools and kernels see them.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde_json::{Value, json};
use testkit::image::{Layer, Tar, write_layout};
use testkit::judge::{self, source};
use testkit::{alike, boot, corpus, tools};

use crate::support::{Place, schema};

const UNLADE: &str = env!("CARGO_BIN_EXE_unlade");

/// Builds a disk of a corpus image, and gives the summary.
#[track_caller]
fn built(place: &Place, name: &str, arguments: &[&str]) -> Value {
    let image = source(corpus::find(name).unwrap());
    let said = place.done(&[&["build", &image, "--json", "--gpt"], arguments].concat());
    let summary: Value = serde_json::from_str(&said.out).unwrap();
    schema::conforms("build", &summary);
    summary
}

/// Copies a partition into a file of its own.
fn cut(disk: &Path, partition: &Value, into: &Path) {
    let [offset, size] = ["offset", "size"].map(|name| partition[name].as_u64().unwrap());
    let (disk, cut) = (File::open(disk).unwrap(), File::create(into).unwrap());
    let mut bytes = vec![0; size as usize];
    disk.read_exact_at(&mut bytes, offset).unwrap();
    cut.write_all_at(&bytes, 0).unwrap();
}

/// What sfdisk and sgdisk see: nothing wrong, and what the summary says. They know the sectors of a device, and take a
/// file's to be short.
fn check_table(disk: &Path, said: &Value, sector: u64) {
    let image = Loop::new(disk, sector);
    let disk = image.device();
    tools::run(tools::command("sfdisk").arg("--verify").arg(disk)).unwrap();
    let sgdisk = tools::run(tools::command("sgdisk").arg("-v").arg(disk)).unwrap();
    let sgdisk = String::from_utf8(sgdisk).unwrap();
    assert!(sgdisk.contains("No problems found"), "{sgdisk}");
    let found = tools::run(tools::command("sfdisk").arg("--json").arg(disk)).unwrap();
    let found = serde_json::from_slice::<Value>(&found).unwrap()["partitiontable"].take();
    assert_eq!(found["label"], "gpt");
    assert_eq!(found["sectorsize"], sector);
    let lower = |value: &Value| value.as_str().unwrap().to_lowercase();
    assert_eq!(lower(&found["id"]), said["uuid"].as_str().unwrap());
    let bytes = |value: &Value| value.as_u64().unwrap() * sector;
    let seen: Vec<Value> = found["partitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|partition| {
            let attributes = partition["attrs"].as_str().unwrap();
            json!({
                "label": partition["name"],
                "type": lower(&partition["type"]),
                "uuid": lower(&partition["uuid"]),
                "offset": bytes(&partition["start"]),
                "size": bytes(&partition["size"]),
                "readOnly": attributes == "GUID:60",
                "growFileSystem": attributes == "GUID:59",
            })
        })
        .collect();
    assert_eq!(Value::from(seen), said["partitions"]);
}

/// A loop device, until it is dropped.
struct Loop(String);

impl Loop {
    fn new(file: &Path, sector: u64) -> Loop {
        let mut losetup = tools::command("losetup");
        losetup.args(["--find", "--show", "--sector-size", &sector.to_string()]).arg(file);
        Loop(String::from_utf8(tools::run(&mut losetup).unwrap()).unwrap().trim().into())
    }

    fn device(&self) -> &Path {
        Path::new(&self.0)
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = tools::run(tools::command("losetup").arg("--detach").arg(&self.0));
    }
}

#[test]
fn as_other_tools_see_it() {
    let place = Place::new();
    let scratch = tempfile::tempdir_in(corpus::target()).unwrap();
    let image = corpus::find("special").unwrap();
    let expected = judge::expected(image, scratch.path()).unwrap();
    for (name, options) in [
        ("a.ext4", &[][..]),
        ("b.ext4", &["--verity", "--free", "9999K", "--no-scratch"]),
        ("c.ext4", &["--profile", "ro", "--sector-size", "4096"]),
        ("d.erofs", &["--verity", "--compress", "lz4"]),
        ("e.erofs", &["--dedupe", "--sector-size", "4096"]),
    ] {
        let said = built(&place, image.name, &[&["-o", name], options].concat());
        let (disk, gpt) = (place.path(name), &said["gpt"]);
        assert_eq!(fs::metadata(&disk).unwrap().len() % (1 << 20), 0);
        let sector = if options.contains(&"4096") { 4096 } else { 512 };
        check_table(&disk, gpt, sector);

        let partitions = gpt["partitions"].as_array().unwrap();
        let writable = name == "a.ext4";
        assert_eq!(partitions[0]["growFileSystem"], writable, "{name}");
        assert!(partitions.iter().all(|partition| partition["readOnly"] != writable), "{name}");
        let root = scratch.path().join(name);
        cut(&disk, &partitions[0], &root);
        assert_eq!(expected.differences(&judge::found(&root, scratch.path()).unwrap()), [""; 0], "{name}");
        match partitions.get(1) {
            Some(_) => check_tree(&disk, &root, &said),
            None => assert_eq!(said["verity"], Value::Null),
        }
        assert_eq!(partitions.len() == 2, options.contains(&"--verity"));
    }
}

/// What veritysetup says of a root that was cut out, and of the tree of its disk.
fn check_tree(disk: &Path, root: &Path, said: &Value) {
    let partitions = said["gpt"]["partitions"].as_array().unwrap();
    let hash = said["verity"]["rootHash"].as_str().unwrap();
    let uuids = partitions.iter().map(|one| one["uuid"].as_str().unwrap().replace('-', ""));
    assert_eq!(uuids.collect::<String>(), hash);
    assert_eq!(fs::read_to_string(disk.with_extension("roothash")).unwrap(), hash);
    assert_eq!(said["verity"]["hashOffset"], 0);
    let tree = root.with_extension("tree");
    cut(disk, &partitions[1], &tree);
    let verify = || {
        let mut verify = tools::command("veritysetup");
        tools::run(verify.arg("verify").args([root, &tree]).arg(hash)).map(drop)
    };
    verify().unwrap();
    // One bit of the last block that is covered.
    let file = File::options().read(true).write(true).open(root).unwrap();
    let [blocks, block] = ["dataBlocks", "dataBlockSize"].map(|key| said["verity"][key].as_u64().unwrap());
    let mut byte = [0];
    file.read_exact_at(&mut byte, blocks * block - 1).unwrap();
    file.write_all_at(&[byte[0] ^ 1], blocks * block - 1).unwrap();
    verify().unwrap_err();
}

/// What is in the partition does not know of it.
#[test]
fn the_filesystem_is_the_same_as_without() {
    let place = Place::new();
    let uuid = ["--uuid", "01234567-89ab-cdef-0123-456789abcdef"];
    for options in [
        &[][..],
        &["--compress", "lz4"],
        &["--no-scratch", "--block-size", "512", "--erofs-min-kernel", "6.4"],
    ] {
        let said =
            built(&place, "layers60", &[&["-o", "disk.erofs", "--verity"], &uuid[..], options].concat());
        cut(&place.path("disk.erofs"), &said["gpt"]["partitions"][0], &place.path("root"));
        let image = source(corpus::find("layers60").unwrap());
        place.done(&[&["build", &image, "-o", "plain.erofs"], &uuid[..], options].concat());
        let (root, plain) =
            (fs::read(place.path("root")).unwrap(), fs::read(place.path("plain.erofs")).unwrap());
        assert!(root.starts_with(&plain) && root[plain.len()..].iter().all(|byte| *byte == 0), "{options:?}");
        assert_eq!(place.done(&["dump", "disk.erofs"]).out, place.done(&["dump", "plain.erofs"]).out);
        check_tree(&place.path("disk.erofs"), &place.path("root"), &said);
    }
}

#[test]
fn the_same_bytes_for_everybody() {
    let image = corpus::find("special").unwrap();
    for (format, options) in
        [(".ext4", &["--gpt"][..]), (".erofs", &["--gpt", "--verity", "--compress", "lz4"])]
    {
        alike::alike(Path::new(UNLADE), image, format, options).unwrap();
    }
}

#[test]
fn a_kernel_boots_from_it() {
    let place = Place::new();
    for sector in ["512", "4096"] {
        let said = built(&place, "init", &["-o", "disk.ext4", "--sector-size", sector]);
        let root = &said["gpt"]["partitions"][0];
        let root = match sector {
            "512" => format!("PARTUUID={}", root["uuid"].as_str().unwrap()),
            _ => format!("PARTLABEL={}", root["label"].as_str().unwrap()),
        };
        let console =
            boot::partition((&place.path("disk.ext4"), sector.parse().unwrap()), &root, "/sbin/init")
                .unwrap();
        assert!(console.contains(corpus::BOOTED), "{console}");
    }
}

#[test]
fn a_kernel_reads_through_its_hash_tree() {
    let place = Place::new();
    let said = built(&place, "init", &["-o", "disk.ext4", "--verity"]);
    let hash = said["verity"]["rootHash"].as_str().unwrap();
    let script = format!(
        "mount -t sysfs sys /sys && mkdir -p /run/cryptsetup\n\
         open() {{ veritysetup open /dev/nvme0n1p1 root /dev/nvme0n1p2 {hash}; }}\n\
         open && mount -o ro,noload /dev/mapper/root /mnt && test -x /mnt/sbin/init && echo it opens || exit 1\n\
         umount /mnt && veritysetup close root\n\
         printf x | dd of=/dev/nvme0n1p1 bs=1 seek=$(({size} - 1)) conv=notrunc && sync && open\n\
         dd if=/dev/mapper/root of=/dev/null bs=4k 2>&1 && exit 1; echo a changed block is refused\n",
        size = said["verity"]["dataBlocks"].as_u64().unwrap() * 4096,
    );
    let modules = ["reed_solomon", "dm-mod", "dm-bufio", "dm-verity"];
    let there = boot::script(&place.path("disk.ext4"), &["veritysetup"], &modules, &script).unwrap();
    assert!(there.contains("it opens") && there.contains("a changed block is refused"), "{there}");
}

/// On a device there may be an older table; its sectors are not everybody's.
#[test]
fn on_a_device() {
    let place = Place::new();
    let image = source(corpus::find("init").unwrap());
    for sector in ["512", "4096"] {
        let backing = place.path("backing");
        fs::write(&backing, vec![0xa5; 192 << 20]).unwrap();
        let device = Loop::new(&backing, sector.parse().unwrap());
        let output = device.device().to_str().unwrap();
        let options = ["-o", output, "--format", "ext4", "--free", "8M", "--verity"];
        let other = if sector == "512" { "4096" } else { "512" };
        let wrong = ["build", &image, "--gpt", "--sector-size", other];
        let said = place.run(&[&wrong[..], &options].concat());
        assert!(said.code == Some(1) && said.err.contains("--sector-size"), "{}", said.err);
        assert!(fs::read(&backing).unwrap().iter().all(|byte| *byte == 0xa5));

        let said = built(&place, "init", &[&["--sector-size", sector], &options[..]].concat());
        assert_eq!(said["verity"]["rootHashFile"], Value::Null);
        let file = [&["-o", "file.ext4", "--sector-size", sector], &options[2..]].concat();
        built(&place, "init", &file);
        let bytes = |path: &Path| fs::read(path).unwrap();
        assert!(bytes(&backing).starts_with(&bytes(&place.path("file.ext4"))));
    }
}

#[test]
fn types_by_architecture() {
    let place = Place::new();
    for (architecture, label) in
        [("arm64", "root-arm64"), ("riscv64", "root-riscv64"), ("386", "root-x86"), ("wasm", ""), ("", "")]
    {
        let tar = Tar::default().file("x", 0o644, b"x").finish();
        let config = json!({ "architecture": architecture });
        fs::remove_dir_all(place.path("foreign")).unwrap_or_default();
        write_layout(&place.path("foreign"), "v1", &[Layer::plain(tar)], &config).unwrap();
        let platform = format!("linux/{architecture}");
        let platform =
            if architecture.is_empty() { &["--any-platform"][..] } else { &["--platform", &platform] };
        let build = ["build", "oci:foreign", "-o", "x.erofs", "--gpt", "--json"];
        let said = place.run(&[&build[..], platform].concat());
        if label.is_empty() {
            assert_eq!(said.code, Some(1), "{}", said.err);
            assert!(said.err.contains("partition"), "{}", said.err);
        } else {
            let said: Value = serde_json::from_str(&said.out).unwrap();
            assert_eq!(said["gpt"]["partitions"][0]["label"], label);
        }
    }
}

#[test]
fn what_is_no_partition() {
    let place = Place::new();
    for arguments in [
        &["-o", "x.tar", "--gpt"][..],
        &["-o", "x/", "--gpt"],
        &["-o", "-", "--gpt", "--format", "ext4"],
        &["-o", "x.erofs", "--gpt", "--verity-tree", "x.verity"],
        &["-o", "x.erofs", "--sector-size", "512"],
        &["-o", "x.ext4", "--gpt", "--sector-size", "4096", "--block-size", "1024"],
        &["-o", "x.raw", "--gpt"],
    ] {
        let said = place.run(&[&["build", "oci:image"], arguments].concat());
        assert_eq!(said.code, Some(2), "{arguments:?}: {}", said.err);
    }
}
