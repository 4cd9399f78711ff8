//! The folders of `src` depend on each other in one direction only.
//!
//! The order is the map in ARCHITECTURE.md. An arrow is any path `crate::folder::…` in code outside
//! of tests, or in a doc comment, since a reader follows a link as well.
//!
//! `RESILIENCE_SRC=/path/to/resilience-core/src cargo test -p resilience-core --test architecture
//! -- --nocapture` prints the arrows of another tree.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Folders and files of earlier trees, each beside the one that took its place.
const FORMER: [(&str, &str); 1] = [("tick", "clock")];

type Arrows = BTreeSet<(String, String)>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Returns the folders in the order of the map, lowest first.
fn order() -> Vec<String> {
    let text = fs::read_to_string(root().join("../ARCHITECTURE.md")).unwrap();
    let map =
        text.split("<!-- arrows -->").nth(1).expect("the map is between two `<!-- arrows -->`");
    let rows = map.lines().filter_map(|line| line.split_once(':'));
    let mut order: Vec<String> =
        rows.flat_map(|(_, row)| row.split_whitespace()).map(str::to_owned).collect();
    for (former, place) in FORMER {
        let at = order.iter().position(|name| name == place).unwrap();
        order.insert(at, former.to_owned());
    }
    order
}

/// Returns the name of the folder, or of the file directly in `src`, that `path` is in.
fn folder(path: &Path, src: &Path) -> String {
    let first = path.strip_prefix(src).unwrap().components().next().unwrap();
    first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Returns the text in front of the tests of a file, without what is compiled for tests only.
fn without_tests(text: &str) -> &str {
    let tests = ["\n#[cfg(test)]\nmod ", "\n#[cfg(test)]\n#[cfg(not(resilience_loom))]\nmod "];
    let end = tests.iter().filter_map(|start| text.find(start)).min();
    &text[..end.unwrap_or(text.len())]
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// Returns the folder of each item that `lib.rs` re-exports.
fn re_exports(src: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(src.join("lib.rs")).unwrap();
    let uses = text.split("pub use ").skip(1).filter_map(|rest| rest.split_once(';'));
    let paths = uses.filter_map(|(path, _)| path.split_once("::"));
    paths
        .flat_map(|(folder, items)| words(items).map(|item| (item.to_owned(), folder.to_owned())))
        .collect()
}

/// Returns the first segments of the paths behind `crate::` in a text.
fn paths(text: &str) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    for (_, rest) in text.match_indices("crate::").map(|(at, path)| text.split_at(at + path.len()))
    {
        match rest.strip_prefix('{').and_then(|group| group.split_once("};")) {
            Some((group, _)) => found.extend(words(group)),
            None => found.extend(words(rest).next()),
        }
    }
    found
}

fn arrows(src: &Path) -> Arrows {
    let mut files = Vec::new();
    sources(src, &mut files);
    let folders: BTreeSet<String> = files.iter().map(|path| folder(path, src)).collect();
    let re_exports = re_exports(src);
    let mut arrows = Arrows::new();
    for path in &files {
        let from = folder(path, src);
        if from == "lib" || path.ends_with("shard_tests.rs") {
            continue;
        }
        let text = fs::read_to_string(path).unwrap();
        for item in paths(without_tests(&text)) {
            let to = re_exports.get(item).map_or(item, String::as_str);
            if folders.contains(to) && to != from {
                arrows.insert((from.clone(), to.to_owned()));
            }
        }
    }
    arrows
}

fn upward(arrows: &Arrows) -> Vec<String> {
    let order = order();
    let place = |name: &String| {
        let place = order.iter().position(|known| known == name);
        place.unwrap_or_else(|| panic!("`{name}` has no place in the map of ARCHITECTURE.md"))
    };
    let upward = arrows.iter().filter(|(from, to)| place(from) < place(to));
    upward.map(|(from, to)| format!("{from} -> {to}")).collect()
}

#[test]
fn no_arrow_runs_back_up() {
    if let Some(src) = std::env::var_os("RESILIENCE_SRC") {
        let arrows = arrows(Path::new(&src));
        let upward = upward(&arrows);
        println!("{} of {} arrows run back up: {upward:#?}", upward.len(), arrows.len());
        return;
    }
    let arrows = arrows(&root().join("src"));
    println!("{} arrows", arrows.len());
    let upward = upward(&arrows);
    assert!(upward.is_empty(), "these arrows run back up: {upward:#?}");
    assert!(arrows.contains(&("stack".to_owned(), "breaker".to_owned())), "nothing was read");
}

/// Patterns do not import each other, and only `profiles` builds on `stack`.
#[test]
fn policies_do_not_know_each_other() {
    let policies = ["breaker", "bulkhead", "rate", "retry", "timeout"];
    for (from, to) in arrows(&root().join("src")) {
        let both = policies.contains(&from.as_str()) && policies.contains(&to.as_str());
        assert!(!both, "{from} -> {to}");
        let above = ["profiles", "testing"].contains(&from.as_str());
        assert!(to != "stack" || above, "{from} -> {to}");
    }
}
