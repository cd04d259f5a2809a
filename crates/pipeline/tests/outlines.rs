//! Building from what an earlier read left: the same bytes, or else no use is made of it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

mod common;

use std::fs;
use std::path::Path;

use common::place::{Place, noise};
use proptest::test_runner::{Config, TestRunner};
use store::Store;
use testkit::image::{Layer, Tar};
use testkit::stack;
use unlade_pipeline::{Built, Error, Ext4, Format, LayerFault, Options, Packing, Scratch, Target, build};

/// Through a spool, so that what goes there is seen.
fn options(format: Format) -> Options {
    common::place::options(format, Scratch::In(std::env::temp_dir()))
}

fn ext4() -> Options {
    options(Format::Ext4(Ext4::default()))
}

/// Two layers: small files, one larger than every buffer, one with a hole, one that is replaced above.
fn two_layers() -> Vec<Layer> {
    let mut holed = noise(3, 70_000);
    holed.resize(400_000, 0);
    holed.extend(noise(4, 10));
    let lower = (0..300).fold(Tar::default().directory("d", 0o755), |tar, n| {
        tar.file(&format!("d/{n}"), 0o644, &noise(n, (n * 37 % 9000) as usize))
    });
    let lower = lower.file("large", 0o600, &noise(1, 3_000_000)).file("holed", 0o644, &holed);
    let upper = Tar::default().file("d/7", 0o600, &noise(2, 5000)).file("d/.wh.9", 0, b"").symlink("l", "d");
    // Without the end marker, so that there is something to be noticed.
    let mut marked = upper.finish();
    marked.truncate(marked.len() - 1024);
    vec![Layer::gzip(&lower.finish()), Layer::plain(marked)]
}

#[test]
fn from_outlines_come_the_same_bytes() {
    for options in [ext4(), options(Format::Tar(Packing::None))] {
        let place = Place::new(&two_layers());
        let (cold, spooled) = place.build(&options);
        assert!(spooled);
        assert_eq!(place.build(&options), (cold, false));
        assert_eq!(place.build(&options), (cold, false));
    }
}

#[test]
fn read_twice_come_the_same_bytes() {
    for options in [ext4(), options(Format::Tar(Packing::None))] {
        let (cold, _) = Place::new(&two_layers()).build(&options);
        let twice = Options { scratch: Scratch::Nowhere, ..options };
        assert_eq!(Place::new(&two_layers()).build(&twice), (cold, false));
    }
}

#[test]
fn what_is_noticed_is_the_same() {
    let place = Place::new(&two_layers());
    let kept =
        |built: Built| format!("{:?} {:?}", built.notes.kept(), built.notes.counts().collect::<Vec<_>>());
    let cold = kept(place.try_build(&ext4()).unwrap());
    assert!(cold.contains("EndMissing"), "{cold}");
    assert_eq!(cold, kept(place.try_build(&ext4()).unwrap()));
    let twice = Options { scratch: Scratch::Nowhere, ..ext4() };
    assert_eq!(cold, kept(Place::new(&two_layers()).try_build(&twice).unwrap()));
}

#[test]
fn other_options_read_other_layers() {
    let place = Place::new(&two_layers());
    place.build(&ext4());
    let mut other = ext4();
    other.layers.read.drop_devices = true;
    let (first, spooled) = place.build(&other);
    assert!(spooled);
    assert_eq!(place.build(&other), (first, false));
    assert!(place.build(&ext4()).1);
}

#[test]
fn limits_hold_for_outlines_too() {
    let place = Place::new(&two_layers());
    place.build(&ext4());
    let mut fewer = ext4();
    fewer.layers.image_entries = 100;
    let error = place.try_build(&fewer).unwrap_err();
    assert!(
        matches!(&error, Error::Layer { fault, .. } if matches!(**fault, LayerFault::ImageEntries { limit: 100 }))
    );
    let mut less = ext4();
    less.layers.expand.expanded = 1 << 20;
    assert!(matches!(place.try_build(&less), Err(Error::Layer { .. })));
    assert!(!place.build(&ext4()).1);
}

#[test]
fn damaged_outlines_are_no_outlines() {
    let whole = |bytes: &[u8]| bytes.to_vec();
    let cut = |bytes: &[u8]| bytes[..bytes.len() / 2].to_vec();
    let flipped = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x10;
        bytes
    };
    let none = |_: &[u8]| Vec::new();
    type Damage = fn(&[u8]) -> Vec<u8>;
    for (damage, spooled) in [(whole as Damage, false), (cut, true), (flipped, true), (none, true)] {
        let place = Place::new(&two_layers());
        let (cold, _) = place.build(&ext4());
        let outline = place.outline(0);
        fs::write(&outline, damage(&fs::read(&outline).unwrap())).unwrap();
        assert_eq!(place.build(&ext4()), (cold, spooled));
        assert_eq!(place.build(&ext4()), (cold, false), "healed");
    }
}

/// Whoever can write into the store can plant an outline, but not change what is built.
#[test]
fn an_outline_of_another_layer_is_found_out() {
    let tarball = |mode, name: &str| Layer::gzip(&Tar::default().file(name, mode, &noise(5, 9000)).finish());
    let (ours, theirs) = (Place::new(&[tarball(0o644, "sh")]), Place::new(&[tarball(0o4755, "sh")]));
    let (cold, _) = ours.build(&ext4());
    theirs.build(&ext4());
    fs::copy(theirs.outline(0), ours.outline(0)).unwrap();
    assert_eq!(ours.build(&ext4()), (cold, true));
    assert_eq!(ours.build(&ext4()), (cold, false));
}

#[test]
fn a_layer_that_stands_twice_goes_through_the_spool() {
    let layers = two_layers();
    let place = Place::new(&[layers[0].clone(), layers[1].clone(), layers[0].clone()]);
    let (cold, _) = place.build(&ext4());
    assert_eq!(place.build(&ext4()), (cold, true));
}

#[test]
fn a_blob_that_went_bad_is_found_out_too() {
    let place = Place::new(&two_layers());
    place.build(&ext4());
    let before = fs::read(place.output()).unwrap();
    let blob = place.image.manifest.layers[0].digest;
    let path = place.store.blob_path(&blob);
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&path, bytes).unwrap();
    // Not by the store that put it in moments ago.
    let store = Store::open(place.store.path()).unwrap();
    let built = build(&store, &place.image, &ext4(), Target::Path(&place.output()), &|_| {});
    assert_eq!(built.unwrap_err().corrupt_blob(), Some(blob));
    assert!(fs::read(place.output()).unwrap() == before);
    assert_eq!(names(place.scratch.path()), ["layout", "out", "store"]);
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn random_stacks() {
    let config = Config { cases: 100, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(
        config,
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    let tar = options(Format::Tar(Packing::None));
    let done = runner.run(&stack::stacks(), |stack| {
        let layers: Vec<Layer> = stack.iter().map(|layer| Layer::plain(stack::tarball(layer))).collect();
        let place = Place::new(&layers);
        if place.try_build(&tar).is_err() {
            return Ok(());
        }
        let cold = fs::read(place.output()).unwrap();
        let warm = place.try_build(&tar).unwrap();
        proptest::prop_assert!(fs::read(place.output()).unwrap() == cold);
        let repeated =
            (1..layers.len()).any(|n| layers[..n].iter().any(|other| other.blob == layers[n].blob));
        proptest::prop_assert!(warm.scratch_bytes == 0 || repeated);
        Ok(())
    });
    done.unwrap();
}
