//! The table of limits in `docs/security.md` is what the code says.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use support::Place;

/// Every `pub const NAME_MAX: TYPE = VALUE;` of the crates that the command consists of.
fn constants() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![testkit::corpus::workspace().join("crates")];
    while let Some(path) = waiting.pop() {
        let is_ours = |path: &Path| !["testkit", "xtask", "tests"].iter().any(|name| path.ends_with(name));
        if path.is_dir() {
            let entries = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path());
            waiting.extend(entries.filter(|path| is_ours(path)));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            for line in fs::read_to_string(&path).unwrap().lines() {
                let Some(rest) = line.strip_prefix("pub const ") else { continue };
                let (name, rest) = rest.split_once(": ").unwrap();
                let (_, value) = rest.split_once(" = ").unwrap();
                if name.ends_with("_MAX") || name == "RATIO_FREE" {
                    let before = found.insert(name.to_string(), value.trim_end_matches(';').to_string());
                    assert_eq!(before, None, "{name} is there twice");
                }
            }
        }
    }
    found
}

/// What such an expression comes to: numbers, shifts, products and other constants.
fn value(expression: &str, constants: &BTreeMap<String, String>) -> u64 {
    if let Some((left, right)) = expression.split_once(" << ") {
        return value(left, constants) << value(right, constants);
    }
    if let Some((left, right)) = expression.split_once(" * ") {
        return value(left, constants) * value(right, constants);
    }
    match expression.replace('_', "").parse() {
        Ok(number) => number,
        Err(_) => value(&constants[expression.rsplit("::").next().unwrap()], constants),
    }
}

/// What the document says: `5,000,000`, `256 GiB`.
fn stated(text: &str) -> u64 {
    let (number, unit) = text.split_once(' ').unwrap_or((text, ""));
    let shift = ["", "KiB", "MiB", "GiB", "TiB"].iter().position(|known| *known == unit).unwrap() * 10;
    number.replace(',', "").parse::<u64>().unwrap() << shift
}

#[test]
fn the_table_of_limits_is_what_the_code_says() {
    let constants = constants();
    let help = Place::new().done(&["build", "--help"]).out;
    let document = fs::read_to_string(testkit::corpus::workspace().join("docs/security.md")).unwrap();
    let mut rows = BTreeMap::new();
    for line in document.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let name = cells[0].trim_matches('`');
        let expression = constants.get(name).unwrap_or_else(|| panic!("there is no {name}"));
        assert_eq!(stated(cells[1]), value(expression, &constants), "{name}");
        if cells[2] != "–" {
            assert!(help.contains(&format!("{} <", cells[2].trim_matches('`'))), "{}", cells[2]);
        }
        rows.insert(name.to_string(), ());
    }
    let missing: Vec<&String> = constants.keys().filter(|name| !rows.contains_key(*name)).collect();
    assert!(missing.is_empty(), "not in docs/security.md: {missing:?}");
}
