//! The dependency table of ARCHITECTURE.md against what cargo says.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use testkit::corpus::workspace;

type Table = BTreeMap<String, (BTreeSet<String>, bool)>;

/// Reads `| crate | turns | may use | pure |`.
fn table() -> Table {
    let text = std::fs::read_to_string(workspace().join("ARCHITECTURE.md")).unwrap();
    let rows = text.lines().skip_while(|line| !line.starts_with("| crate |")).skip(2);
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let uses = cells[3].split(' ').filter(|word| *word != "–").map(String::from).collect();
        (cells[1].trim_matches('`').to_string(), (uses, cells[4] == "✔"))
    };
    rows.take_while(|line| line.starts_with('|')).map(row).collect()
}

/// What each member depends on inside the workspace, for its library or program. Tests may use more.
fn metadata() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline", "--locked"])
        .current_dir(workspace())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let noun = |package: &serde_json::Value| {
        let manifest = package["manifest_path"].as_str().unwrap();
        let directory = std::path::Path::new(manifest).parent().unwrap();
        directory.file_name().unwrap().to_str().unwrap().to_string()
    };
    let nouns: BTreeMap<&str, String> =
        packages.iter().map(|package| (package["name"].as_str().unwrap(), noun(package))).collect();
    let uses = |package: &serde_json::Value| {
        let dependencies = package["dependencies"].as_array().unwrap();
        let normal = dependencies.iter().filter(|dependency| dependency["kind"].is_null());
        normal.filter_map(|dependency| nouns.get(dependency["name"].as_str().unwrap())).cloned().collect()
    };
    packages.iter().map(|package| (noun(package), uses(package))).collect()
}

#[test]
fn the_table_tells_the_truth() {
    let (table, metadata) = (table(), metadata());
    assert_eq!(table.keys().collect::<Vec<_>>(), metadata.keys().collect::<Vec<_>>(), "the crates");
    for (noun, uses) in metadata {
        let more: Vec<&String> = uses.difference(&table[&noun].0).collect();
        assert!(more.is_empty(), "{noun} uses {more:?}, which ARCHITECTURE.md does not allow");
    }
}

#[test]
fn pure_crates_say_so() {
    for (noun, (_, pure)) in table() {
        let banned = std::fs::read_to_string(workspace().join("crates").join(&noun).join("clippy.toml"));
        assert_eq!(banned.is_ok_and(|text| text.contains("disallowed-types")), pure, "{noun}");
    }
}

#[test]
fn the_data_flows_one_way() {
    let text = std::fs::read_to_string(workspace().join("Cargo.toml")).unwrap();
    let order: Vec<&str> =
        text.lines().filter_map(|line| line.trim().strip_prefix("\"crates/")?.strip_suffix("\",")).collect();
    for (noun, uses) in metadata() {
        let place = |noun: &str| order.iter().position(|member| *member == noun).unwrap();
        for used in uses {
            let test_crates = noun == "xtask";
            assert!(place(&used) < place(&noun) || test_crates, "{noun} uses {used}, which stands below it");
        }
    }
}
