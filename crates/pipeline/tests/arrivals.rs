//! Layers are read while others are still coming; what fails says so, and stops the rest.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

mod common;

use std::fs;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use common::{AMD64, chain};
use store::Store;
use testkit::registry::{FakeRegistry, Stored, fault};
use testkit::tarball::Tarball;
use unlade_pipeline::{Event, Ext4, Format, Options, Scratch, Target, build, layers, pull, pull_and_build};

/// Longer than anything here takes, if what is waited for happens at all.
const PATIENCE: Duration = Duration::from_secs(60);

struct Place {
    registry: FakeRegistry,
    image: Stored,
    scratch: tempfile::TempDir,
    store: Store,
}

impl Place {
    fn new(layers: &[Vec<u8>]) -> Place {
        let registry = FakeRegistry::start();
        let layers: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
        let image = registry.put_image("app", "v1", &layers);
        let scratch = tempfile::tempdir().unwrap();
        let store = Store::open(&scratch.path().join("store")).unwrap();
        Place { registry, image, scratch, store }
    }

    /// Keeps a layer back until something is sent, and says whether it was in time.
    fn keep_back(&self, layer: usize, until: Receiver<()>) -> Receiver<bool> {
        let (said, in_time) = mpsc::channel();
        let gate = Mutex::new((until, said));
        let wait = fault::Fault::new(move |_, _| {
            let (until, said) = &*gate.lock().unwrap();
            let _ = said.send(until.recv_timeout(PATIENCE).is_ok());
        });
        self.registry.next(&self.blob(layer), 1, wait);
        in_time
    }

    fn blob(&self, layer: usize) -> String {
        format!("/v2/app/blobs/{}", self.image.layers[layer].0)
    }

    fn pull_and_build(&self, report: &(dyn Fn(Event) + Sync)) -> Result<u64, String> {
        let mut pulling = pull::Options::default();
        pulling.registry.sleep = Arc::new(|_| {});
        let source = format!("{}/app:v1", self.registry.host());
        let target = self.scratch.path().join("out");
        pull_and_build(
            (&source.parse().unwrap(), &AMD64.parse().unwrap()),
            &self.store,
            &pulling,
            &options(),
            Target::Path(&target),
            report,
        )
        .map(|built| built.names)
        .map_err(|error| chain(&error))
    }

    fn output(&self) -> Option<Vec<u8>> {
        fs::read(self.scratch.path().join("out")).ok()
    }
}

fn options() -> Options {
    Options {
        format: Format::Ext4(Ext4::default()),
        layers: layers::Options::default(),
        latest_mtime: None,
        scratch: Scratch::Beside,
        allow_empty: true,
        remember: false,
    }
}

/// Sends something when a layer has been read to its end.
fn once_read(number: u32, read: Sender<()>) -> impl Fn(Event) + Sync {
    move |event| {
        if let Event::Read { layer, done, total, .. } = event
            && layer == number
            && done == total
        {
            let _ = read.send(());
        }
    }
}

fn layer(name: &str) -> Vec<u8> {
    Tarball::new().file(name, &[b'x'; 70_000]).end()
}

/// The first layer comes last: the second is read to its end before.
#[test]
fn a_layer_is_read_while_another_is_coming() {
    let place = Place::new(&[layer("lower"), layer("upper")]);
    let (read, until) = mpsc::channel();
    let in_time = place.keep_back(0, until);
    let report = once_read(1, read);
    assert_eq!(place.pull_and_build(&report), Ok(2));
    assert!(in_time.recv_timeout(PATIENCE).unwrap(), "the second layer waited for the first");

    // As from the store, where all of it lies now.
    let streamed = place.output().unwrap();
    let store = Store::open(place.store.path()).unwrap();
    let tags = store.tags().unwrap();
    let image = store.image(&tags[0].reference, &AMD64.parse().unwrap()).unwrap().unwrap();
    let target = place.scratch.path().join("again");
    build(&store, &image, &options(), Target::Path(&target), &|_| {}).unwrap();
    assert!(fs::read(target).unwrap() == streamed);
}

/// Known layers that the store no longer has are planned before, and placed as they come.
#[test]
fn known_layers_come_again() {
    let place = Place::new(&[layer("lower"), layer("upper")]);
    place.pull_and_build(&|_| {}).unwrap();
    let first = place.output().unwrap();
    for (blob, _) in &place.image.layers {
        fs::remove_file(place.store.path().join("blobs/sha256").join(blob.hex())).unwrap();
    }
    let (read, until) = mpsc::channel();
    let in_time = place.keep_back(0, until);
    let report = once_read(1, read);
    assert_eq!(place.pull_and_build(&report), Ok(2));
    assert!(in_time.recv_timeout(PATIENCE).unwrap());
    assert!(place.output().unwrap() == first);
}

#[test]
fn a_layer_that_does_not_come() {
    let place = Place::new(&[layer("lower"), layer("upper")]);
    place.registry.always(&place.blob(0), fault::status(404));
    let said = place.pull_and_build(&|_| {}).unwrap_err();
    assert!(said.starts_with("cannot fetch layer 1 ("), "{said}");
    assert_eq!(place.output(), None);
    assert!(place.store.tags().unwrap().is_empty());
}

/// A bad layer ends it all: nobody waits for the others, and nothing is tagged.
#[test]
fn a_layer_that_makes_no_sense() {
    let place = Place::new(&[b"no tarball".repeat(100), layer("upper")]);
    // One that never ends: it is told to stop.
    place.registry.always(&place.blob(1), fault::drip(Duration::from_millis(1)));
    let said = place.pull_and_build(&|_| {}).unwrap_err();
    assert!(said.starts_with("layer 1 ("), "{said}");
    assert_eq!(place.output(), None);
    assert!(place.store.tags().unwrap().is_empty());
}

#[test]
fn an_image_that_does_not_exist() {
    let place = Place::new(&[]);
    place.registry.always("/v2/app/manifests/v1", fault::status(404));
    let said = place.pull_and_build(&|_| {}).unwrap_err();
    assert!(said.contains("does not exist") || said.contains("not found"), "{said}");
    assert_eq!(place.output(), None);
}
