//! Broken stores, each with what a check must find in it, and what is left after a repair that can fetch nothing.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod common;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{Place, Put, put};
use hash::Digest;
use serde_json::json;
use unlade_store::Store;
use unlade_store::fsck::{Checked, Depth, Options, Report};

fn check_at(place: &Place, depth: Depth) -> Report {
    let is_outline = |bytes: &[u8]| bytes == b"outline";
    let is_rootfs = |mut file: &File, depth| {
        let mut text = String::new();
        file.read_to_string(&mut text).is_ok()
            && (text == "rootfs" || text == "damaged" && depth == Depth::References)
    };
    let (is_outline, is_rootfs) = (&is_outline, &is_rootfs);
    let options = Options { depth, is_outline, is_rootfs, verified: &BTreeSet::new(), progress: &|_, _| {} };
    Checked::new(&place.path()).unwrap().check(&options).unwrap()
}

fn check(place: &Place) -> Report {
    check_at(place, Depth::Bytes)
}

fn codes(report: &Report) -> Vec<String> {
    report.findings.iter().map(|finding| format!("{} {}", finding.severity(), finding.code())).collect()
}

/// A store with the images "one", of the layers "a" and "shared", and "two", of the layers "b" and "shared".
fn two_images() -> (Place, Put, Put) {
    let place = Place::new();
    let one = place.image("one", &["a", "shared"]);
    let two = place.image("two", &["b", "shared"]);
    (place, one, two)
}

type Break = fn(&Place, &Put);
type Codes = &'static [&'static str];
type Case = (&'static str, Break, Codes, Codes, Codes);

/// What is broken; what is found; what is left after a repair, and after tags were dropped as well.
const BROKEN: &[Case] = &[
    ("nothing", |_, _| {}, &[], &[], &[]),
    (
        "no mark",
        |place, _| fs::remove_file(place.path().join("oci-layout")).unwrap(),
        &["error layout-missing"],
        &[],
        &[],
    ),
    (
        "another version",
        |place, _| fs::write(place.path().join("oci-layout"), r#"{"imageLayoutVersion":"9"}"#).unwrap(),
        &["error layout-malformed"],
        &["error layout-malformed"],
        &["error layout-malformed"],
    ),
    (
        "a torn list of tags",
        |place, _| fs::write(place.path().join("index.json"), "{").unwrap(),
        &["error index-malformed"],
        &["error index-malformed"],
        &["error index-malformed"],
    ),
    (
        "an entry that is none",
        |place, _| place.edit_index(|entries| entries.push(json!({"digest": 7}))),
        &["warning entry-malformed"],
        &["warning entry-malformed"],
        &[],
    ),
    (
        "a name twice",
        |place, _| {
            place.edit_index(|entries| {
                let mut again = entries[0].clone();
                again["digest"] = entries[1]["digest"].clone();
                again["size"] = entries[1]["size"].clone();
                entries.push(again);
            })
        },
        &["warning tag-twice"],
        &["warning tag-twice"],
        &[],
    ),
    (
        "a layer that is gone",
        |place, one| fs::remove_file(place.blob(&one.layers[0])).unwrap(),
        &["error blob-missing"],
        &["error blob-missing"],
        &[],
    ),
    (
        "a config that is gone",
        |place, one| fs::remove_file(place.blob(&one.config)).unwrap(),
        &["error blob-missing"],
        &["error blob-missing"],
        &[],
    ),
    (
        "a manifest that is gone",
        |place, one| fs::remove_file(place.blob(&one.manifest.digest)).unwrap(),
        &["error blob-missing"],
        &["error blob-missing"],
        &[],
    ),
    (
        "a layer with another byte",
        |place, one| fs::write(place.blob(&one.layers[0]), "x").unwrap(),
        &["error blob-corrupt"],
        &["error blob-missing"],
        &[],
    ),
    (
        "a layer cut short",
        |place, one| fs::write(place.blob(&one.layers[0]), "").unwrap(),
        &["error blob-corrupt"],
        &["error blob-missing"],
        &[],
    ),
    (
        "a manifest with another byte",
        |place, one| {
            let path = place.blob(&one.manifest.digest);
            let mut bytes = fs::read(&path).unwrap();
            bytes[20] ^= 1;
            fs::write(path, bytes).unwrap();
        },
        &["error blob-corrupt"],
        &["error blob-missing"],
        &[],
    ),
    (
        "a corrupt blob that nobody needs",
        |place, _| fs::write(place.blob(&Digest::sha256(b"nobody's")), "x").unwrap(),
        &["error blob-corrupt"],
        &[],
        &[],
    ),
    (
        "a wrong size",
        |place, _| place.edit_index(|entries| entries[0]["size"] = 5.into()),
        &["error size-wrong"],
        &["error size-wrong"],
        &[],
    ),
    (
        "a tag of something that is no image",
        |place, _| {
            let digest = place.open().put_bytes(b"text").unwrap();
            place.edit_index(|entries| {
                entries[0]["digest"] = digest.to_string().into();
                entries[0]["size"] = 4.into();
            });
        },
        &["error document-unusable"],
        &["error document-unusable"],
        &[],
    ),
    (
        "a symlink in the place of a blob",
        |place, one| {
            let path = place.blob(&one.layers[0]);
            fs::rename(&path, place.path().join("elsewhere")).unwrap();
            host::symlink(&place.path().join("elsewhere"), &path).unwrap();
        },
        &["error blob-not-a-file"],
        &["error blob-missing"],
        &[],
    ),
    (
        "strange names among the blobs",
        |place, _| {
            fs::write(place.path().join("blobs/sha256/README"), "").unwrap();
            fs::create_dir(place.path().join("blobs/md5")).unwrap();
        },
        &["warning name-stray", "warning name-stray"],
        &["warning name-stray", "warning name-stray"],
        &["warning name-stray", "warning name-stray"],
    ),
    (
        "a diff ID that is none",
        |place, one| fs::write(place.own("diff-ids", &one.layers[0]), "sha256:12").unwrap(),
        &["warning diff-id-malformed"],
        &[],
        &[],
    ),
    (
        "a damaged outline",
        |place, one| fs::write(place.own("outlines", &one.layers[0]), "outl").unwrap(),
        &["warning outline-damaged"],
        &[],
        &[],
    ),
    (
        "a rootfs that is whole and two that are not",
        |place, one| {
            place.rootfs(one, "a", "rootfs");
            place.rootfs(one, "b", "damaged");
            place.rootfs(one, "c", "");
        },
        &["warning rootfs-damaged", "warning rootfs-damaged"],
        &[],
        &[],
    ),
    (
        "a rootfs of an image that is gone, which is for the next sweep",
        |place, _| {
            let gone = put(&place.open(), &["gone"]);
            fs::remove_file(place.blob(&gone.manifest.digest)).unwrap();
            place.rootfs(&gone, "a", "rootfs");
        },
        &[],
        &[],
        &[],
    ),
    (
        "what killed processes leave",
        |place, one| {
            let own = place.path().join("unlade");
            fs::create_dir_all(own.join("parts")).unwrap();
            fs::write(own.join("parts").join(format!("sha256-{}", "0".repeat(64))), "begun").unwrap();
            fs::create_dir_all(own.join("leases")).unwrap();
            fs::write(own.join("leases/77-dead"), format!("{}\n", one.config)).unwrap();
            fs::write(own.join("outlines/.tmp1"), "").unwrap();
            fs::write(own.join("diff-ids/.tmp2"), "").unwrap();
            fs::write(own.join("index.json.new"), "{").unwrap();
            let rootfs = place.rootfs(one, "a", "rootfs");
            fs::rename(rootfs, own.join("rootfs/.sha256-0123.unlade-77-0")).unwrap();
        },
        &["note leftover", "note leftover", "note leftover", "note leftover", "note leftover"],
        &["note leftover", "note leftover", "note leftover", "note leftover", "note leftover"],
        &["note leftover", "note leftover", "note leftover", "note leftover", "note leftover"],
    ),
    (
        "an image that other tools keep there, and of which not all platforms are here",
        |place, one| {
            let store = place.open();
            let absent = json!({
                "mediaType": testkit::layout::MANIFEST, "size": 3,
                "digest": format!("sha256:{}", "1".repeat(64)),
            });
            let index = testkit::layout::index(&[serde_json::to_value(&one.manifest).unwrap(), absent]);
            let index = index.to_string();
            let digest = store.put_bytes(index.as_bytes()).unwrap();
            place.edit_index(|entries| {
                entries.push(json!({
                    "mediaType": testkit::layout::INDEX, "digest": digest, "size": index.len(),
                    "annotations": {"org.opencontainers.image.ref.name": "latest"},
                }))
            });
        },
        &[],
        &[],
        &[],
    ),
];

#[test]
fn every_break_is_found() {
    let fits = |what: &str| host::HAS_SYMLINKS || !what.contains("symlink");
    for (what, broken, found, repaired, dropped) in BROKEN.iter().filter(|case| fits(case.0)) {
        let (place, one, _) = two_images();
        broken(&place, &one);
        let report = check(&place);
        assert_eq!(codes(&report), *found, "{what}");
        assert_eq!(report.is_clean(), found.iter().all(|code| code.starts_with("note")), "{what}");

        let checked = Checked::new(&place.path()).unwrap();
        checked.repair(&report.findings).unwrap();
        let report = check(&place);
        assert_eq!(codes(&report), *repaired, "{what}, repaired");
        // A list of tags that cannot be read cannot be changed.
        if *what != "a torn list of tags" {
            checked.drop_tags(&report.findings).unwrap();
        }
        let report = check(&place);
        assert_eq!(codes(&report), *dropped, "{what}, without tags");
        if report.is_clean() {
            let tags = Store::open(&place.path()).unwrap().tags().unwrap();
            assert!(tags.iter().any(|tag| tag.reference == common::reference("two")), "{what}");
        }
    }
}

#[test]
fn it_says_whose_it_is() {
    let (place, one, _) = two_images();
    let (own, shared) = (one.layers[0], one.layers[1]);
    fs::remove_file(place.blob(&own)).unwrap();
    fs::write(place.blob(&shared), "Shared").unwrap();
    let found = Digest::sha256(b"Shared");
    let report = check(&place);
    let said: Vec<String> = report
        .findings
        .iter()
        .map(|finding| format!("{finding} {:?} {}", finding.names().collect::<Vec<_>>(), finding.fix()))
        .collect();
    let (first, second) = ("docker.io/library/one:latest", "docker.io/library/two:latest");
    assert_eq!(
        said,
        [
            format!(
                "blob {shared} is corrupt: digest mismatch: expected {shared}, found {found} \
                 [\"{first}\", \"{second}\"] fetch"
            ),
            format!("blob {own} is missing [\"{first}\"] fetch"),
        ]
    );
    // A quick look sees the one, and not the other.
    assert_eq!(codes(&check_at(&place, Depth::References)), ["error blob-missing"]);
}

#[test]
fn each_byte_is_read_once() {
    let (place, ..) = two_images();
    let store = place.open();
    let large = "0123456789".repeat(500_000);
    put(&store, &[&large]);
    let (read, last) = (AtomicU64::new(0), AtomicU64::new(0));
    let progress = |done: u64, total: u64| {
        read.fetch_max(done, Ordering::Relaxed);
        last.store(total, Ordering::Relaxed);
    };
    let options = Options {
        depth: Depth::Bytes,
        is_outline: &|_| true,
        is_rootfs: &|_, _| true,
        verified: &BTreeSet::new(),
        progress: &progress,
    };
    let report = Checked::new(&place.path()).unwrap().check(&options).unwrap();
    assert!(report.is_clean());
    // Nobody has named the large image.
    assert_eq!((report.blobs, report.unneeded_blobs), (10, 3));
    let documents: u64 = [&place.image("one", &["a", "shared"]), &place.image("two", &["b", "shared"])]
        .iter()
        .map(|image| image.manifest.size)
        .sum();
    assert_eq!(read.into_inner(), last.into_inner());
    assert_eq!(report.verified.len(), 8, "the two manifests were read as documents");
    assert!(report.bytes > large.len() as u64 + documents);
}

#[cfg(unix)]
#[test]
fn a_file_that_cannot_be_read_is_a_finding() {
    if testkit::tools::is_root() {
        // Nothing is forbidden to root: a directory in its place is what cannot be read either.
        let (place, one, _) = two_images();
        fs::remove_file(place.blob(&one.manifest.digest)).unwrap();
        fs::create_dir(place.blob(&one.manifest.digest)).unwrap();
        let report = check(&place);
        assert_eq!(codes(&report), ["error blob-not-a-file"]);
        assert!(matches!(report.findings[0], unlade_store::fsck::Finding::NotAFile { .. }));
        return;
    }
    let (place, one, _) = two_images();
    let path = place.blob(&one.layers[0]);
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    assert_eq!(codes(&check(&place)), ["error blob-unreadable"]);
}

#[test]
fn a_store_that_is_just_being_made_is_clean() {
    // As far as whoever makes it has come; the mark comes last.
    for made in [&[][..], &["unlade/lock"], &["unlade/lock", "blobs/sha256/"]] {
        for index in [false, true] {
            let place = Place::new();
            fs::create_dir(place.path()).unwrap();
            for name in made {
                let path = place.path().join(name);
                fs::create_dir_all(if name.ends_with('/') { &path } else { path.parent().unwrap() }).unwrap();
                if !name.ends_with('/') {
                    File::create(path).unwrap();
                }
            }
            if index {
                fs::write(place.path().join("index.json"), r#"{"schemaVersion":2,"manifests":[]}"#).unwrap();
            }
            assert_eq!(check(&place).findings, [], "{made:?} {index}");
        }
    }
}

#[test]
fn what_is_no_store_is_not_checked() {
    let directory = tempfile::tempdir().unwrap();
    File::create(directory.path().join("letter")).unwrap();
    let said = Checked::new(directory.path()).unwrap_err().to_string();
    assert!(said.ends_with("is not a store: it has no oci-layout file, and is not empty"), "{said}");
    assert!(Checked::new(&directory.path().join("absent")).is_err());
}
