//! Random stacks of layers, merged here and unpacked by umoci onto a real filesystem. Takes root.
//!
//! `UNLADE_STACKS=10000 cargo test -p unlade-pipeline --release --test differential` compares as many as one
//! likes, and other ones each time.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test may fail and say why")]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use serde_json::json;
use store::Store;
use testkit::image::{self, Layer};
use testkit::judge;
use testkit::listing::{self, Kind, Line};
use testkit::stack::{self, Entry, Stack, What};
use unlade_pipeline::{Error, Format, Options, Scratch, Target, build, layers, pull};

/// How many stacks an ordinary run compares.
const STACKS: u32 = 150;

#[test]
fn layers_merge_as_umoci_unpacks_them() {
    assert!(testkit::tools::is_root(), "umoci gives files their owners only as root");
    let (stacks, rng) = match std::env::var("UNLADE_STACKS") {
        Ok(stacks) => (stacks.parse().unwrap(), TestRng::from_seed(RngAlgorithm::ChaCha, &seed())),
        Err(_) => (STACKS, TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
    };
    let config =
        Config { cases: stacks, max_shrink_iters: 400, failure_persistence: None, ..Config::default() };
    let counts: RefCell<BTreeMap<&str, u32>> = RefCell::default();
    let run = TestRunner::new_with_rng(config, rng).run(&stack::stacks(), |stack| {
        for how in compare(&stack)? {
            *counts.borrow_mut().entry(how).or_default() += 1;
        }
        Ok(())
    });
    eprintln!("{:?}", counts.borrow());
    if let Err(error) = run {
        match error {
            TestError::Fail(reason, stack) => panic!("{reason}\n{}", shown(&stack)),
            TestError::Abort(reason) => panic!("{reason}"),
        }
    }
    let compared = counts.borrow().get("compared").copied().unwrap_or_default();
    assert!(compared * 100 >= stacks * 98, "only {compared} stacks of {stacks} could be compared");
}

/// Another one for each run.
fn seed() -> [u8; 32] {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let mut seed = [0; 32];
    seed[..16].copy_from_slice(&now.to_le_bytes());
    seed
}

/// Compares what both make of a stack. What one of them refuses is compared as such, and then without the
/// entries that are to blame, so that every stack is compared in the end. Says how it went.
fn compare(stack: &Stack) -> Result<Vec<&'static str>, TestCaseError> {
    let scratch = tempfile::tempdir_in("/dev/shm").unwrap();
    // Wherever a layer has its removals, and in whatever order, they mean the same.
    let last: Stack = stack.iter().map(|layer| removals_last(layer)).collect();
    same("as it is", &ours(stack, scratch.path()), "removals last", &ours(&last, scratch.path()))?;

    let mut settled: Stack = stack.iter().map(|layer| settled(layer)).collect();
    let mut how = Vec::new();
    loop {
        let ours = ours(&settled, scratch.path());
        match (ours, theirs(&settled, scratch.path())) {
            (Ok(ours), Ok((theirs, timeless))) => {
                let theirs = Ok(timed(theirs, &timeless));
                let compared = same("umoci", &theirs, "unlade", &Ok(timed(ours, &timeless)));
                // umoci removes one thing after the other, even what is on the way to the next.
                let stepwise =
                    || self::ours(&stepwise(&settled), scratch.path()).map(|it| timed(it, &timeless));
                match compared {
                    Ok(()) => how.push("compared"),
                    Err(_) if same("umoci", &theirs, "stepwise", &stepwise()).is_ok() => how.push("stepwise"),
                    Err(differences) => return Err(differences),
                }
                return Ok(how);
            }
            (Err(fault), Err(_)) => {
                how.push("refused by both");
                settled[fault.layer].remove(fault.entry);
            }
            (Ok(_), Err(text)) => {
                // Its hard links need all they mean to stand before them.
                how.push("refused by umoci");
                let layer = settled.iter_mut().rev().find(|layer| layer.iter().any(is_link));
                let Some(layer) = layer else {
                    if self::ours(&stepwise(&settled), scratch.path()).is_err() {
                        how.push("stepwise");
                        return Ok(how);
                    }
                    return Err(TestCaseError::fail(text));
                };
                let last = layer.iter().rposition(is_link).unwrap();
                layer.remove(last);
            }
            (Err(fault), Ok(_)) => return Err(TestCaseError::fail(format!("refused: {}", fault.text))),
        }
    }
}

fn is_link(entry: &Entry) -> bool {
    matches!(entry.what, What::Link(_))
}

/// Fails where two listings differ, or only one of them exists.
fn same(
    one: &str,
    left: &Result<Vec<Line>, Fault>,
    other: &str,
    right: &Result<Vec<Line>, Fault>,
) -> Result<(), TestCaseError> {
    let differences = match (left, right) {
        (Ok(left), Ok(right)) => listing::diff(left, right).join("\n"),
        (Err(_), Err(_)) => String::new(),
        (Ok(_), Err(fault)) | (Err(fault), Ok(_)) => format!("only one is refused: {}", fault.text),
    };
    match differences.is_empty() {
        true => Ok(()),
        false => Err(TestCaseError::fail(format!("left {one}, right {other}:\n{differences}"))),
    }
}

fn removals_last(layer: &[Entry]) -> Vec<Entry> {
    let puts = layer.iter().filter(|entry| !entry.removes());
    let removals = layer.iter().rev().filter(|entry| entry.removes());
    puts.chain(removals).cloned().collect()
}

/// A layer as umoci needs it to understand it as it is meant: what it removes first, each removal behind
/// the directories that the layer itself puts around it.
fn settled(layer: &[Entry]) -> Vec<Entry> {
    let around = |entry: &&Entry| {
        let below = |removal: &Entry| {
            let directory = match removal.what {
                What::Clear => Some(&removal.name[..]),
                _ => removal.name.iter().rposition(|&byte| byte == b'/').map(|slash| &removal.name[..slash]),
            };
            removal.removes()
                && directory.is_some_and(|path| {
                    path.strip_prefix(&entry.name[..]).is_some_and(|rest| matches!(rest, [] | [b'/', ..]))
                })
        };
        entry.what == What::Directory && !entry.name.is_empty() && layer.iter().any(below)
    };
    let mut first: Vec<Entry> =
        layer.iter().filter(|entry| entry.removes() || around(entry)).cloned().collect();
    first.sort_by_key(|entry| {
        let depth = entry.name.split(|&byte| byte == b'/').filter(|name| !name.is_empty()).count();
        let rank = match entry.what {
            What::Remove(_) => 0,
            What::Directory => 1,
            _ => 2,
        };
        (depth, entry.name.clone(), rank)
    });
    first.extend(layer.iter().filter(|entry| !entry.removes()).cloned());
    first
}

/// A layer that was refused.
struct Fault {
    layer: usize,
    entry: usize,
    text: String,
}

/// The same with each removal in a layer of its own.
fn stepwise(stack: &Stack) -> Stack {
    let steps = |layer: &Vec<Entry>| {
        let last = layer.iter().rposition(Entry::removes).map_or(0, |last| last + 1);
        let (removals, puts) = layer.split_at(last);
        removals.iter().map(|entry| vec![entry.clone()]).chain([puts.to_vec()]).collect::<Vec<_>>()
    };
    stack.iter().flat_map(steps).collect()
}

fn ours(stack: &Stack, scratch: &Path) -> Result<Vec<Line>, Fault> {
    let scratch = tempfile::tempdir_in(scratch).unwrap();
    let (layout, root) = (scratch.path().join("layout"), scratch.path().join("root"));
    write(stack, &layout);
    let store = Store::temporary(Some(scratch.path())).unwrap();
    let source = format!("oci:{}", layout.display()).parse().unwrap();
    let platform = format!("linux/{}", if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" });
    let image =
        pull::pull(&source, &platform.parse().unwrap(), &store, &pull::Options::default(), &|_| {}).unwrap();
    let options = Options {
        format: Format::Directory,
        layers: layers::Options::default(),
        latest_mtime: None,
        scratch: Scratch::Beside,
        allow_empty: true,
    };
    match build(&store, &image, &options, Target::Path(&root), &|_| {}) {
        Ok(_) => Ok(listing::list(&root).unwrap()),
        Err(Error::Apply { fault, .. }) => {
            let (layer, entry) = (fault.layer as usize, fault.entry as usize);
            Err(Fault { layer, entry, text: fault.fault.to_string() })
        }
        Err(error) => panic!("{error}: {:?}", error.source()),
    }
}

/// What umoci makes of it, and the directories to which it gave the time of the unpacking.
fn theirs(stack: &Stack, scratch: &Path) -> Result<(Vec<Line>, BTreeSet<Vec<u8>>), String> {
    let scratch = tempfile::tempdir_in(scratch).unwrap();
    let (layout, root) = (scratch.path().join("layout"), scratch.path().join("root"));
    write(stack, &layout);
    let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    judge::unpack_with_umoci(&layout, &root).map_err(|error| error.to_string())?;
    let lines = listing::list(&root).unwrap();
    let timeless = lines.iter().filter(|line| line.kind == Kind::Directory && line.mtime.0 >= start);
    let timeless = timeless.map(|line| line.path.clone()).collect();
    Ok((lines, timeless))
}

fn write(stack: &Stack, layout: &Path) {
    let layers: Vec<Layer> = stack.iter().map(|layer| Layer::plain(stack::tarball(layer))).collect();
    image::write_layout(layout, "latest", &layers, &json!({})).unwrap();
}

fn timed(lines: Vec<Line>, timeless: &BTreeSet<Vec<u8>>) -> Vec<Line> {
    let timed = |line: Line| match timeless.contains(&line.path) {
        true => Line { mtime: (0, 0), ..line },
        false => line,
    };
    lines.into_iter().map(timed).collect()
}

/// A stack for eyes.
fn shown(stack: &Stack) -> String {
    let mut text = String::new();
    for (number, layer) in stack.iter().enumerate() {
        text += &format!("layer {}\n", number + 1);
        for entry in layer {
            let what = match &entry.what {
                What::Symlink(to) => format!("Symlink to {}", listing::escape(to)),
                What::Link(to) => format!("Link to {}", listing::escape(to)),
                other => format!("{other:?}"),
            };
            text += &format!(
                "  {} {what} {:?} {:?}\n",
                listing::escape(&entry.name),
                entry.spelling,
                entry.metadata
            );
        }
    }
    text
}
