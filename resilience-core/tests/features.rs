//! The feature table of each crate's README has the features of its manifest, their defaults, and
//! the features that each enables.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use toml::{Table, Value};

/// Enabled by default, and the other features of the crate that a feature enables, in order.
type Row = (bool, Vec<String>);
type Rows = BTreeMap<String, Row>;

fn manifest(text: &str) -> Rows {
    let manifest: Table = text.parse().unwrap();
    let features = manifest.get("features").and_then(Value::as_table).cloned().unwrap_or_default();
    let enabled = |name: &str| -> Vec<String> {
        let list = features.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
        let mut names: Vec<String> = list
            .iter()
            .filter_map(Value::as_str)
            .filter(|name| features.contains_key(*name))
            .map(str::to_owned)
            .collect();
        names.sort();
        names
    };
    let default = enabled("default");
    features
        .keys()
        .filter(|name| *name != "default")
        .map(|name| (name.clone(), (default.contains(name), enabled(name))))
        .collect()
}

/// Reads the table below `## Features`: `| feature | default | enables | adds |`.
fn readme(text: &str) -> Rows {
    let Some((_, section)) = text.split_once("\n## Features\n") else { return Rows::new() };
    let section = section.split("\n## ").next().unwrap_or_default();
    let names = |cell: &str| -> Vec<String> {
        let mut names: Vec<String> =
            cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        names.sort();
        names
    };
    section
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            assert_eq!(cells.len(), 6, "a row of four cells: {line}");
            let [feature, default, enables, adds] = [1, 2, 3, 4].map(|cell| cells[cell]);
            assert!(!adds.is_empty(), "{line}");
            (names(feature).concat(), (default == "yes", names(enables)))
        })
        .collect()
}

#[test]
fn the_tables_are_those_of_the_manifests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for package in ["resilience-core", "resilience-http", "resilience-gcp"] {
        let read = |file: &str| fs::read_to_string(root.join(package).join(file)).unwrap();
        assert_eq!(readme(&read("README.md")), manifest(&read("Cargo.toml")), "{package}");
    }
}

#[test]
fn a_difference_is_found() {
    let cargo = "[features]\ndefault = [\"a\"]\na = [\"b\", \"dep:c\", \"b/d\"]\nb = []\n";
    let table = |rows: &str| {
        readme(&format!(
            "# x\n\n## Features\n\n| feature | default | enables | adds |\n|---|---|---|---|\n{rows}\n\n## More\n| `z` | | | z |\n"
        ))
    };
    assert_eq!(table("| `a` | yes | `b` | one |\n| `b` | | | two |"), manifest(cargo));
    for other in [
        "| `a` | yes | `b` | one |",
        "| `a` | | `b` | one |\n| `b` | | | two |",
        "| `a` | yes | | one |\n| `b` | | | two |",
        "| `a` | yes | `b` | one |\n| `b` | | | two |\n| `c` | | | three |",
    ] {
        assert_ne!(table(other), manifest(cargo), "{other}");
    }
}
