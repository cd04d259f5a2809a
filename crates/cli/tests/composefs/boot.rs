//! Images of trees as they are booted.

use std::fs;

use serde_json::json;
use testkit::image::{Header, Layer, Tar, write_layout};

use super::{clean, parsed, place};
use crate::support::Place;

/// A policy with the rules that matter: the last one counts, types, none, one that is longer than a stream holds.
const RULES: &str = "\
/.*\tsystem_u:object_r:default_t:s0
/usr(/.*)?\tsystem_u:object_r:usr_t:s0
/usr/bin(/.*)?\t--\tsystem_u:object_r:bin_t:s0
/usr/share(/.*)?\tsystem_u:object_r:share_t:s0
/usr/lib/none\t<<none>>
/boot -d system_u:object_r:boot_t:s0
";

/// A tree with everything that is changed for booting; `policy` is the name of its policy, if it has one.
pub(super) fn bootable(policy: Option<&str>, rules: &str) -> Vec<Layer> {
    let link = |name: &'static str, target: &'static str| Header {
        name: name.as_bytes(),
        link: target.as_bytes(),
        typeflag: b'1',
        // What a link's entry says of modes is true here, and of no concern to cfsctl.
        mode: 0o755,
        ..Header::default()
    };
    let mut tar = Tar::default()
        .entry(&Header { name: b"usr", typeflag: b'5', mode: 0o755, mtime: 77, ..Header::default() }, b"")
        .directory("usr/bin", 0o755)
        .file("usr/bin/tool", 0o755, &[7; 10_000])
        .directory("usr/lib", 0o755)
        .file("usr/lib/none", 0o644, b"unlabelled")
        .directory("usr/share", 0o755)
        .entry(&link("usr/share/tool", "usr/bin/tool"), b"")
        .entry(&link("usr/share/again", "usr/bin/tool"), b"")
        .entry(&link("usr/bin/again", "usr/bin/tool"), b"")
        .directory("usr/local", 0o755)
        .file("usr/local/file", 0o644, b"like share")
        .directory("boot", 0o700)
        .file("boot/vmlinuz", 0o644, &[1; 5000])
        .directory("sysroot", 0o755)
        .file("sysroot/left", 0o644, b"over")
        .symlink("bin", "usr/bin")
        .directory("etc", 0o755);
    if let Some(name) = policy {
        let place = format!("etc/selinux/{name}/contexts/files/file_contexts");
        // cfsctl refuses what lies in no directory.
        tar = tar
            .directory("etc/selinux", 0o755)
            .directory(&format!("etc/selinux/{name}"), 0o755)
            .directory(&format!("etc/selinux/{name}/contexts"), 0o755)
            .directory(&format!("etc/selinux/{name}/contexts/files"), 0o755)
            .file("etc/selinux/config", 0o644, format!("SELINUX=enforcing\nSELINUXTYPE={name}\n").as_bytes())
            .file(&place, 0o644, rules.as_bytes())
            .file(&format!("{place}.subs_dist"), 0o644, b"/usr/local /usr/share\n");
    }
    vec![Layer::gzip(&tar.finish())]
}

/// The images that cfsctl makes of a tree with a policy and of one without; kept in the golden.
pub(super) fn layouts(place: &Place) -> [&'static str; 2] {
    write_layout(&place.path("labelled"), "v1", &bootable(Some("targeted"), RULES), &json!({})).unwrap();
    write_layout(&place.path("unlabelled"), "v1", &bootable(None, ""), &json!({})).unwrap();
    ["labelled", "unlabelled"]
}

#[test]
fn what_is_booted() {
    let place = place();
    let [labelled, _] = layouts(&place);
    let pull =
        ["composefs", "pull", "--repo", "repo", &format!("oci:{labelled}"), "it", "--bootable", "--json"];
    let pulled = parsed("composefs-pull", &place.done(&pull).out);
    clean(&place);
    let id = pulled["bootImages"][0]["id"].as_str().unwrap();
    let listed =
        parsed("composefs-images", &place.done(&["composefs", "images", "--repo", "repo", "--json"]).out);
    assert_eq!(listed[0]["images"]["composefs.image.boot.v1"], id);
    let image = place.path("repo/images").join(id);
    let text = place.done(&["composefs", "dump", image.to_str().unwrap()]).out;
    let label = |path: &str| {
        let line = text.lines().find(|line| line.split(' ').next() == Some(path));
        let line = line.unwrap_or_else(|| panic!("no {path} in {text}"));
        line.split_once("security.selinux=").map(|(_, label)| label.split(':').nth(2).unwrap().to_owned())
    };
    for (path, expected) in [
        ("/", Some("default_t")),
        ("/usr", Some("usr_t")),
        ("/usr/bin", Some("usr_t")),
        ("/usr/bin/again", Some("bin_t")),
        ("/usr/share/tool", Some("share_t")),
        ("/usr/share/again", Some("share_t")),
        ("/usr/local/file", Some("share_t")),
        ("/usr/lib/none", None),
        ("/boot", Some("boot_t")),
        ("/sysroot", Some("default_t")),
    ] {
        assert_eq!(label(path).as_deref(), expected, "{path}");
    }
    assert!(!text.contains("/boot/") && !text.contains("/sysroot/"), "{text}");
    // The other image is as without it, and pulling again keeps both.
    assert!(place.done(&["composefs", "dump", "--repo", "repo", "it"]).out.contains("/boot/vmlinuz"));
    place.done(&["composefs", "pull", "--repo", "repo", &format!("oci:{labelled}"), "it"]);
    place.done(&["composefs", "gc", "--repo", "repo"]);
    clean(&place);
    assert!(image.exists());
}

#[test]
fn what_cannot_be_booted() {
    let place = place();
    let config = Tar::default().file("etc/selinux/config", 0o644, b"SELINUXTYPE=other\n").finish();
    let lost = [bootable(Some("targeted"), RULES), vec![Layer::plain(config)]].concat();
    let without_boot = Tar::default().directory("usr", 0o755).directory("sysroot", 0o755).finish();
    for (layers, said) in [
        (vec![Layer::plain(without_boot)], "there is no directory /boot"),
        (lost, "there is no /etc/selinux/other/contexts/files/file_contexts"),
        (bootable(Some("mls"), "/a(?=b).* label\n"), "(?=b).*).$ is not supported"),
        (bootable(Some("mls"), "/a\n"), "file_contexts, line 1: not a rule"),
    ] {
        let _ = fs::remove_dir_all(place.path("odd"));
        write_layout(&place.path("odd"), "v1", &layers, &json!({})).unwrap();
        let pull = ["composefs", "pull", "--repo", "repo", "oci:odd", "odd"];
        let run = place.run(&[&pull[..], &["--bootable"]].concat());
        assert_eq!(run.code, Some(1), "{}", run.err);
        assert!(run.err.contains(said), "{}", run.err);
        place.done(&pull);
    }
}
