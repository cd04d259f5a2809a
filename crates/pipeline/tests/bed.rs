//! Contents that are moved within the output, and those that cannot be: always the same bytes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

mod common;

use std::fmt::Write;

use common::place::{Place, noise, options};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use testkit::image::{Header, Layer, Tar};
use testkit::stack;
use unlade_pipeline::{Ext4, Format, Options, Scratch};

fn ext4(scratch: Scratch) -> Options {
    options(Format::Ext4(Ext4::default()), scratch)
}

/// Builds the image in a bed, if the filesystem has what that takes, and through a spool; the bytes must be equal. Says
/// whether contents had to be copied in the first case, too.
fn compare(layers: &[Layer], change: impl Fn(&mut Options)) -> bool {
    let build = |scratch| {
        let mut options = ext4(scratch);
        change(&mut options);
        Place::new(layers).build(&options)
    };
    let ((bed, copied), (spooled, _)) = (build(Scratch::Beside), build(Scratch::In(std::env::temp_dir())));
    assert_eq!(bed, spooled);
    copied
}

/// Whether outputs of these tests lie where contents can be moved.
fn is_movable() -> bool {
    let file = tempfile::tempfile().unwrap();
    host::Direct::open(&file).is_some() && host::make_movable(&file, 1 << 30).unwrap()
}

#[test]
fn what_upper_layers_drop_is_taken_out() {
    let file = |n: u64| noise(n, (n * 37_501 % 200_000) as usize);
    let lower = (0..60).fold(Tar::default(), |tar, n| tar.file(&format!("{n}"), 0o644, &file(n)));
    // Every third is removed, every seventh replaced.
    let upper = (0..60).fold(Tar::default(), |tar, n| match n {
        n if n % 3 == 0 => tar.file(&format!(".wh.{n}"), 0, b""),
        n if n % 7 == 0 => tar.file(&format!("{n}"), 0o600, &file(n + 100)),
        _ => tar,
    });
    let copied = compare(&[Layer::gzip(&lower.finish()), Layer::gzip(&upper.finish())], |_| {});
    assert_eq!(copied, !is_movable());
}

#[test]
fn an_image_with_nothing_in_it() {
    assert!(!compare(&[Layer::gzip(&Tar::default().directory("d", 0o700).finish())], |_| {}));
}

#[test]
fn a_disk_around_it() {
    let tarball = Tar::default().file("large", 0o644, &noise(1, 3_000_000)).finish();
    let copied = compare(&[Layer::gzip(&tarball)], |options| {
        if let Format::Ext4(ext4) = &mut options.format {
            ext4.frame.gpt = Some(unlade_pipeline::gpt::Sector::B512);
        }
    });
    assert_eq!(copied, !is_movable());
}

#[test]
fn too_many_moves() {
    // Every other file is removed: two moves for each of the rest, or one.
    let lower = (0..11_000).fold(Tar::default(), |tar, n| tar.file(&format!("{n}"), 0o644, b"a few bytes"));
    let upper = (0..5500).fold(Tar::default(), |tar, n| tar.file(&format!(".wh.{}", 2 * n), 0, b""));
    assert!(compare(&[Layer::gzip(&lower.finish()), Layer::gzip(&upper.finish())], |_| {}));
}

#[test]
fn more_contents_than_a_tarball_of_its_length_should_have() {
    // A byte in every second block.
    let map = (0..1000).fold(String::new(), |mut map, n| {
        let comma = if n == 0 { "" } else { "," };
        write!(map, "{comma}{},1", n * 8192).unwrap();
        map
    });
    let record = |text: &str| {
        let length =
            (1..).find(|length: &usize| length.to_string().len() + text.len() + 2 == *length).unwrap();
        format!("{length} {text}\n")
    };
    let records = record("GNU.sparse.size=8192000") + &record(&format!("GNU.sparse.map={map}"));
    let tar = Tar::default()
        .entry(&Header { name: b"PaxHeaders/x", typeflag: b'x', ..Header::default() }, records.as_bytes())
        .file("holes", 0o644, &[b'x'; 1000]);
    let copied = compare(&[Layer::plain(tar.finish())], |options| {
        options.layers.expand.ratio = 1;
        options.layers.expand.ratio_free = 0;
    });
    assert!(copied);
}

#[test]
fn random_stacks() {
    let config = Config { cases: 20, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let done = runner.run(&stack::stacks(), |stack| {
        let layers: Vec<Layer> = stack.iter().map(|layer| Layer::plain(stack::tarball(layer))).collect();
        if Place::new(&layers).try_build(&ext4(Scratch::Beside)).is_ok() {
            compare(&layers, |_| {});
        }
        Ok(())
    });
    done.unwrap();
}
