//! What a sweep removes, and what it must not. On Windows it waits for every other store that is open (`lease`), and these
//! tests have several.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod common;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use common::{Place, Put, put, reference};
use hash::Digest;
use oci::Descriptor;
use unlade_store::gc::{LeftoverKind, Options, Plan};
use unlade_store::{Error, Store};

fn gc(place: &Place, options: &Options) -> Plan {
    // In a run of its own, as the command has it.
    place.open().gc(options, &|| ControlFlow::Continue(())).unwrap()
}

fn sweep(place: &Place) -> Plan {
    gc(place, &Options::default())
}

fn blobs(place: &Place) -> BTreeSet<Digest> {
    let entries = fs::read_dir(place.path().join("blobs/sha256")).unwrap();
    let name = |entry: fs::DirEntry| format!("sha256:{}", entry.file_name().to_str().unwrap());
    entries.map(|entry| name(entry.unwrap()).parse().unwrap()).collect()
}

fn all_of(images: &[&Put]) -> BTreeSet<Digest> {
    let all = |image: &&Put| {
        let mut digests = image.layers.clone();
        digests.extend([image.config, image.manifest.digest]);
        digests
    };
    images.iter().flat_map(all).collect()
}

fn names(store: &Store) -> Vec<String> {
    store.tags().unwrap().iter().map(|tag| tag.reference.to_string()).collect()
}

/// Lets an image have been used so many hours ago.
fn used(place: &Place, image: &Put, hours: u64) {
    place.open().touch(&image.manifest.digest);
    let file = File::options().write(true).open(place.own("used", &image.manifest.digest)).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(hours * 3_600)).unwrap();
}

#[test]
fn what_no_name_leads_to_goes() {
    let place = Place::new();
    let kept = place.image("kept", &["base", "kept"]);
    let gone = place.image("gone", &["base", "gone"]);
    let nameless = put(&place.open(), &["nameless"]);
    place.open().untag("gone", None).unwrap();

    let planned = place.open().plan_gc(&Options::default()).unwrap();
    assert_eq!(blobs(&place), all_of(&[&kept, &gone, &nameless]), "a plan removes nothing");
    let plan = sweep(&place);
    assert_eq!(planned.blobs, plan.blobs);
    assert_eq!(blobs(&place), all_of(&[&kept]));
    assert_eq!((plan.blobs.len(), plan.kept_blobs), (6, 4));
    // What was known of the layers went with them.
    assert_eq!(plan.files.iter().filter(|file| file.kind == LeftoverKind::Known).count(), 4);
    for directory in ["diff-ids", "outlines"] {
        assert!(place.own(directory, &kept.layers[1]).exists());
        assert!(!place.own(directory, &gone.layers[1]).exists());
    }
    let store = place.open();
    assert!(store.missing(&store.image_by_digest(&kept.manifest.digest).unwrap().unwrap()).is_empty());
    assert_eq!(sweep(&place).freed_bytes(), 0);
}

#[test]
fn what_a_running_process_looked_for_stays() {
    let place = Place::new();
    let puller = place.open();
    let image = put(&puller, &["half", "way"]);
    let builder = place.open();
    let other = put(&place.open(), &["of a layout"]);
    // It has read the manifest, and not asked for a layer yet.
    builder.image_by_digest(&other.manifest.digest).unwrap().unwrap();

    sweep(&place);
    assert_eq!(blobs(&place), all_of(&[&image, &other]));
    puller.tag(&reference("new"), image.manifest.clone(), None).unwrap();
    drop(puller);
    sweep(&place);
    assert_eq!(blobs(&place), all_of(&[&image, &other]));
    drop(builder);
    let plan = sweep(&place);
    assert_eq!(plan.blobs.len(), 3);
    assert_eq!(blobs(&place), all_of(&[&image]));
    // Neither did their leases stay.
    assert_eq!(fs::read_dir(place.path().join("unlade/leases")).unwrap().count(), 0);
}

#[test]
fn the_age_and_the_room_decide() {
    for (older_than, keep_bytes, gone) in [
        (None, None, &[][..]),
        (Some(100), None, &[]),
        (Some(25), None, &["oldest"]),
        (Some(5), None, &["oldest", "middle"]),
        (None, Some(u64::MAX), &[]),
        (None, Some(4_000), &["oldest"]),
        (None, Some(2_000), &["oldest", "middle"]),
        (None, Some(0), &["oldest", "middle", "newest"]),
        (Some(25), Some(2_000), &["oldest", "middle"]),
    ] {
        let place = Place::new();
        let text = |letter: &str| letter.repeat(1_000);
        let (a, b, c) = (text("a"), text("b"), text("c"));
        let images =
            [("oldest", &a, 30), ("middle", &b, 10), ("newest", &c, 1)].map(|(name, layer, hours)| {
                let image = place.image(name, &[layer, "shared"]);
                place.open().tag_stored(&image.manifest.digest, &reference(&format!("also/{name}"))).unwrap();
                used(&place, &image, hours);
                (name, image)
            });
        let older_than = older_than.map(|hours| Duration::from_secs(hours * 3_600));
        let plan = gc(&place, &Options { older_than, keep_bytes });
        let evicted: Vec<&str> = images
            .iter()
            .filter(|(_, image)| plan.images.iter().any(|evicted| evicted.digest == image.manifest.digest))
            .map(|(name, _)| *name)
            .collect();
        assert_eq!(evicted, gone, "{older_than:?} {keep_bytes:?}");
        let stay: Vec<&Put> =
            images.iter().filter(|(name, _)| !gone.contains(name)).map(|(_, image)| image).collect();
        assert_eq!(blobs(&place), all_of(&stay), "{older_than:?} {keep_bytes:?}");
        assert_eq!(names(&place.open()).len(), 2 * stay.len());
    }
}

/// Lets the store remember a rootfs of so many KiB that was used so many hours ago.
fn rootfs(place: &Place, image: &Put, kib: usize, hours: u64) -> PathBuf {
    let path = place.rootfs(image, &format!("{kib} {hours}"), &"x".repeat(kib << 10));
    let file = File::options().write(true).open(&path).unwrap();
    // Until then some filesystems have not decided what it takes.
    file.sync_all().unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(hours * 3_600)).unwrap();
    path
}

#[test]
fn a_rootfs_goes_with_its_image() {
    let place = Place::new();
    let (kept, gone) = (place.image("kept", &["kept"]), place.image("gone", &["gone"]));
    let paths = [&kept, &gone].map(|image| rootfs(&place, image, 64, 0));
    let half = place.path().join("unlade/rootfs/.sha256-0123.unlade-77-0");
    fs::write(&half, "half").unwrap();
    let held = half.with_file_name(".sha256-0123.unlade-77-1");
    fs::write(&held, "half").unwrap();
    let holder = File::open(&held).unwrap();
    holder.lock().unwrap();
    let there = |place: &Place| {
        let images = place.open().images().unwrap();
        images.iter().map(|image| image.rootfs_bytes).collect::<Vec<_>>()
    };
    assert_eq!(there(&place), [64 << 10, 64 << 10]);

    place.open().untag("gone", None).unwrap();
    let plan = sweep(&place);
    assert_eq!(paths.map(|path| path.exists()), [true, false]);
    assert_eq!((half.exists(), held.exists()), (false, true), "what a running process makes is held");
    let removed: Vec<_> = plan.files.iter().filter(|file| file.kind == LeftoverKind::Rootfs).collect();
    assert_eq!((removed.len(), removed[0].bytes, plan.kept_rootfs), (1, 64 << 10, 1));
    assert!(plan.kept_bytes > 64 << 10 && plan.freed_bytes() > 64 << 10);
    assert_eq!(there(&place), [64 << 10]);
    assert_eq!(sweep(&place).freed_bytes(), 0);
}

#[test]
fn the_age_and_the_room_decide_of_rootfs_as_well() {
    const KIB: u64 = 1 << 10;
    // Which of "old image", "new image", and the rootfs of the old one, the older and the younger of the new one go.
    for (older_than, keep_bytes, gone) in [
        (None, None, ""),
        (Some(40), None, ""),
        (Some(25), None, "old old-rootfs"),
        (Some(15), None, "old old-rootfs new-older"),
        (Some(8), None, "old old-rootfs new-older"),
        (Some(2), None, "old old-rootfs new new-older new-younger"),
        (None, Some(u64::MAX), ""),
        (None, Some(250 * KIB), "old-rootfs"),
        // The old image was used before the new one's rootfs.
        (None, Some(193 * KIB), "old old-rootfs"),
        (None, Some(120 * KIB), "old old-rootfs new-older"),
        (None, Some(60 * KIB), "old old-rootfs new-older new-younger"),
        (None, Some(0), "old old-rootfs new new-older new-younger"),
    ] {
        let place = Place::new();
        let images = [("old", 30), ("new", 5)].map(|(name, hours)| {
            let image = place.image(name, &[name]);
            used(&place, &image, hours);
            image
        });
        let paths = [
            ("old-rootfs", rootfs(&place, &images[0], 96, 30)),
            ("new-older", rootfs(&place, &images[1], 96, 20)),
            ("new-younger", rootfs(&place, &images[1], 96, 5)),
        ];
        let older_than = older_than.map(|hours| Duration::from_secs(hours * 3_600));
        let options = Options { older_than, keep_bytes };
        let planned = place.open().plan_gc(&options).unwrap();
        let plan = gc(&place, &options);
        assert_eq!((planned.freed_bytes(), planned.kept_bytes), (plan.freed_bytes(), plan.kept_bytes));
        let evicted = |image: &Put| plan.images.iter().any(|gone| gone.digest == image.manifest.digest);
        let mut went: Vec<&str> =
            paths.iter().filter(|(_, path)| !path.exists()).map(|(name, _)| *name).collect();
        went.extend(
            ["old", "new"].iter().zip(&images).filter(|(_, image)| evicted(image)).map(|(name, _)| *name),
        );
        went.sort_unstable();
        let mut wanted: Vec<&str> = gone.split_whitespace().collect();
        wanted.sort_unstable();
        assert_eq!(went, wanted, "{older_than:?} {keep_bytes:?}");
        assert_eq!(plan.kept_rootfs, paths.iter().filter(|(_, path)| path.exists()).count());
    }
    // Of an image that must stay they can go.
    let place = Place::new();
    let image = place.image("busy", &["busy"]);
    let path = rootfs(&place, &image, 96, 5);
    let user = place.open();
    user.image_by_digest(&image.manifest.digest).unwrap();
    let plan = gc(&place, &Options { older_than: None, keep_bytes: Some(0) });
    assert!(plan.images.is_empty() && !path.exists());
}

#[test]
fn what_is_used_or_named_by_others_keeps_its_name() {
    let place = Place::new();
    let busy = place.image("busy", &["busy"]);
    let foreign = place.image("foreign", &["foreign"]);
    place.edit_index(|entries| {
        entries[1]["annotations"]["org.opencontainers.image.ref.name"] = "latest".into();
    });
    let user = place.open();
    user.image_by_digest(&busy.manifest.digest).unwrap();
    let plan = gc(&place, &Options { older_than: Some(Duration::ZERO), keep_bytes: Some(0) });
    assert!(plan.images.is_empty(), "{:?}", plan.images);
    assert_eq!(blobs(&place), all_of(&[&busy, &foreign]));
}

#[test]
fn what_killed_processes_left_goes() {
    let place = Place::new();
    let image = place.image("kept", &["kept"]);
    let own = place.path().join("unlade");
    let (fetched, old, young) =
        (Digest::sha256(b"fetched"), Digest::sha256(b"old"), Digest::sha256(b"young"));
    fs::create_dir_all(own.join("parts")).unwrap();
    for digest in [fetched, old, young] {
        fs::write(place.own("parts", &digest), "begun").unwrap();
        if digest != young {
            let file = File::options().write(true).open(place.own("parts", &digest)).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(25 * 3_600)).unwrap();
        }
    }
    let part = File::open(place.own("parts", &fetched)).unwrap();
    part.lock().unwrap();
    let left =
        ["leases/77-dead", "outlines/.tmp1", "diff-ids/.tmp2", "index.json.new"].map(|name| own.join(name));
    for path in &left {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    fs::create_dir_all(own.join("parts/a directory")).unwrap();

    let plan = sweep(&place);
    assert!(left.iter().all(|path| !path.exists()));
    let parts = [fetched, old, young].map(|digest| place.own("parts", &digest).exists());
    assert_eq!(parts, [true, false, true]);
    assert_eq!(plan.files.len(), 5);
    assert_eq!(blobs(&place), all_of(&[&image]));
}

#[test]
fn nothing_goes_if_a_name_cannot_be_followed() {
    let place = Place::new();
    let image = place.image("broken", &["layer"]);
    fs::remove_file(place.blob(&image.manifest.digest)).unwrap();
    let error = place.open().gc(&Options::default(), &|| ControlFlow::Continue(())).unwrap_err();
    assert_eq!(error.to_string(), "cannot tell which blobs \"docker.io/library/broken:latest\" needs");
    assert!(place.blob(&image.layers[0]).exists());
    // A layer that is gone is no reason: nothing else hangs on it.
    let place = Place::new();
    let image = place.image("broken", &["layer", "other"]);
    fs::remove_file(place.blob(&image.layers[0])).unwrap();
    sweep(&place);
    assert!(place.blob(&image.layers[1]).exists());
}

#[test]
fn another_tools_index_keeps_what_is_there_of_it() {
    let place = Place::new();
    let image = place.image("one", &["layer"]);
    place.edit_index(|entries| entries.clear());
    let index = testkit::layout::index(&[
        serde_json::to_value(&image.manifest).unwrap(),
        serde_json::json!({"digest": format!("sha256:{}", "1".repeat(64)), "size": 2}),
    ])
    .to_string();
    let digest = place.open().put_bytes(index.as_bytes()).unwrap();
    place.edit_index(|entries| {
        // No name, no size, no media type: it has a digest.
        entries.push(serde_json::json!({"digest": digest}));
        entries.push(serde_json::json!({"digest": "nonsense"}));
    });
    let mut kept = all_of(&[&image]);
    kept.insert(digest);
    sweep(&place);
    assert_eq!(blobs(&place), kept);
}

#[test]
fn the_index_of_a_tag_is_kept_and_its_other_images_are_not() {
    let place = Place::new();
    let store = place.open();
    let (image, other) = (put(&store, &["amd64"]), put(&store, &["arm64"]));
    let manifests = [&image, &other].map(|image| image.manifest.clone());
    let index = serde_json::to_vec(&oci::Index::new(manifests.to_vec())).unwrap();
    let index = store.put_bytes(&index).unwrap();
    store.tag(&reference("multi"), image.manifest.clone(), Some(&index)).unwrap();
    drop(store);
    sweep(&place);
    let mut kept = all_of(&[&image]);
    kept.insert(index);
    assert_eq!(blobs(&place), kept);
}

/// An artifact without layers of its own: an attestation of `subject`, say. Gives its manifest and its statement.
fn artifact(store: &Store, subject: Option<&Put>) -> (Descriptor, Digest) {
    let statement = store.put_bytes(format!("of {:?}", subject.map(|put| put.config)).as_bytes()).unwrap();
    let empty = store.put_bytes(b"{}").unwrap();
    let mut manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": testkit::layout::MANIFEST,
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": empty, "size": 2},
        "layers": [{"mediaType": "application/vnd.in-toto+json", "digest": statement, "size": 1}],
    });
    if let Some(subject) = subject {
        manifest["subject"] = serde_json::to_value(&subject.manifest).unwrap();
    }
    let bytes = manifest.to_string();
    let digest = store.put_bytes(bytes.as_bytes()).unwrap();
    (Descriptor { digest, size: bytes.len() as u64, platform: None, ..template() }, statement)
}

fn template() -> Descriptor {
    Descriptor::new(oci::MediaType::parse(testkit::layout::MANIFEST), Digest::sha256(b""), 0)
}

/// An index in the store.
fn put_index(store: &Store, entries: &[&Descriptor]) -> Descriptor {
    let entries = entries.iter().map(|entry| (*entry).clone()).collect();
    let bytes = serde_json::to_vec(&oci::Index::new(entries)).unwrap();
    let digest = store.put_bytes(&bytes).unwrap();
    let media_type = oci::MediaType::parse(testkit::layout::INDEX);
    Descriptor::new(media_type, digest, bytes.len() as u64)
}

/// How an index comes to be in the list of tags.
#[derive(Debug, Clone, Copy)]
enum Named {
    /// Its amd64 image has a tag, which says that it was chosen from the index.
    Tagged,
    /// Both images have one, as after a copy for all platforms.
    TaggedTwice,
    /// Another tool has put it there.
    ByOthers,
    /// A running process has looked at it.
    Held,
}

/// An index leads to two images, of which one lies in an index of its own, to an attestation of the first, and to an
/// image that was never fetched. What stays is what `docs/store.md` says.
#[test]
fn what_an_index_leads_to() {
    for (how, wanted) in [
        (Named::Tagged, "index amd64"),
        (Named::TaggedTwice, "index amd64 arm64"),
        (Named::ByOthers, "index amd64 attestation nested arm64"),
        (Named::Held, "index amd64 attestation nested arm64"),
    ] {
        let place = Place::new();
        let store = place.open();
        let (amd64, arm64) = (put(&store, &["amd64"]), put(&store, &["arm64"]));
        let (attestation, statement) = artifact(&store, Some(&amd64));
        // It refers to the image, which is no reason for the image to keep it.
        let (referrer, _) = artifact(&store, Some(&arm64));
        let nested = put_index(&store, &[&arm64.manifest]);
        let absent = Descriptor { digest: Digest::sha256(b"never fetched"), ..template() };
        let index = put_index(&store, &[&amd64.manifest, &attestation, &nested, &absent]);
        let mut parts = vec![
            ("index", BTreeSet::from([index.digest])),
            ("amd64", all_of(&[&amd64])),
            ("attestation", BTreeSet::from([attestation.digest, statement, Digest::sha256(b"{}")])),
            ("nested", BTreeSet::from([nested.digest])),
            ("arm64", all_of(&[&arm64])),
            ("referrer", BTreeSet::from([referrer.digest])),
        ];
        let tagged = match how {
            Named::Tagged => vec![(&amd64, "linux/amd64")],
            Named::TaggedTwice => vec![(&amd64, "linux/amd64"), (&arm64, "linux/arm64")],
            Named::ByOthers | Named::Held => vec![],
        };
        for (image, platform) in tagged {
            let descriptor = Descriptor { platform: platform.parse().ok(), ..image.manifest.clone() };
            store.tag(&reference("multi"), descriptor, Some(&index.digest)).unwrap();
        }
        drop(store);
        if let Named::ByOthers = how {
            place.edit_index(|entries| entries.push(serde_json::to_value(&index).unwrap()));
        }
        let holder = place.open();
        if let Named::Held = how {
            assert!(holder.contains(&index.digest, index.size));
        }
        let report = place.open().plan_gc(&Options::default()).unwrap();
        let plan = sweep(&place);
        assert_eq!(report.blobs, plan.blobs, "{how:?}");
        let left = blobs(&place);
        parts.retain(|(_, digests)| digests.is_subset(&left));
        let stayed: Vec<&str> = parts.iter().map(|(name, _)| *name).collect();
        assert_eq!(stayed.join(" "), wanted, "{how:?}");
        let known: BTreeSet<Digest> = parts.into_iter().flat_map(|(_, digests)| digests).collect();
        assert_eq!(left, known, "{how:?}: and nothing else");
    }
}

#[test]
fn who_cannot_write_a_lease_keeps_sweeps_away() {
    let place = Place::new();
    let image = put(&place.open(), &["layer"]);
    // A file where the directory of leases should be: whoever it is, nothing can be made in it.
    fs::remove_dir_all(place.path().join("unlade/leases")).unwrap();
    fs::write(place.path().join("unlade/leases"), "").unwrap();
    let reader = place.open();
    reader.image_by_digest(&image.manifest.digest).unwrap().unwrap();
    fs::remove_file(place.path().join("unlade/leases")).unwrap();
    let error = place.open().gc(&Options::default(), &|| ControlFlow::Break(())).unwrap_err();
    assert!(matches!(error, Error::InUse { .. }), "{error}");
    drop(reader);
    assert_eq!(sweep(&place).blobs.len(), 3);
}

#[test]
fn images_with_and_without_a_name() {
    let place = Place::new();
    let named = place.image("named", &["a"]);
    let nameless = put(&place.open(), &["a", "b"]);
    let store = place.open();
    let shown = |images: Vec<unlade_store::Stored>| -> Vec<_> {
        images.into_iter().map(|image| (image.name, image.digest, image.bytes, image.missing)).collect()
    };
    let name = Some("docker.io/library/named:latest".to_string());
    assert_eq!(shown(store.images().unwrap()), [(name, named.manifest.digest, 1, 0)]);
    assert_eq!(shown(store.untagged().unwrap()), [(None, nameless.manifest.digest, 2, 0)]);

    // A name for the nameless one, which then is not removed as such.
    store.tag_stored(&nameless.manifest.digest, &reference("x/y:z")).unwrap();
    assert!(store.untagged().unwrap().is_empty());
    assert!(matches!(
        store.remove_untagged(&nameless.manifest.digest),
        Err(Error::Tagged { name, .. }) if name == "docker.io/x/y:z"
    ));
    let error = store.untag("x/y", None).unwrap_err();
    assert_eq!(error.to_string(), "the store has no \"x/y\"");
    assert!(store.untag("x/y:z", "linux/arm64".parse().ok().as_ref()).is_err());
    assert_eq!(
        store.untag("x/y:z", "linux/amd64".parse().ok().as_ref()).unwrap(),
        [nameless.manifest.digest]
    );
    // This very object has looked at it, and nobody can know that it needs it no more.
    assert!(matches!(store.remove_untagged(&nameless.manifest.digest), Err(Error::Needed { .. })));
    drop(store);
    place.open().remove_untagged(&nameless.manifest.digest).unwrap();
    assert!(place.open().untagged().unwrap().is_empty());
    assert_eq!(blobs(&place).len(), 5, "its blobs wait for the next sweep");

    let store = place.open();
    fs::remove_file(place.blob(&named.layers[0])).unwrap();
    assert_eq!(store.images().unwrap()[0].missing, 1);
    assert!(matches!(
        store.tag_stored(&named.manifest.digest, &reference("other")),
        Err(Error::Incomplete { missing: 1, .. })
    ));
    let absent = Descriptor::new(named.manifest.media_type, Digest::sha256(b"absent"), 1).digest;
    assert!(matches!(store.tag_stored(&absent, &reference("other")), Err(Error::Missing { .. })));
}
