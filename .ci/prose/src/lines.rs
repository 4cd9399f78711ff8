//! Faults of single lines: too long, or a reference to something that is not in the repository.

use std::collections::BTreeSet;

use crate::text::without_code;

/// Longest line of prose, in characters.
const MAX_LENGTH: usize = 100;

/// Names that prose may refer to.
pub struct Known {
    /// Paths of all files, from the root of the repository.
    pub files: BTreeSet<String>,
    /// Rules such as `R7` that ARCHITECTURE.md defines.
    pub rules: BTreeSet<String>,
}

impl Known {
    /// Reads the rules that `architecture` defines: lines, items or table rows that begin with one.
    pub fn new(files: BTreeSet<String>, architecture: &str) -> Self {
        let starts = architecture.lines().filter_map(|line| {
            let line = line.trim_start_matches(['-', '*', '|', '#', '`', ' ']);
            let end = line.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(line.len());
            is_number(&line[..end], &['R']).then(|| line[..end].to_owned())
        });
        let rules = starts.collect();
        Self { files, rules }
    }

    fn has_file(&self, from: &str, name: &str) -> bool {
        let name = name.trim_start_matches("./");
        let mut plain = name;
        while let Some(rest) = plain.strip_prefix("../") {
            plain = rest;
        }
        if !plain.contains('/') {
            let end = format!("/{plain}");
            return self.files.iter().any(|file| file == plain || file.ends_with(&end));
        }
        let folder = format!("{}/", plain.trim_end_matches('/'));
        // A path may be written from any folder above the file that names it.
        let mut base = from;
        loop {
            base = base.rsplit_once('/').map_or("", |(above, _)| above);
            let prefix = if base.is_empty() { String::new() } else { format!("{base}/") };
            let is_there = |file: &String| {
                let inside = file.strip_prefix(prefix.as_str());
                inside.is_some_and(|path| path == plain || path.starts_with(&folder))
            };
            if self.files.iter().any(is_there) {
                return true;
            }
            if base.is_empty() {
                return false;
            }
        }
    }
}

/// Returns the number and the reason of each faulty line.
pub fn faults(path: &str, text: &str, known: &Known) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line, table) in prose_lines(path, text) {
        let length = line.chars().count();
        if length > MAX_LENGTH && !table && !line.contains("://") {
            found.push((number, format!("{length} characters, at most {MAX_LENGTH}")));
        }
        let files = dangling_files(path, line, known).into_iter();
        found.extend(files.map(|name| (number, format!("`{name}` is not in the repository"))));
        let numbers = dangling_numbers(line, known).into_iter();
        found.extend(numbers.map(|name| (number, format!("`{name}` is defined nowhere"))));
    }
    found
}

/// Returns comments of Rust, and Markdown outside fences; `true` marks a row of a table.
fn prose_lines<'a>(path: &str, text: &'a str) -> Vec<(usize, &'a str, bool)> {
    let rust = path.ends_with(".rs");
    let mut fenced = false;
    let mut kept = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        if rust && !trimmed.starts_with("//") {
            fenced = false;
            continue;
        }
        let content =
            if rust { trimmed.trim_start_matches(['/', '!']).trim_start() } else { trimmed };
        if content.starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            kept.push((index + 1, line, content.starts_with('|')));
        }
    }
    kept
}

fn dangling_files<'a>(path: &str, line: &'a str, known: &Known) -> Vec<&'a str> {
    let is_path = |c: char| c.is_ascii_alphanumeric() || "_./-:*".contains(c);
    let tokens = line.split(|c| !is_path(c)).map(|token| token.trim_end_matches(['.', ':', '*']));
    let named = tokens.filter(|token| {
        let markdown = token.strip_suffix(".md").is_some_and(|stem| !stem.is_empty());
        let in_docs = token.strip_prefix("docs/").is_some_and(|rest| !rest.is_empty());
        // A pattern or an address names no file of the repository.
        (markdown || in_docs) && !token.contains("://") && !token.contains('*')
    });
    named.filter(|token| !known.has_file(path, token)).collect()
}

fn dangling_numbers(line: &str, known: &Known) -> Vec<String> {
    let prose = without_code(line);
    let tokens = prose.split(|c: char| !c.is_alphanumeric() && c != '_');
    let bad = tokens.filter(|token| {
        is_number(token, &['T', 'E']) || (is_number(token, &['R']) && !known.rules.contains(*token))
    });
    bad.map(str::to_owned).collect()
}

/// Returns `true` for one of `letters` and one or two digits.
fn is_number(token: &str, letters: &[char]) -> bool {
    let Some(digits) = token.strip_prefix(letters) else {
        return false;
    };
    (1..=2).contains(&digits.len()) && digits.chars().all(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str) -> Vec<(usize, String)> {
        let files =
            ["ARCHITECTURE.md", "docs/src/retry.md", "docs/decisions/0001.md", "a/src/lib.rs"];
        let files = files.map(str::to_owned).into();
        faults(path, text, &Known::new(files, "- **R7** Holds.\n"))
    }

    #[test]
    fn long_lines_of_prose_are_found() {
        let long = "a ".repeat(51);
        assert_eq!(check("a/src/lib.rs", &format!("// {long}")).len(), 1);
        assert_eq!(check("README.md", &long).len(), 1);
        assert!(check("a/src/lib.rs", &long).is_empty(), "code is rustfmt's");
        assert!(check("README.md", &format!("| {long} |\n```\n{long}\n```")).is_empty());
        assert!(check("README.md", &format!("{long} https://example.org")).is_empty());
    }

    #[test]
    fn files_that_are_not_there_are_found() {
        assert_eq!(check("a/src/lib.rs", "// See GCP.md, docs/nothing.").len(), 2);
        assert_eq!(check("docs/src/retry.md", "[a](other.md#b)").len(), 1);
        assert!(check("a/src/lib.rs", "/// See docs/decisions/0001.md, `docs/src`.").is_empty());
        assert!(
            check("docs/src/retry.md", "[a](../../ARCHITECTURE.md) [b](retry.md#c)").is_empty()
        );
        assert!(check("a/src/lib.rs", "// https://example.org/GCP.md").is_empty());
    }

    #[test]
    fn numbers_without_a_definition_are_found() {
        assert_eq!(check("a/src/lib.rs", "// Trap (T7), E12 and R8.").len(), 3);
        assert!(check("a/src/lib.rs", "// Rule R7, `T1`, and TLS13.").is_empty());
        assert!(check("a/src/lib.rs", "struct A<T1>;").is_empty());
    }
}
