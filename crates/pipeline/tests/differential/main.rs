//! Random stacks of layers, merged here and unpacked by umoci and by containerd onto a real filesystem. Takes root.
//!
//! `UNLADE_STACKS=10000 cargo test -p unlade-pipeline --release --test differential` compares as many as one
//! likes, and other ones each time. What the two others do differently, and why, is in `docs/merge.md`.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test may fail and say why")]

mod readers;
mod settle;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use testkit::containerd::Containerd;
use testkit::listing::{self, Line};
use testkit::stack::{self, Entry, FEATURES, Stack, What, features};

use readers::{Fault, Unpacked, by_containerd, by_umoci, ours};
use settle::{plainer, removals_last, settled, stepwise};

/// How many stacks an ordinary run compares.
const STACKS: u32 = 1000;

/// How many stacks have the same seed and the same containerd. Threads take one lot after the other.
const LOT: u32 = 125;

const CONTAINERD: &str = "containerd";

/// How often something happened.
type Counts = BTreeMap<String, u32>;

#[test]
fn layers_merge_as_others_unpack_them() {
    assert!(testkit::tools::is_root(), "unpackers give files their owners only as root");
    let (stacks, seed) = match std::env::var("UNLADE_STACKS") {
        Ok(stacks) => (stacks.parse().unwrap(), now()),
        Err(_) => (STACKS, 0),
    };
    let (next, counts) = (AtomicU32::new(0), Mutex::new(Counts::new()));
    let failed = Mutex::new(Vec::new());
    let worker = || {
        loop {
            let lot = next.fetch_add(1, Ordering::Relaxed);
            let cases = stacks.saturating_sub(lot * LOT).min(LOT);
            if cases == 0 {
                return;
            }
            match compare_lot(cases, seed + u64::from(lot)) {
                Ok(found) => {
                    let mut counts = counts.lock().unwrap();
                    found.into_iter().for_each(|(what, count)| *counts.entry(what).or_default() += count);
                }
                Err(text) => failed.lock().unwrap().push(text),
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, |count| count.get()) {
            scope.spawn(worker);
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    let counts = counts.into_inner().unwrap();
    eprintln!("{counts:#?}");
    let count = |what: &str| counts.get(what).copied().unwrap_or_default();
    let compared = count("umoci: compared");
    assert!(compared * 100 >= stacks * 98, "only {compared} stacks of {stacks} could be compared with umoci");
    let compared = count("containerd: compared");
    assert!(
        compared * 100 >= stacks * 90,
        "only {compared} stacks of {stacks} could be compared with containerd"
    );
    // Few stacks, or other ones each time, need not have everything.
    if seed == 0 {
        check_features(stacks, &counts);
    }
}

/// The generator must go on making all that it is there for.
fn check_features(stacks: u32, counts: &Counts) {
    let count = |what: &str| counts.get(what).copied().unwrap_or_default();
    let rare: Vec<_> = FEATURES.iter().filter(|feature| count(feature) * 500 < stacks).collect();
    assert!(rare.is_empty(), "in fewer than one of 500 stacks: {rare:?}");
    let types = ["directory", "file", "symlink", "hard link", "fifo", "device"];
    let pairs = types.iter().flat_map(|upper| types.iter().map(move |lower| format!("{upper} over {lower}")));
    let missing: Vec<_> = pairs.filter(|pair| count(pair) == 0).collect();
    assert!(missing.is_empty(), "in no stack: {missing:?}");
}

/// Compares so many stacks; says what they had and how it went, or in what the smallest one differs.
fn compare_lot(cases: u32, seed: u64) -> Result<Counts, String> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let config = Config { cases, max_shrink_iters: 400, failure_persistence: None, ..Config::default() };
    let counts: RefCell<Counts> = RefCell::default();
    let containerd = Containerd::start(Path::new("/dev/shm")).unwrap();
    let run = TestRunner::new_with_rng(config, rng).run(&stack::stacks(), |stack| {
        let mut found = compare(&stack, &containerd)?;
        let mut features = features(&stack);
        features.sort();
        features.dedup();
        found.extend(features);
        let mut counts = counts.borrow_mut();
        found.into_iter().for_each(|what| *counts.entry(what).or_default() += 1);
        Ok(())
    });
    match run {
        Ok(()) => Ok(counts.into_inner()),
        Err(TestError::Fail(reason, stack)) => Err(format!("{reason}\n{}", shown(&stack))),
        Err(TestError::Abort(reason)) => Err(reason.to_string()),
    }
}

/// Another seed for each run.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}

/// Compares what all make of a stack. What one of them refuses is compared as such, and then without the
/// entries that are to blame, so that every stack is compared in the end. Says how it went.
fn compare(stack: &Stack, containerd: &Containerd) -> Result<Vec<String>, TestCaseError> {
    let scratch = tempfile::tempdir_in("/dev/shm").unwrap();
    // Wherever a layer has its removals, and in whatever order, they mean the same.
    let last: Stack = stack.iter().map(|layer| removals_last(layer)).collect();
    same("as it is", &ours(stack, scratch.path()), "removals last", &ours(&last, scratch.path()))?;

    let mut settled: Stack = stack.iter().map(|layer| settled(layer)).collect();
    let mut how = Vec::new();
    loop {
        let ours = ours(&settled, scratch.path());
        match (ours, by_umoci(&settled, scratch.path())) {
            (Ok(ours), Ok(theirs)) => {
                how.push(agree("umoci", &ours, &theirs, &settled, scratch.path())?);
                how.push(with_containerd(containerd, &ours, &settled, scratch.path())?);
                return Ok(how);
            }
            (Err(fault), Err(_)) => {
                how.push("refused by both".into());
                settled[fault.layer].remove(fault.entry);
            }
            (Ok(_), Err(text)) => {
                // Its hard links need all they mean to stand before them.
                how.push("umoci: refused".into());
                let layer = settled.iter_mut().rev().find(|layer| layer.iter().any(is_link));
                let Some(layer) = layer else {
                    if self::ours(&stepwise(&settled), scratch.path()).is_err() {
                        how.push("umoci: stepwise".into());
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

/// Compares with containerd; what it refuses, without what it stumbles over.
fn with_containerd(
    containerd: &Containerd,
    ours: &[Line],
    stack: &Stack,
    scratch: &Path,
) -> Result<String, TestCaseError> {
    if let Ok(theirs) = by_containerd(containerd, stack, scratch) {
        return agree(CONTAINERD, ours, &theirs.without_leftovers(ours), stack, scratch);
    }
    let plainer = plainer(stack);
    match (self::ours(&plainer, scratch), by_containerd(containerd, &plainer, scratch)) {
        (Ok(ours), Ok(theirs)) => {
            agree(CONTAINERD, &ours, &theirs.without_leftovers(&ours), &plainer, scratch)
        }
        _ => Ok(format!("{CONTAINERD}: refused")),
    }
}

/// Compares with one of the others, who remove one thing after the other, even what is on the way to the next.
fn agree(
    who: &str,
    ours: &[Line],
    theirs: &Unpacked,
    stack: &Stack,
    scratch: &Path,
) -> Result<String, TestCaseError> {
    let expected = Ok(theirs.timed(&theirs.lines));
    let differences = match same(who, &expected, "unlade", &Ok(theirs.timed(ours))) {
        Ok(()) => return Ok(format!("{who}: compared")),
        Err(differences) => differences,
    };
    let stepwise = self::ours(&stepwise(stack), scratch).map(|lines| theirs.timed(&lines));
    match same(who, &expected, "stepwise", &stepwise) {
        Ok(()) => Ok(format!("{who}: stepwise")),
        // It shortens the texts of links before it follows them.
        Err(_) if who == CONTAINERD && stack.iter().flatten().any(climbs) => Ok(format!("{who}: shortened")),
        Err(_) => Err(differences),
    }
}

/// Whether it is a symlink whose text goes back behind a name.
fn climbs(entry: &Entry) -> bool {
    let What::Symlink(text) = &entry.what else { return false };
    let names: Vec<&[u8]> =
        text.split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b".")).collect();
    names.windows(2).any(|pair| pair[0] != b".." && pair[1] == b"..")
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
