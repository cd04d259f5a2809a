//! The store alone: what comes in, what does not, and what comes out again.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::Cell;
use std::fs;
use std::io::{self, Read};
use std::ops::ControlFlow;
#[cfg(unix)]
use std::path::Path;

use hash::{Algorithm, Digest};
use oci::{Descriptor, MediaType, Platform, Reference};
use unlade_store::{Error, Store};

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

fn on(_: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Bytes without a pattern that a mistake could hide in.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 7u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(next).collect()
}

fn describe(bytes: &[u8]) -> Descriptor {
    Descriptor::new(MediaType::parse(LAYER), Digest::sha256(bytes), bytes.len() as u64)
}

fn part(store: &Store, descriptor: &Descriptor) -> std::path::PathBuf {
    store.path().join("unlade/parts").join(descriptor.digest.to_string().replace(':', "-"))
}

fn read(store: &Store, descriptor: &Descriptor) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    store.open_blob(descriptor).map_err(io::Error::other)?.verify().read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Puts what `source` has, and gives the offsets that were asked for.
fn put(store: &Store, descriptor: &Descriptor, source: &[u8]) -> (Vec<u64>, Result<(), Error>) {
    let mut offsets = Vec::new();
    let mut fetch = |offset: u64| {
        offsets.push(offset);
        let rest = source.get(offset as usize..).unwrap_or_default().to_vec();
        Ok(Box::new(io::Cursor::new(rest)) as Box<dyn Read + Send>)
    };
    let done = store.put(descriptor, &mut fetch, &on);
    (offsets, done)
}

/// No file but the ones that every store has.
fn assert_no_blob(store: &Store, descriptor: &Descriptor) {
    assert!(!store.contains(&descriptor.digest, descriptor.size));
    assert!(!store.blob_path(&descriptor.digest).exists());
}

#[test]
fn what_is_put_is_there() {
    let store = Store::temporary(None).unwrap();
    for length in [0, 1, 70_000, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 5_000_000] {
        let bytes = noise(length);
        let descriptor = describe(&bytes);
        let (offsets, done) = put(&store, &descriptor, &bytes);
        done.unwrap();
        assert_eq!(offsets, if length == 0 { vec![] } else { vec![0] });
        assert!(store.is_fresh(&descriptor.digest));
        assert!(!part(&store, &descriptor).exists());
        assert!(read(&store, &descriptor).unwrap() == bytes, "{length}");
        // Once more costs nothing.
        assert!(put(&store, &descriptor, &bytes).0.is_empty());
    }
    let long = Digest::of(Algorithm::Sha512, b"abc");
    store.put_document(&long, b"abc").unwrap();
    let descriptor = Descriptor::new(MediaType::parse(LAYER), long, 3);
    assert_eq!(store.document(&descriptor).unwrap(), b"abc");
}

#[test]
fn what_comes_out_of_a_file_is_checked_as_well() {
    let store = Store::temporary(None).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("archive");
    let bytes = noise(3_000_000);
    fs::write(&path, &bytes).unwrap();
    let file = fs::File::open(&path).unwrap();
    for range in [0..bytes.len(), 512..2_000_000, 7..8] {
        let descriptor = describe(&bytes[range.clone()]);
        store.put_file(&descriptor, &file, range.start as u64, &on).unwrap();
        assert!(read(&store, &descriptor).unwrap() == bytes[range]);
    }
    let wrong = describe(b"other");
    let error = store.put_file(&wrong, &file, 5, &on).unwrap_err();
    assert!(matches!(error, Error::Mismatch(hash::Mismatch::Digest { .. })), "{error}");
    let beyond = Descriptor::new(MediaType::parse(LAYER), wrong.digest, 10);
    let error = store.put_file(&beyond, &file, bytes.len() as u64 - 3, &on).unwrap_err();
    assert_eq!(error.to_string(), format!("{} has 3 bytes instead of 10", wrong.digest));
    assert_no_blob(&store, &wrong);
    assert!(!part(&store, &wrong).exists());
}

#[test]
fn wrong_bytes_are_refused() {
    let store = Store::temporary(None).unwrap();
    let bytes = noise(3_000_000);
    let descriptor = describe(&bytes);
    let digest = descriptor.digest;
    let mut flipped = bytes.clone();
    flipped[2_999_999] ^= 1;
    let found = Digest::sha256(&flipped);
    let longer = [&bytes[..], b"x"].concat();
    for (source, said) in [
        (&flipped[..], format!("digest mismatch: expected {digest}, found {found}")),
        (&longer, format!("{digest} has more than 3000000 bytes")),
        (&bytes[..2_000_000], format!("{digest} has 2000000 bytes instead of 3000000")),
        (&[], format!("{digest} has 0 bytes instead of 3000000")),
    ] {
        let (offsets, done) = put(&store, &descriptor, source);
        assert_eq!(done.unwrap_err().to_string(), said);
        assert_eq!(offsets, [0]);
        assert_no_blob(&store, &descriptor);
        assert!(!part(&store, &descriptor).exists());
    }
    assert!(matches!(store.put_document(&digest, b"other"), Err(Error::Mismatch(_))));
}

#[test]
fn a_part_is_gone_on_with_if_it_is_right() {
    let bytes = noise(3_000_000);
    let descriptor = describe(&bytes);
    let mut wrong = bytes[..1_500_000].to_vec();
    wrong[0] ^= 1;
    let mut all_wrong = bytes.clone();
    all_wrong[77] ^= 1;
    for (left, offsets) in [
        (&bytes[..1_500_000], vec![1_500_000]),
        (&bytes[..], vec![]),
        (&[], vec![0]),
        (&wrong[..], vec![1_500_000, 0]),
        (&all_wrong[..], vec![0]),
        (&noise(3_000_001)[..], vec![0]),
    ] {
        let store = Store::temporary(None).unwrap();
        fs::create_dir_all(part(&store, &descriptor).parent().unwrap()).unwrap();
        fs::write(part(&store, &descriptor), left).unwrap();
        let (asked, done) = put(&store, &descriptor, &bytes);
        done.unwrap();
        assert_eq!(asked, offsets, "{} bytes were left", left.len());
        assert!(read(&store, &descriptor).unwrap() == bytes);
        assert!(!part(&store, &descriptor).exists());
    }
    // Wrong before, and wrong again: that is the end.
    let store = Store::temporary(None).unwrap();
    fs::create_dir_all(part(&store, &descriptor).parent().unwrap()).unwrap();
    fs::write(part(&store, &descriptor), &wrong).unwrap();
    let (asked, done) = put(&store, &descriptor, &all_wrong);
    assert!(matches!(done, Err(Error::Mismatch(_))));
    assert_eq!(asked, [1_500_000, 0]);
    assert!(!part(&store, &descriptor).exists());
}

/// Gives some bytes, then an error.
struct Breaking(io::Cursor<Vec<u8>>);

impl Read for Breaking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(io::Error::other("the line is dead")),
            count => Ok(count),
        }
    }
}

#[test]
fn what_arrived_before_an_error_is_kept() {
    let store = Store::temporary(None).unwrap();
    let bytes = noise(3_000_000);
    let descriptor = describe(&bytes);
    let mut fetch =
        |_| Ok(Box::new(Breaking(io::Cursor::new(bytes[..1_234_567].to_vec()))) as Box<dyn Read + Send>);
    let error = store.put(&descriptor, &mut fetch, &on).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot fetch blob {}", descriptor.digest));
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "the line is dead");
    assert_no_blob(&store, &descriptor);
    assert!(fs::read(part(&store, &descriptor)).unwrap() == bytes[..1_234_567]);
    let (asked, done) = put(&store, &descriptor, &bytes);
    done.unwrap();
    assert_eq!(asked, [1_234_567]);

    // Nothing at all leaves nothing.
    let other = describe(b"other");
    let mut refuse = |_| Err(io::Error::other("no"));
    assert!(matches!(store.put(&other, &mut refuse, &on), Err(Error::Fetch { .. })));
    assert!(!part(&store, &other).exists());
}

#[test]
fn progress_is_told_and_may_stop() {
    let store = Store::temporary(None).unwrap();
    let bytes = noise(4 << 20);
    let descriptor = describe(&bytes);
    let last = Cell::new(0);
    let until = |done| {
        assert!(done >= last.replace(done));
        if done >= 2 << 20 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let mut fetch = |_| Ok(Box::new(io::Cursor::new(bytes.clone())) as Box<dyn Read + Send>);
    assert!(matches!(store.put(&descriptor, &mut fetch, &until), Err(Error::Cancelled)));
    assert_eq!(part(&store, &descriptor).metadata().unwrap().len(), 2 << 20);
    assert_no_blob(&store, &descriptor);
}

#[test]
fn what_went_bad_is_noticed_and_heals() {
    let store = Store::temporary(None).unwrap();
    let bytes = noise(100_000);
    let descriptor = describe(&bytes);
    let path = store.blob_path(&descriptor.digest);
    let digest = descriptor.digest;
    let mut flipped = bytes.clone();
    flipped[50_000] ^= 0x10;
    for bad in [&bytes[..99_999], &flipped, &[], &[&bytes[..], b"more"].concat()] {
        put(&store, &descriptor, &bytes).1.unwrap();
        assert!(!store.discard(&digest).unwrap(), "a false alarm");
        fs::write(&path, bad).unwrap();
        assert!(read(&store, &descriptor).is_err());
        assert!(matches!(store.document(&descriptor), Err(Error::Corrupt { .. })));
        assert!(store.discard(&digest).unwrap());
        assert!(!path.exists() && !store.is_fresh(&digest));
        assert!(!store.discard(&digest).unwrap(), "there is none");
    }
    if !host::HAS_SYMLINKS {
        return;
    }
    // What stands in the way is replaced, not written through.
    let elsewhere = store.path().join("elsewhere");
    fs::write(&elsewhere, &bytes).unwrap();
    host::symlink(&elsewhere, &path).unwrap();
    assert!(!store.contains(&digest, descriptor.size));
    let said = store.open_blob(&descriptor).unwrap_err().to_string();
    assert_eq!(said, format!("{} is not a regular file", path.display()));
    put(&store, &descriptor, &bytes).1.unwrap();
    assert!(fs::symlink_metadata(&path).unwrap().is_file());
    fs::remove_file(&path).unwrap();
    let said = store.open_blob(&descriptor).unwrap_err().to_string();
    assert_eq!(said, format!("blob {digest} is not in the store"));
}

#[test]
fn diff_ids_are_remembered() {
    let store = Store::temporary(None).unwrap();
    let (blob, diff_id) = (Digest::sha256(b"blob"), Digest::of(Algorithm::Sha512, b"tar"));
    assert_eq!(store.diff_id(&blob), None);
    store.remember_diff_id(&blob, &diff_id).unwrap();
    assert_eq!(store.diff_id(&blob), Some(diff_id));
    // Cut short by a crash: as if it were not there.
    let path = store.path().join("unlade/diff-ids").join(blob.to_string().replace(':', "-"));
    fs::write(path, "sha512:12").unwrap();
    assert_eq!(store.diff_id(&blob), None);
}

#[test]
fn only_stores_are_opened() {
    let directory = tempfile::tempdir().unwrap();
    let open = |name: &str| Store::open(&directory.path().join(name)).map(drop).map_err(|e| e.to_string());
    let make = |path: &str, text: &str| {
        let path = directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let shown = |name: &str| directory.path().join(name).display().to_string();

    assert_eq!(open("new/deep"), Ok(()));
    assert_eq!(open("new/deep"), Ok(()));
    fs::create_dir(directory.path().join("empty")).unwrap();
    assert_eq!(open("empty"), Ok(()));
    // Left by a process that was killed while it made a store.
    make("begun/unlade/lock", "");
    assert_eq!(open("begun"), Ok(()));
    // Other tools' layouts are layouts.
    make("foreign/oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
    assert_eq!(open("foreign"), Ok(()));

    make("home/letter", "");
    make("home/unlade/x", "");
    let said = format!("{} is not a store: it has no oci-layout file, and is not empty", shown("home"));
    assert_eq!(open("home"), Err(said));
    make("file", "");
    #[cfg(unix)]
    assert_eq!(open("file"), Err(format!("cannot read {}", shown("file/oci-layout"))));
    make("next/oci-layout", r#"{"imageLayoutVersion":"2.0.0"}"#);
    let said =
        format!("{} has version \"2.0.0\" of the image layout; only 1.0.0 is supported", shown("next"));
    assert_eq!(open("next"), Err(said));
    let layout = if cfg!(windows) { "torn\\oci-layout" } else { "torn/oci-layout" };
    make("torn/oci-layout", "{");
    let said = open("torn").unwrap_err();
    assert!(said.starts_with(&format!("{} is malformed: EOF", shown(layout))), "{said}");
}

#[test]
fn a_temporary_store_goes_away() {
    let parent = tempfile::tempdir().unwrap();
    let store = Store::temporary(Some(parent.path())).unwrap();
    store.put_bytes(b"x").unwrap();
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1);
    drop(store);
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
}

/// An image without layers; its documents are in the store.
fn image(store: &Store, platform: &str, note: &str) -> Descriptor {
    let platform: Platform = platform.parse().unwrap();
    let config = format!(
        r#"{{"architecture":"{}","os":"{}","rootfs":{{"type":"layers","diff_ids":[]}},"note":"{note}"}}"#,
        platform.architecture, platform.os
    );
    let digest = store.put_bytes(config.as_bytes()).unwrap();
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{digest}","size":{}}},"layers":[]}}"#,
        MediaType::OCI_MANIFEST,
        config.len()
    );
    let digest = store.put_bytes(manifest.as_bytes()).unwrap();
    let media_type = MediaType::parse(MediaType::OCI_MANIFEST);
    Descriptor { platform: Some(platform), ..Descriptor::new(media_type, digest, manifest.len() as u64) }
}

fn index(store: &Store, manifests: Vec<Descriptor>) -> Digest {
    store.put_bytes(&serde_json::to_vec(&oci::Index::new(manifests)).unwrap()).unwrap()
}

#[test]
fn tags_name_images() {
    let store = Store::temporary(None).unwrap();
    let name: Reference = "alpine".parse().unwrap();
    let (amd64, arm64): (Platform, Platform) =
        ("linux/amd64".parse().unwrap(), "linux/arm64".parse().unwrap());
    let find = |reference: &Reference, platform: &Platform| {
        store.image(reference, platform).unwrap().map(|image| image.descriptor.digest)
    };
    let [one, two, arm] = [("linux/amd64", "1"), ("linux/amd64", "2"), ("linux/arm64", "3")]
        .map(|(platform, note)| image(&store, platform, note));
    let from = index(&store, vec![one.clone(), arm.clone()]);

    assert_eq!(find(&name, &amd64), None);
    store.tag(&name, one.clone(), Some(&from)).unwrap();
    assert_eq!((find(&name, &amd64), find(&name, &arm64)), (Some(one.digest), None));
    store.tag(&name, arm.clone(), None).unwrap();
    store.tag(&name, two.clone(), None).unwrap();
    store.tag(&name, two.clone(), None).unwrap();
    assert_eq!((find(&name, &amd64), find(&name, &arm64)), (Some(two.digest), Some(arm.digest)));
    let tags: Vec<_> =
        store.tags().unwrap().into_iter().map(|t| (t.reference, t.descriptor.digest)).collect();
    assert_eq!(tags, [(name.clone(), arm.digest), (name.clone(), two.digest)]);

    // By digest no tag is needed, and an index is as good as a manifest.
    assert_eq!(find(&name.with_digest(one.digest), &amd64), Some(one.digest));
    assert_eq!(find(&name.with_digest(from), &arm64), Some(arm.digest));
    assert_eq!(find(&name.with_digest(Digest::sha256(b"?")), &amd64), None);

    let json: serde_json::Value =
        serde_json::from_slice(&fs::read(store.path().join("index.json")).unwrap()).unwrap();
    assert_eq!(json["manifests"][1]["annotations"][Descriptor::REF_NAME], "docker.io/library/alpine:latest");
    assert_eq!(json["manifests"][1]["platform"]["architecture"], "amd64");

    // A tag whose documents are gone is as if never pulled; one whose documents went bad is not.
    let path = store.blob_path(&two.digest);
    fs::write(&path, "junk").unwrap();
    let error = store.image(&name, &amd64).unwrap_err();
    assert_eq!(error.corrupt_blob(), Some(two.digest));
    fs::remove_file(path).unwrap();
    assert_eq!(find(&name, &amd64), None);

    fs::write(store.path().join("index.json"), "{").unwrap();
    let said = store.tags().unwrap_err().to_string();
    assert!(
        said.ends_with("index.json is malformed: EOF while parsing an object at line 1 column 1"),
        "{said}"
    );
}

#[test]
fn a_lesser_variant_does_not_hide_a_better_one() {
    let store = Store::temporary(None).unwrap();
    let name: Reference = "app".parse().unwrap();
    let platform = |text: &str| text.parse::<Platform>().unwrap();
    let [v1, v3] = ["linux/amd64", "linux/amd64/v3"].map(|p| {
        let described = image(&store, p, p);
        Descriptor { platform: Some(platform(p)), ..described }
    });
    let both = index(&store, vec![v1.clone(), v3.clone()]);
    store.tag(&name, v1.clone(), Some(&both)).unwrap();
    assert!(store.image(&name, &platform("linux/amd64")).unwrap().is_some());
    assert!(store.image(&name, &platform("linux/amd64/v3")).unwrap().is_none());
    // Where there is no better one, it will do.
    let alone = index(&store, vec![v1.clone()]);
    store.tag(&name, v1, Some(&alone)).unwrap();
    assert!(store.image(&name, &platform("linux/amd64/v3")).unwrap().is_some());
}

/// A name that is given again means the new image from then on, however either says what it is for.
#[test]
fn a_tag_that_moves_takes_the_place_of_the_old() {
    for (old, new, wanted, left) in [
        (Some("linux/arm64"), Some("linux/arm64/v8"), "linux/arm64", 1),
        (Some("linux/arm64/v8"), Some("linux/arm64"), "linux/arm64", 1),
        (Some("linux/amd64"), None, "linux/amd64", 1),
        (None, Some("linux/amd64"), "linux/amd64", 1),
        (None, None, "linux/amd64", 1),
        (Some("linux/arm64"), Some("linux/amd64"), "linux/amd64", 2),
        (Some("linux/amd64"), Some("linux/amd64/v3"), "linux/amd64/v3", 2),
    ] {
        let store = Store::temporary(None).unwrap();
        let name: Reference = "app".parse().unwrap();
        let tag = |platform: Option<&str>, note| {
            let described = image(&store, "linux/amd64", note);
            let platform = platform.map(|platform| platform.parse().unwrap());
            store.tag(&name, Descriptor { platform, ..described.clone() }, None).unwrap();
            described.digest
        };
        tag(old, "old");
        let digest = tag(new, "new");
        let found = store.image(&name, &wanted.parse().unwrap()).unwrap().unwrap();
        assert_eq!(found.descriptor.digest, digest, "{old:?} {new:?}");
        assert_eq!(store.tags().unwrap().len(), left, "{old:?} {new:?}");
    }
}

/// What other tools wrote stays as it is, also where it cannot be understood.
#[test]
fn entries_of_others_stay() {
    let store = Store::temporary(None).unwrap();
    let index = store.path().join("index.json");
    let digest = Digest::sha256(b"");
    let others = serde_json::json!([
        {"mediaType": "a/b", "digest": digest.to_string(), "size": 0, "data": "", "x": {"y": [1]}},
        {"mediaType": "a/b", "digest": "blake3:00", "size": 0, "annotations": {Descriptor::REF_NAME: "v1"}},
        {"size": -1},
        7,
    ]);
    let theirs =
        serde_json::json!({"schemaVersion": 2, "manifests": others, "annotations": {"a": "b"}, "z": 1});
    fs::write(&index, theirs.to_string()).unwrap();
    assert!(store.tags().unwrap().is_empty());
    store.tag(&"app".parse().unwrap(), image(&store, "linux/amd64", ""), None).unwrap();
    assert_eq!(store.tags().unwrap().len(), 1);
    let mut found: serde_json::Value = serde_json::from_slice(&fs::read(&index).unwrap()).unwrap();
    let ours = found["manifests"].as_array_mut().unwrap().pop().unwrap();
    assert_eq!(ours["annotations"][Descriptor::REF_NAME], "docker.io/library/app:latest");
    assert_eq!(found, theirs);
    for (text, tags) in [(r#"{"schemaVersion":2,"manifests":null}"#, 1), ("{}", 1)] {
        fs::write(&index, text).unwrap();
        store.tag(&"app".parse().unwrap(), image(&store, "linux/amd64", ""), None).unwrap();
        assert_eq!(store.tags().unwrap().len(), tags, "{text}");
    }
}

#[cfg(unix)]
#[test]
fn other_tools_read_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("store")).unwrap();
    let text = fs::read_to_string(store.path().join("index.json")).unwrap();
    assert!(text.contains(r#""manifests":[]"#), "{text}");
    let name: Reference = "localhost:5000/a/b:v1".parse().unwrap();
    let described = image(&store, "linux/amd64", "");
    store.tag(&name, described.clone(), None).unwrap();
    let seen = testkit::tools::run(
        testkit::tools::command("skopeo")
            .args(["inspect", "--format", "{{.Digest}} {{.Architecture}}"])
            .arg(format!("oci:{}:{name}", store.path().display())),
    );
    assert_eq!(String::from_utf8(seen.unwrap()).unwrap().trim(), format!("{} amd64", described.digest));
    // And they may write to it.
    let copy = |from: String, to: String| {
        let mut skopeo = testkit::tools::command("skopeo");
        testkit::tools::run(skopeo.args(["copy", "--quiet", &from, &to])).unwrap();
    };
    let shown = |path: &Path| path.display().to_string();
    let other = "docker.io/library/x:latest";
    copy(format!("oci:{}:{name}", shown(store.path())), format!("oci:{}:{other}", shown(store.path())));
    assert_eq!(store.tags().unwrap().len(), 2);
    let copied = store.image(&"x".parse().unwrap(), &"linux/amd64".parse().unwrap()).unwrap();
    assert_eq!(copied.map(|image| image.descriptor.digest), Some(described.digest));
    let copy_of = shown(&directory.path().join("copy"));
    copy(format!("oci:{}:{other}", shown(store.path())), format!("oci:{copy_of}:x"));
    // A name with a digest is one for them as well.
    let pinned: Reference = format!("a@{}", described.digest).parse().unwrap();
    store.tag(&pinned, described, None).unwrap();
    copy(format!("oci:{}:{pinned}", shown(store.path())), format!("oci:{copy_of}:y"));
    let mut umoci = testkit::tools::command("umoci");
    let seen = testkit::tools::run(umoci.args(["ls", "--layout"]).arg(store.path())).unwrap();
    let seen = String::from_utf8(seen).unwrap();
    for name in [name.to_string(), other.to_string(), pinned.to_string()] {
        assert!(seen.lines().any(|line| line == name), "{name} of {seen}");
    }
}
