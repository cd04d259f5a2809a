//! Pulling from OCI layouts. Numbers are lines of `docs/hostile-inputs.md`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::slice::from_ref;
use std::sync::Mutex;

#[cfg(unix)]
use common::pull_anew;
use common::{
    AMD64, LAYER, Layout, chain, describe, digest, named, platform, pull_for, pull_into, pulled, refused,
};
use hash::Digest;
use serde_json::{Value, json};
use store::Store;
use unlade_pipeline::Event;
use unlade_pipeline::pull::{self, Options};

#[test]
fn an_image_as_it_should_be() {
    let layout = Layout::new();
    let large = vec![7; 3 << 20];
    let image = layout.image(AMD64, &[b"one", &large, b"one"]);
    let source = layout.finish(from_ref(&image));
    let store = Store::temporary(None).unwrap();
    let events = Mutex::new(Vec::new());
    let report = |event| events.lock().unwrap().push(event);
    let found = pull_for(AMD64, &store, &source, &Options::default(), &report).unwrap();
    assert_eq!(found.descriptor.digest.to_string(), digest(&image));
    assert!(store.missing(&found).is_empty());
    assert!(store.tags().unwrap().is_empty(), "layouts are not tagged");
    let events = events.into_inner().unwrap();
    let bytes = large.len() as u64 + 6;
    assert_eq!(events[0], Event::Resolved { manifest: found.descriptor.digest, layers: 3, bytes });
    for layer in [&b"one"[..], &large] {
        let (blob, total) = (Digest::sha256(layer), layer.len() as u64);
        let of = |event: &&Event| matches!(event, Event::Fetch { blob: b, .. } if *b == blob);
        let mut told = events.iter().filter(of);
        assert_eq!(told.next(), Some(&Event::Fetch { blob, done: 0, total }));
        assert_eq!(told.next_back(), Some(&Event::Fetch { blob, done: total, total }));
    }
    // Once more: nothing is left to be fetched.
    let events = Mutex::new(0);
    pull_for(AMD64, &store, &source, &Options::default(), &|_| *events.lock().unwrap() += 1).unwrap();
    assert_eq!(events.into_inner().unwrap(), 1);
}

#[test]
fn documents_alone() {
    let layout = Layout::new();
    let image = layout.image(AMD64, &[b"one"]);
    let source = layout.finish(&[image]).parse().unwrap();
    let store = Store::temporary(None).unwrap();
    let options = Options::default();
    let found = pull::resolve(&source, &AMD64.parse().unwrap(), &store, &options, &|_| {}).unwrap();
    assert_eq!(store.missing(&found).len(), 1);
}

#[test]
fn choosing() {
    let layout = Layout::new();
    let [one, two, arm] = [(AMD64, "1"), (AMD64, "2"), ("linux/arm64", "3")]
        .map(|(platform, layer)| layout.image(platform, &[layer.as_bytes()]));
    let both = layout.index(&[one.clone(), arm.clone()]);
    let attestation = {
        let mut entry = layout.image(AMD64, &[b"in-toto"]);
        entry["platform"] = json!({"os": "unknown", "architecture": "unknown"});
        entry
    };
    let attested = layout.index(&[attestation.clone(), one.clone()]);
    let nested = layout.index(&[layout.index(&[layout.index(from_ref(&arm))])]);
    let without = |mut descriptor: Value| {
        descriptor.as_object_mut().unwrap().remove("platform");
        descriptor
    };
    let containerd = {
        let mut entry = named(one.clone(), "v1");
        entry["annotations"]["io.containerd.image.name"] = "docker.io/library/app:v1".into();
        entry
    };
    let only = |descriptor: &Value| Ok(digest(descriptor));
    for (entries, chosen, platform, expected) in [
        (vec![one.clone()], "", AMD64, only(&one)),
        (vec![without(one.clone())], "", AMD64, only(&one)),
        // One image under two names is no choice.
        (vec![named(one.clone(), "a"), named(one.clone(), "b")], "", AMD64, only(&one)),
        (vec![named(one.clone(), "a"), named(two.clone(), "b")], ":b", AMD64, only(&two)),
        (vec![one.clone(), arm.clone()], "", "linux/arm64", only(&arm)),
        (vec![one.clone(), arm.clone()], "", "linux/arm64/v8", only(&arm)),
        (vec![named(one.clone(), "a"), named(arm.clone(), "a")], ":a", AMD64, only(&one)),
        (vec![both.clone()], "", "linux/arm64", only(&arm)),
        (vec![attested.clone()], "", AMD64, only(&one)),
        (vec![nested.clone()], "", "linux/arm64", only(&arm)),
        (vec![one.clone(), two.clone()], &format!(":@{}", digest(&two)), AMD64, only(&two)),
        (vec![named(one.clone(), "docker.io/library/app:v1"), two.clone()], ":app:v1", AMD64, only(&one)),
        (vec![containerd, two.clone()], ":app:v1", AMD64, only(&one)),
        (
            vec![named(one.clone(), "a"), named(two.clone(), "b")],
            "",
            AMD64,
            Err("DIR holds several images, and none is chosen: a, b".into()),
        ),
        (
            vec![named(one.clone(), "a"), without(two.clone())],
            "",
            AMD64,
            Err(format!("DIR holds several images, and none is chosen: a, @{}", digest(&two))),
        ),
        (
            vec![named(one.clone(), "a\u{1b}[31m")],
            ":b",
            AMD64,
            Err("DIR holds no image \"b\"; there is a\\u{1b}[31m".into()),
        ),
        (vec![], "", AMD64, Err("DIR holds no image".into())),
        (
            vec![both.clone()],
            "",
            "linux/riscv64",
            Err("cannot use oci:DIR: no image for linux/riscv64; there is linux/amd64, linux/arm64".into()),
        ),
        (
            vec![arm.clone()],
            "",
            AMD64,
            Err("cannot use oci:DIR: the image is for linux/arm64, not for linux/amd64".into()),
        ),
        (
            vec![attestation.clone()],
            "",
            "linux/s390x",
            Err("cannot use oci:DIR: the image is for linux/amd64, not for linux/s390x".into()),
        ),
    ] {
        let source = layout.finish(&entries);
        assert_eq!(pulled(&layout, &format!("{source}{chosen}"), platform), expected, "{entries:?} {chosen}");
    }
    let source = layout.finish(from_ref(&arm));
    let store = Store::temporary(None).unwrap();
    let forced = Options { any_platform: true, ..Options::default() };
    assert_eq!(pull_into(&store, &source, &forced).unwrap().descriptor.digest.to_string(), digest(&arm));
}

/// 86
#[test]
fn bytes_that_are_not_those_that_were_named() {
    let flip = |layout: &Layout, descriptor: &Value| {
        let mut bytes = fs::read(layout.blob(descriptor)).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(layout.blob(descriptor), bytes).unwrap();
    };
    let sized = |mut descriptor: Value, size: u64| {
        descriptor["size"] = size.into();
        descriptor
    };
    let wrong = |kind: &Value, found: &[u8]| {
        let (expected, found) = (digest(kind), Digest::sha256(found));
        format!(
            "blob {expected} in DIR is not what its name says: digest mismatch: expected {expected}, found {found}"
        )
    };
    let layer = describe(LAYER, b"layer");
    let said = refused(|layout| {
        let image = layout.image(AMD64, &[b"layer"]);
        flip(layout, &layer);
        layout.finish(&[image])
    });
    assert_eq!(said, format!("cannot fetch layer 1 ({}): {}", digest(&layer), wrong(&layer, b"layes")));

    for (size, what) in [(4, "more than 4 bytes"), (6, "5 bytes instead of 6")] {
        let said = refused(|layout| {
            layout.put(LAYER, b"layer");
            layout.finish(&[layout.image_of(AMD64, &[sized(layer.clone(), size)])])
        });
        let digest = digest(&layer);
        assert_eq!(
            said,
            format!(
                "cannot fetch layer 1 ({digest}): blob {digest} in DIR is not what its name says: {digest} has {what}"
            )
        );
    }
    // Config, manifest, child of an index: all are looked at before they are parsed.
    for victim in 0..3 {
        let layout = Layout::new();
        let image = layout.image(AMD64, &[b"layer"]);
        let manifest: Value = serde_json::from_slice(&fs::read(layout.blob(&image)).unwrap()).unwrap();
        let above = layout.index(from_ref(&image));
        let victim = [&manifest["config"], &image, &above][victim];
        flip(&layout, victim);
        let source = layout.finish(from_ref(&above));
        let found = fs::read(layout.blob(victim)).unwrap();
        assert_eq!(pulled(&layout, &source, AMD64), Err(wrong(victim, &found)));
    }
    let said = refused(|layout| {
        let image = layout.image(AMD64, &[b"layer"]);
        fs::remove_file(layout.blob(&layer)).unwrap();
        layout.finish(&[image])
    });
    let digest = digest(&layer);
    assert_eq!(said, format!("cannot fetch layer 1 ({digest}): blob {digest} is missing in DIR"));
}

/// 93
#[test]
fn directories_that_are_no_layout() {
    let said = refused(|layout| {
        layout.finish(&[layout.image(AMD64, &[])]);
        fs::remove_file(layout.path.join("oci-layout")).unwrap();
        format!("oci:{}", layout.path.display())
    });
    assert_eq!(said, "DIR is not an OCI image layout: it has no oci-layout");
    let said = refused(|layout| {
        let source = layout.finish(&[]);
        fs::remove_file(layout.path.join("index.json")).unwrap();
        source
    });
    assert_eq!(said, "DIR is not an OCI image layout: it has no index.json");
    let said = refused(|layout| format!("oci:{}/nowhere", layout.path.display()));
    // Windows has an error of its own for a directory that is missing on the way.
    let why = std::io::Error::from_raw_os_error(if cfg!(windows) { 3 } else { 2 });
    assert_eq!(said, format!("cannot read DIR/nowhere: {why}"));
    for (file, text, expected) in [
        ("index.json", "{", "index.json in DIR is malformed: EOF while parsing an object at line 1 column 1"),
        (
            "index.json",
            "{}",
            "index.json in DIR is malformed: missing field `schemaVersion` at line 1 column 2",
        ),
        (
            "oci-layout",
            "[]",
            "oci-layout in DIR is malformed: invalid length 0, expected struct Marker with 1 element at line 1 column 2",
        ),
        (
            "oci-layout",
            r#"{"imageLayoutVersion":"2.0.0"}"#,
            "DIR has version \"2.0.0\" of the image layout; only 1.x is supported",
        ),
    ] {
        let said = refused(|layout| {
            let source = layout.finish(&[]);
            fs::write(layout.path.join(file), text).unwrap();
            source
        });
        assert_eq!(said, expected);
    }
    if !host::HAS_SYMLINKS {
        return;
    }
    let layer = describe(LAYER, b"layer");
    let said = refused(|layout| {
        let image = layout.image(AMD64, &[b"layer"]);
        let elsewhere = layout.path.join("elsewhere");
        fs::rename(layout.blob(&layer), &elsewhere).unwrap();
        host::symlink(&elsewhere, &layout.blob(&layer)).unwrap();
        layout.finish(&[image])
    });
    let (name, hex) = (digest(&layer), &digest(&layer)[7..]);
    assert_eq!(said, format!("cannot fetch layer 1 ({name}): DIR/blobs/sha256/{hex} is not a regular file"));
    let said = refused(|layout| {
        let source = layout.finish(&[]);
        fs::remove_file(layout.path.join("index.json")).unwrap();
        host::symlink("/etc/passwd".as_ref(), &layout.path.join("index.json")).unwrap();
        source
    });
    assert_eq!(said, "DIR/index.json is not a regular file");
}

/// 105: what went bad in the store is fetched again
#[test]
fn the_store_heals() {
    let layout = Layout::new();
    let image = layout.image(AMD64, &[b"layer"]);
    let manifest: Value = serde_json::from_slice(&fs::read(layout.blob(&image)).unwrap()).unwrap();
    let source = layout.finish(from_ref(&image));
    let store = Store::temporary(None).unwrap();
    pull_into(&store, &source, &Options::default()).unwrap();
    for victim in [&image, &manifest["config"], &manifest["layers"][0]] {
        let digest: Digest = digest(victim).parse().unwrap();
        let path = store.blob_path(&digest);
        let right = fs::read(&path).unwrap();
        let mut flipped = right.clone();
        flipped[2] ^= 1;
        let document = victim["mediaType"] != LAYER;
        for bad in [&right[..right.len() - 1], &[], &flipped] {
            fs::write(&path, bad).unwrap();
            let retries = Mutex::new(Vec::new());
            let report = |event| {
                if let Event::Retry { message } = event {
                    retries.lock().unwrap().push(message);
                }
            };
            if !document && bad.len() == right.len() {
                // Nobody looks at all of a layer before it is read: whoever does throws it away.
                assert!(store.discard(&digest).unwrap());
            }
            pull_for(AMD64, &store, &source, &Options::default(), &report).unwrap();
            assert!(fs::read(&path).unwrap() == right);
            let told = retries.into_inner().unwrap();
            let expected = format!("blob {digest} in the store is corrupt, and is fetched again");
            assert_eq!(told, if document { vec![expected] } else { vec![] });
        }
    }
}

#[cfg(unix)]
#[test]
fn other_peoples_layouts() {
    use testkit::tools::{command, run};

    let layout = Layout::new();
    let directory = layout.path.parent().unwrap();
    let theirs = directory.join("umoci");
    run(command("umoci").args(["init", "--layout"]).arg(&theirs)).unwrap();
    let image = format!("{}:a", theirs.display());
    run(command("umoci").args(["new", "--image", &image])).unwrap();
    let file = directory.join("file");
    fs::write(&file, "content").unwrap();
    run(command("umoci").args(["insert", "--rootless", "--image", &image]).arg(&file).arg("/file")).unwrap();
    let host = oci::Platform::host().to_string();
    let pulled = pull_anew(&host, &format!("oci:{image}")).unwrap();
    assert_eq!(pulled.manifest.layers.len(), 1);

    let copied = directory.join("skopeo");
    let to = format!("oci:{}:docker.io/library/b:v1", copied.display());
    run(command("skopeo").args(["copy", "--quiet", &format!("oci:{image}"), &to])).unwrap();
    assert_eq!(pull_anew(&host, &to).unwrap().config.rootfs, pulled.config.rootfs);
    assert_eq!(
        pull_anew(&host, &format!("oci:{}:b:v1", copied.display())).unwrap().config.rootfs,
        pulled.config.rootfs
    );
}

#[test]
fn a_failure_says_which_source() {
    let error: pull::Error =
        pull::Error::Image { name: "x".into(), fault: oci::Error::LayerCount { layers: 1, diff_ids: 0 } };
    assert_eq!(chain(&error), "cannot use x: the manifest has 1 layers, but the config has 0 diff IDs");
    assert_eq!(platform("linux/arm64/v8")["variant"], "v8");
}
