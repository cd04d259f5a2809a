//! The catalogue against the tests that it names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::PoisonError;

use testkit::corpus::workspace;

use crate::SECTIONS;
use crate::check::ALONE;

/// Lines that this suite has outside of its tables.
const IN_TESTS: [u16; 4] = [106, 107, 108, 109];

/// The tests that the catalogue names, by the number of the line.
fn rows() -> BTreeMap<u16, Vec<String>> {
    let text = fs::read_to_string(workspace().join("docs/hostile-inputs.md")).unwrap();
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let number = cells.get(1)?.parse().ok()?;
        // What stands in brackets says which part of the line is meant.
        let tests = cells[4].split(',').map(|test| test.split(" (").next().unwrap().trim().to_string());
        Some((number, tests.collect()))
    };
    let rows: Vec<(u16, Vec<String>)> = text.lines().filter_map(row).collect();
    let count = rows.len();
    let rows: BTreeMap<_, _> = rows.into_iter().collect();
    assert_eq!(rows.len(), count, "a number stands twice");
    rows
}

/// The file that a word in the column of tests means.
fn file(test: &str) -> Option<PathBuf> {
    let tests = |krate: &str, name: &str| {
        let tests = workspace().join("crates").join(krate).join("tests");
        [tests.join(name).with_extension("rs"), tests.join(name).join("main.rs")]
            .into_iter()
            .find(|path| path.exists())
    };
    match test {
        "path" => Some(workspace().join("crates/tree/src/path.rs")),
        "wh" => Some(workspace().join("crates/layer/src/read/whiteout.rs")),
        "apply" => tests("tree", test),
        "archive" | "layer" | "content" | "compression" | "foreign" => tests("layer", test),
        "catalogue" => tests("cli", test),
        "`cargo xtask judge`" => Some(workspace().join("crates/xtask/src/judge.rs")),
        _ => match test.split_once('/') {
            Some((krate, name)) => tests(krate, name),
            None => tests("pipeline", test),
        },
    }
    .filter(|path| path.exists())
}

#[test]
fn every_line_has_its_tests() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let cases: BTreeSet<u16> =
        SECTIONS.iter().flat_map(|section| section()).map(|case| case.number).chain(IN_TESTS).collect();
    let rows = rows();
    let mut wrong = Vec::new();
    for number in 1..=rows.keys().copied().max().unwrap() {
        let Some(tests) = rows.get(&number) else {
            wrong.push(format!("{number} is missing"));
            continue;
        };
        let unknown = tests.iter().filter(|test| file(test).is_none());
        wrong.extend(unknown.map(|test| format!("{number} names {test:?}, which is not there")));
        if cases.contains(&number) != tests.iter().any(|test| test == "catalogue") {
            wrong.push(format!("{number} has cases here: {}", cases.contains(&number)));
        }
    }
    wrong.extend(
        cases.iter().filter(|number| !rows.contains_key(number)).map(|number| format!("{number} is no line")),
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What other test files have, and this suite cannot: registries, real images.
#[test]
fn all_but_registries_are_here() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let cases: BTreeSet<u16> =
        SECTIONS.iter().flat_map(|section| section()).map(|case| case.number).chain(IN_TESTS).collect();
    let missing: Vec<u16> = (1..=94).chain(106..=109).filter(|number| !cases.contains(number)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
