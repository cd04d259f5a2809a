//! Pulling from a registry. Numbers are lines of `docs/hostile-inputs.md`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::slice::from_ref;
use std::sync::{Arc, Mutex};

use common::{INDEX, LAYER, Layout, MANIFEST, assert_sound, describe, index, platform, pull_for, pull_into};
use hash::Digest;
use oci::{Platform, Reference};
use serde_json::Value;
use store::Store;
use testkit::registry::{FakeRegistry, fault};
use unlade_pipeline::Event;
use unlade_pipeline::pull::{self, Options, Policy};

const AMD64: &str = "linux/amd64";

fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(next).collect()
}

fn options(policy: Policy) -> Options {
    let mut options = Options { policy, ..Options::default() };
    options.registry.sleep = Arc::new(|_| {});
    options
}

fn name(registry: &FakeRegistry, tag: &str) -> String {
    format!("{}/app{tag}", registry.host())
}

fn blobs(registry: &FakeRegistry) -> usize {
    registry.exchanges().iter().filter(|exchange| exchange.request.path.contains("/blobs/")).count()
}

#[test]
fn an_image_as_it_should_be() {
    let registry = FakeRegistry::start();
    let layers = [noise(3 << 20, 1), noise(100, 2), noise(100, 2), noise(1 << 20, 3)];
    let image = registry.put_image("app", "v1", &layers.each_ref().map(|layer| &layer[..]));
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let found = pull_into(&store, &name(&registry, ":v1"), &options(Policy::Missing)).unwrap();
    assert_eq!(found.descriptor.digest, image.digest);
    // Config and three layers, of which one stands there twice.
    assert_eq!(blobs(&registry), 4);
    assert!(store.missing(&found).is_empty());
    assert_sound(store.path());
    let tags = store.tags().unwrap();
    assert_eq!(tags[0].reference.to_string(), name(&registry, ":v1"));
    assert_eq!(tags[0].descriptor.platform, AMD64.parse().ok());
    assert_eq!(tags[0].index, None);

    // From now on there is no need to ask, unless it is asked for.
    registry.reset();
    for policy in [Policy::Missing, Policy::Never] {
        let again = pull_into(&store, &name(&registry, ":v1"), &options(policy)).unwrap();
        assert_eq!(again.descriptor.digest, image.digest);
    }
    assert!(registry.exchanges().is_empty());
    let newer = registry.put_image("app", "v1", &[b"newer"]);
    let again = pull_into(&store, &name(&registry, ":v1"), &options(Policy::Missing)).unwrap();
    assert_eq!(again.descriptor.digest, image.digest);
    let always = pull_into(&store, &name(&registry, ":v1"), &options(Policy::Always)).unwrap();
    assert_eq!(always.descriptor.digest, newer.digest);
    let tags = store.tags().unwrap();
    assert_eq!((tags.len(), tags[0].descriptor.digest), (1, newer.digest));

    // What is named by its digest cannot have changed.
    registry.reset();
    let pinned = name(&registry, &format!("@{}", image.digest));
    assert_eq!(pull_into(&store, &pinned, &options(Policy::Always)).unwrap().descriptor.digest, image.digest);
    assert!(registry.exchanges().is_empty());
    let said = pull_into(&store, &name(&registry, ":v2"), &options(Policy::Never)).unwrap_err();
    assert_eq!(
        said,
        format!(
            "{} is not in the store for linux/amd64, and the registry is not to be asked",
            name(&registry, ":v2")
        )
    );
    assert!(registry.exchanges().is_empty());
}

#[test]
fn an_image_of_several_platforms() {
    let registry = FakeRegistry::start();
    let layout = Layout::new();
    let images = [AMD64, "linux/arm64"].map(|platform| layout.image(platform, &[platform.as_bytes()]));
    let nested = layout.index(&images);
    let top = index(from_ref(&nested)).to_string();
    for blob in fs::read_dir(layout.path.join("blobs/sha256")).unwrap() {
        registry.put_blob(&fs::read(blob.unwrap().path()).unwrap());
    }
    for image in &images {
        registry.put_manifest("app", "-", MANIFEST, &fs::read(layout.blob(image)).unwrap());
    }
    registry.put_manifest("app", "-", INDEX, &fs::read(layout.blob(&nested)).unwrap());
    let top = registry.put_manifest("app", "latest", INDEX, top.as_bytes());

    let store = Store::temporary(None).unwrap();
    let pull = |platform: &str, name: &str, policy| {
        pull_for(platform, &store, name, &options(policy), &|_| {}).map(|i| i.descriptor.digest.to_string())
    };
    let digest = |image: &Value| Ok(image["digest"].as_str().unwrap().to_string());
    let latest = name(&registry, "");
    assert_eq!(pull(AMD64, &latest, Policy::Missing), digest(&images[0]));
    assert!(pull("linux/arm64", &latest, Policy::Never).is_err());
    assert_eq!(pull("linux/arm64/v8", &latest, Policy::Missing), digest(&images[1]));
    assert_eq!(pull("linux/arm64", &latest, Policy::Never), digest(&images[1]));
    assert_eq!(pull(AMD64, &latest, Policy::Never), digest(&images[0]));
    let tags: Vec<_> =
        store.tags().unwrap().iter().map(|tag| (tag.descriptor.platform.clone(), tag.index)).collect();
    let of = |text: &str| serde_json::from_value::<Platform>(platform(text)).ok();
    assert_eq!(tags, [(of(AMD64), Some(top)), (of("linux/arm64"), Some(top))]);
    // The digest of the index is a name as well.
    assert_eq!(pull(AMD64, &name(&registry, &format!("@{top}")), Policy::Never), digest(&images[0]));
    assert_eq!(
        pull("linux/s390x", &latest, Policy::Missing),
        Err(format!(
            "cannot use {latest}:latest: no image for linux/s390x; there is linux/amd64, linux/arm64"
        ))
    );
}

/// 105, and what is missing alone is fetched
#[test]
fn what_is_gone_is_fetched_again() {
    let registry = FakeRegistry::start();
    let layers = [noise(100_000, 1), noise(200_000, 2)];
    let image = registry.put_image("app", "latest", &layers.each_ref().map(|layer| &layer[..]));
    let store = Store::temporary(None).unwrap();
    let pull = || pull_into(&store, &name(&registry, ""), &options(Policy::Missing)).unwrap();
    pull();
    for (victim, requests) in [(image.layers[1].0, 1), (image.config.0, 2), (image.digest, 1)] {
        registry.reset();
        fs::write(store.blob_path(&victim), "junk").unwrap();
        assert!(store.missing(&pull()).is_empty());
        assert_eq!(registry.exchanges().len(), requests);
        assert_sound(store.path());
    }
    fs::remove_file(store.blob_path(&image.layers[0].0)).unwrap();
    let said = pull_into(&store, &name(&registry, ""), &options(Policy::Never)).unwrap_err();
    let latest = name(&registry, ":latest");
    assert_eq!(
        said,
        format!("{latest} is not in the store for linux/amd64, and the registry is not to be asked")
    );
}

/// 86: what a registry sends is checked before anything else
#[test]
fn wrong_bytes() {
    let registry = FakeRegistry::start();
    let image = registry.put_image("app", "latest", &[&noise(100_000, 1), b"second"]);
    let app = name(&registry, "");
    for (victim, what) in [
        (image.layers[0].0, format!("cannot fetch layer 1 ({}): ", image.layers[0].0)),
        (image.layers[1].0, format!("cannot fetch layer 2 ({}): ", image.layers[1].0)),
        (image.config.0, format!("blob {} of {app}: {} sent other bytes: ", image.config.0, registry.host())),
    ] {
        registry.reset();
        let found = Arc::new(Mutex::new(None));
        let flipped = found.clone();
        let flip = move |body: &mut Vec<u8>| {
            body[0] ^= 1;
            *flipped.lock().unwrap() = Some(Digest::sha256(body));
        };
        registry.always(&victim.to_string(), fault::change_body(flip));
        let store = Store::temporary(None).unwrap();
        let said = pull_into(&store, &name(&registry, ""), &options(Policy::Missing)).unwrap_err();
        let flipped = *found.lock().unwrap();
        let found = flipped.unwrap();
        assert_eq!(said, format!("{what}digest mismatch: expected {victim}, found {found}"));
        assert!(!store.blob_path(&victim).exists());
        assert!(store.tags().unwrap().is_empty());
        assert_sound(store.path());
    }
}

/// 99 and 104: what arrived is kept, and gone on with
#[test]
fn an_interrupted_pull_is_gone_on_with() {
    let registry = FakeRegistry::start();
    let layer = noise(3 << 20, 1);
    let image = registry.put_image("app", "latest", &[&layer]);
    let (digest, size) = image.layers[0];
    registry.always(&format!("blobs/{digest}"), fault::cut(2_000_000));
    let store = Store::temporary(None).unwrap();
    let retries = Mutex::new(0);
    let report = |event| {
        if let Event::Retry { message } = event {
            assert!(message.contains("trying again in"), "{message}");
            *retries.lock().unwrap() += 1;
        }
    };
    let mut impatient = options(Policy::Missing);
    impatient.registry.attempts = 1;
    let said = pull_for(AMD64, &store, &name(&registry, ""), &impatient, &report).unwrap_err();
    let (app, host) = (name(&registry, ""), registry.host());
    assert_eq!(
        said,
        format!("cannot fetch layer 1 ({digest}): blob {digest} of {app}: {host}: peer disconnected")
    );
    let part = store.path().join("unlade/parts").join(digest.to_string().replace(':', "-"));
    let kept = fs::metadata(&part).unwrap().len();
    assert!(kept > 0 && kept < size, "{kept}");

    registry.reset();
    registry.next(&format!("blobs/{digest}"), 1, fault::cut(500_000));
    pull_for(AMD64, &store, &name(&registry, ""), &options(Policy::Missing), &report).unwrap();
    let sent: u64 = registry
        .exchanges()
        .iter()
        .filter(|exchange| exchange.request.path.contains(&digest.to_string()))
        .map(|exchange| exchange.sent)
        .sum();
    assert!(sent <= size - kept, "{sent} bytes were sent, though {kept} of {size} were there");
    assert_eq!(*retries.lock().unwrap(), 1);
    assert!(!part.exists());
}

/// One layer that fails stops those that take long.
#[test]
fn a_failure_stops_the_others() {
    let registry = FakeRegistry::start();
    let long: Vec<Vec<u8>> = (0..6).map(|seed| noise(4 << 20, seed)).collect();
    let mut layers: Vec<&[u8]> = long.iter().map(|layer| &layer[..]).collect();
    layers.insert(1, b"missing");
    let image = registry.put_image("app", "latest", &layers);
    registry.always(&format!("blobs/{}", image.layers[1].0), fault::status(404));
    let store = Store::temporary(None).unwrap();
    let said = pull_into(&store, &name(&registry, ""), &options(Policy::Missing)).unwrap_err();
    let (missing, app, host) = (image.layers[1].0, name(&registry, ""), registry.host());
    assert_eq!(
        said,
        format!(
            "cannot fetch layer 2 ({missing}): blob {missing} of {app} was not found: {host} answered 404"
        )
    );
    let asked = blobs(&registry);
    assert!(asked < 2 + long.len(), "{asked} of {} blobs were asked for", layers.len() + 1);
    assert!(store.tags().unwrap().is_empty());
}

#[test]
fn only_what_is_for_the_platform() {
    let registry = FakeRegistry::start();
    let image = registry.put_image("app", "latest", &[b"layer"]);
    let store = Store::temporary(None).unwrap();
    let latest = name(&registry, "");
    let pull = |options: &Options| pull_for("linux/arm64", &store, &latest, options, &|_| {});
    assert_eq!(
        pull(&options(Policy::Missing)).unwrap_err(),
        format!("cannot use {latest}:latest: the image is for linux/amd64, not for linux/arm64")
    );
    assert_eq!(blobs(&registry), 1, "the config alone");
    let forced = Options { any_platform: true, ..options(Policy::Missing) };
    assert_eq!(pull(&forced).unwrap().descriptor.digest, image.digest);
    registry.reset();
    assert_eq!(pull(&forced).unwrap().descriptor.digest, image.digest);
    assert!(registry.exchanges().is_empty());
    // Another tool's tag, which does not say what it is for, is no reason not to ask.
    let other: Reference = name(&registry, ":other").parse().unwrap();
    let media_type = oci::MediaType::parse(MANIFEST);
    let silent = oci::Descriptor::new(media_type, image.digest, image.manifest.len() as u64);
    store.tag(&other, silent, None).unwrap();
    let said = pull_for("linux/arm64", &store, &other.to_string(), &options(Policy::Missing), &|_| {});
    let host = registry.host();
    assert_eq!(
        said.unwrap_err(),
        format!("manifest {other} was not found: {host} answered 404 (MANIFEST_UNKNOWN: manifest unknown)")
    );
    assert!(pull_into(&store, &other.to_string(), &options(Policy::Never)).is_ok());
    // It is tagged as what it is.
    let reference: Reference = latest.parse().unwrap();
    assert!(store.image(&reference, &"linux/arm64".parse().unwrap()).unwrap().is_none());
    assert!(store.image(&reference, &AMD64.parse().unwrap()).unwrap().is_some());
    assert_eq!(describe(LAYER, b"layer")["digest"], Digest::sha256(b"layer").to_string());
}

/// Who only looked at an image has not named it; who pulls it by its digest then has.
#[test]
fn what_is_named_by_a_digest_is_tagged_as_well() {
    let registry = FakeRegistry::start();
    let image = registry.put_image("app", "latest", &[b"layer"]);
    let top = index(from_ref(&describe(MANIFEST, &image.manifest))).to_string();
    let top = registry.put_manifest("app", "-", INDEX, top.as_bytes());
    let store = Store::temporary(None).unwrap();
    let tags = || -> Vec<(String, Option<Digest>)> {
        store.tags().unwrap().iter().map(|tag| (tag.reference.to_string(), tag.index)).collect()
    };
    for (digest, from) in [(image.digest, None), (top, Some(top))] {
        let before = tags();
        let pinned = name(&registry, &format!("@{digest}"));
        let options = options(Policy::Missing);
        pull::resolve(&pinned.parse().unwrap(), &AMD64.parse().unwrap(), &store, &options, &|_| {}).unwrap();
        assert_eq!(tags(), before);
        pull_into(&store, &pinned, &options).unwrap();
        let first = tags();
        assert_eq!(first.last(), Some(&(pinned.clone(), from)));
        pull_into(&store, &pinned, &options).unwrap();
        assert_eq!(tags(), first);
    }
}

/// 92: the registry says only that it is JSON, and the document nothing. It is found again all the same.
#[test]
fn what_nobody_names_is_told_by_its_shape() {
    let registry = FakeRegistry::start();
    let image = registry.put_image("app", "latest", &[b"layer"]);
    let mut manifest: Value = serde_json::from_slice(&image.manifest).unwrap();
    manifest.as_object_mut().unwrap().remove("mediaType");
    registry.put_manifest("app", "odd", "application/json", manifest.to_string().as_bytes());
    let store = Store::temporary(None).unwrap();
    let odd = name(&registry, ":odd");
    let pulled = pull_into(&store, &odd, &options(Policy::Missing)).unwrap();
    assert_eq!(pulled.descriptor.media_type.as_str(), MANIFEST);
    registry.reset();
    let again = pull_into(&store, &odd, &options(Policy::Missing)).unwrap();
    assert_eq!(again.descriptor.digest, pulled.descriptor.digest);
    assert!(registry.exchanges().is_empty());
}
