//! What the kernel shows of an image.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use testkit::corpus;
use testkit::image::{Layer, Tar, write_layout};
use testkit::judge;
use testkit::listing::{self, Line};
use testkit::tools;

use super::{clean, layers, place, pull};
use crate::support::Place;

/// An image of the repository that is mounted, until this is dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn new(place: &Place, tag: &str, more: &[&str]) -> Mounted {
        let point = place.path("mounted");
        fs::create_dir_all(&point).unwrap();
        place.done(&[&["composefs", "mount", "--repo", "repo", tag, "mounted"], more].concat());
        Mounted(point)
    }

    fn list(&self) -> Vec<Line> {
        listing::list(&self.0).unwrap()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        tools::run(tools::command("umount").arg(&self.0)).unwrap();
    }
}

/// What composefs makes of a tree: the root is like `/usr`, `/run` is empty, attributes are file capabilities alone.
fn composed(mut lines: Vec<Line>) -> Vec<Line> {
    lines.retain(|line| !line.path.starts_with(b"run/"));
    for line in &mut lines {
        line.xattrs.retain(|name, _| name == b"security.capability");
    }
    if let Some(usr) = lines.iter().find(|line| line.path == b"usr").cloned() {
        for line in &mut lines {
            match &line.path[..] {
                b"" => *line = Line { path: Vec::new(), ..usr.clone() },
                b"run" => line.mtime = usr.mtime,
                _ => {}
            }
        }
    }
    lines
}

/// The same image as ext4, by its kernel driver.
fn as_ext4(place: &Place, image: &str) -> Vec<Line> {
    place.done(&["build", image, "-o", "rootfs.ext4"]);
    judge::found(&place.path("rootfs.ext4"), &place.path("")).unwrap()
}

fn attributes(point: &Path) -> String {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let point = format!(" {} ", point.display());
    mounts.lines().find(|line| line.contains(&point)).unwrap().into()
}

#[test]
fn each_way_shows_what_ext4_shows() {
    let place = place();
    pull(&place);
    let expected = composed(as_ext4(&place, "oci:two"));
    for way in ["detached", "file", "loop"] {
        let mounted = Mounted::new(&place, "two", &["--way", way]);
        assert_eq!(listing::diff(&expected, &mounted.list()), Vec::<String>::new(), "{way}");
        let attributes = attributes(&mounted.0);
        assert!(attributes.contains(" ro,nosuid,nodev,"), "{attributes}");
    }
    let mounted = Mounted::new(&place, "two", &["--trusted"]);
    assert!(attributes(&mounted.0).contains(" ro,relatime "), "{}", attributes(&mounted.0));
    // Nothing else stays mounted.
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains("unlade-mount-"), "{mounts}");
}

/// Says in what the kernel's view of an image of the corpus differs from what its unpacker makes of it.
fn corpus_image(name: &str) {
    let place = place();
    let image = corpus::find(name).unwrap();
    place.done(&["composefs", "pull", "--repo", "repo", &judge::source(image), "it"]);
    let expected = judge::expected(image, &place.path("")).unwrap();
    let expected = judge::Expected { lines: composed(expected.lines), ..expected };
    let mounted = Mounted::new(&place, "it", &[]);
    assert_eq!(expected.differences(&mounted.list()), Vec::<String>::new());
}

#[test]
fn sixty_layers_are_what_umoci_makes_of_them() {
    corpus_image("layers60");
}

#[test]
#[ignore = "as long as all of the corpus takes: cargo xtask cfsctl"]
fn the_corpus_is_what_umoci_makes_of_it() {
    for image in corpus::IMAGES {
        // Sparse files are not taken apart.
        let is_sparse = image.name.starts_with("special");
        if !is_sparse && corpus::directory().join(image.name).is_dir() {
            corpus_image(image.name);
        }
    }
}

#[test]
fn what_two_images_share_stays_when_one_goes() {
    let place = place();
    let [lower, upper] = <[Layer; 2]>::try_from(layers()).ok().unwrap();
    let other = Tar::default().file("other", 0o644, &[b'o'; 9000]).finish();
    write_layout(&place.path("other"), "v1", &[lower, Layer::gzip(&other)], &json!({})).unwrap();
    drop(upper);
    pull(&place);
    let second = place.done(&["composefs", "pull", "--repo", "repo", "oci:other", "other"]);
    assert!(second.err.contains("2 layers, 1 of them new"), "{}", second.err);
    let expected = composed(as_ext4(&place, "oci:two"));
    place.done(&["composefs", "untag", "--repo", "repo", "other"]);
    let swept = place.done(&["composefs", "gc", "--repo", "repo"]);
    assert!(!swept.out.starts_with("0 objects"), "{}", swept.out);
    clean(&place);
    let mounted = Mounted::new(&place, "two", &[]);
    assert_eq!(listing::diff(&expected, &mounted.list()), Vec::<String>::new());
    let objects: BTreeMap<_, _> = super::everything(&place.path("repo/objects"));
    let dump = place.done(&["composefs", "ls", "--repo", "repo", "two"]).out;
    let named: Vec<&str> = dump.lines().filter_map(|line| line.split_once(' ')).map(|(_, id)| id).collect();
    assert!(!named.is_empty());
    for id in named {
        assert!(objects.contains_key(Path::new(&format!("{}/{}", &id[..2], &id[2..]))), "{id}");
    }
}

#[test]
fn what_cannot_be_mounted() {
    let place = place();
    let pulled = pull(&place);
    for (arguments, code, said) in [
        (&["none", "mounted"][..], 4, "there is no tag none"),
        (&["two", "nowhere"], 1, "cannot mount on nowhere"),
        (&["two", "mounted", "--bootable"], 1, "there is no bootable image of two"),
    ] {
        let run = place.run(&[&["composefs", "mount", "--repo", "repo"], arguments].concat());
        assert_eq!(run.code, Some(code), "{arguments:?}: {}", run.err);
        assert!(run.err.contains(said), "{arguments:?}: {}", run.err);
    }
    let image = place.path("repo/images").join(pulled["images"][0]["id"].as_str().unwrap());
    let mut bytes = fs::read(&image).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&image, bytes).unwrap();
    fs::create_dir(place.path("mounted")).unwrap();
    let run = place.run(&["composefs", "mount", "--repo", "repo", "two", "mounted"]);
    assert!(run.err.contains("has the digest"), "{}", run.err);
}
