//! References to what is not there.

use crate::files::Text;

/// The address of this repository's files.
const REPOSITORY: &str = "github.com/resilience-rs/resilience/blob/main/";

/// Returns the references of a text that lead nowhere: Markdown files that are not in the repository, numbers of rules that
/// ARCHITECTURE.md does not define.
pub fn dangling(text: &Text, texts: &[Text]) -> Vec<String> {
    let rules = texts.iter().find(|text| text.path == "ARCHITECTURE.md").map(|text| &text.content);
    let mut found = Vec::new();
    for (number, line) in prose_lines(text) {
        let mut fault = |what: &str, why: &str| {
            found.push(format!("{}:{number}: `{what}` {why}", text.path));
        };
        for word in line.split(|c: char| !c.is_ascii_alphanumeric() && !"._-/".contains(c)) {
            let word = word.trim_matches(['.', '-', '/']);
            let named = word.strip_prefix(REPOSITORY).unwrap_or(word);
            if is_page(named) && !texts.iter().any(|text| is_named(&text.path, named)) {
                fault(word, "is not in the repository");
            }
            if numbered(word, &["T", "E"]) {
                fault(word, "is a number of a document that is not in the repository");
            }
            if numbered(word, &["R"]) && !rules.is_some_and(|rules| defines(rules, word)) {
                fault(word, "is not defined in ARCHITECTURE.md");
            }
        }
    }
    found
}

/// Returns the lines of comments, or of a document without its code.
fn prose_lines(text: &Text) -> Vec<(usize, &str)> {
    let numbered = (1..).zip(text.content.lines());
    if text.is_rust() {
        return numbered.filter(|(_, line)| line.trim_start().starts_with("//")).collect();
    }
    let mut is_code = false;
    numbered
        .filter(|(_, line)| {
            let is_fence = line.trim().starts_with("```");
            is_code ^= is_fence;
            !is_code && !is_fence
        })
        .collect()
}

/// Returns `true` for a path of a page. The first name of an address elsewhere has a dot in it.
fn is_page(word: &str) -> bool {
    word.strip_suffix(".md").is_some_and(|stem| {
        let first = stem.split('/').next().unwrap_or(stem);
        let is_address = stem.contains('/') && first.trim_matches('.').contains('.');
        !stem.is_empty() && !is_address
    })
}

/// Returns `true` if a path ends with what is named, from a whole name on.
fn is_named(path: &str, named: &str) -> bool {
    let named = named.trim_start_matches("../").trim_start_matches("./");
    path.strip_suffix(named).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
}

/// Returns `true` for one of the letters with one or two digits.
fn numbered(word: &str, letters: &[&str]) -> bool {
    letters.iter().any(|letter| {
        word.strip_prefix(letter).is_some_and(|number| {
            matches!(number.len(), 1 | 2) && number.bytes().all(|byte| byte.is_ascii_digit())
        })
    })
}

/// Returns `true` if a rule is defined: its number is bold at the beginning of its text.
fn defines(rules: &str, number: &str) -> bool {
    rules.contains(&format!("**{number}")) || rules.contains(&format!("| {number} |"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &str, content: &str) -> Text {
        Text { path: path.to_owned(), content: content.to_owned() }
    }

    #[test]
    fn what_is_there_is_no_fault() {
        let texts = [
            text("ARCHITECTURE.md", "**R1** Bounds."),
            text("docs/src/keyed.md", ""),
            text("a.rs", "// See docs/src/keyed.md and R1.\nlet s = \"none.md E7\";"),
        ];
        assert_eq!(dangling(&texts[2], &texts), <[&str; 0]>::default());
    }

    #[test]
    fn what_is_not_there_is_named() {
        let texts = [text("a.rs", "/// See GCP.md, T7 and R9.")];
        let found = dangling(&texts[0], &texts);
        assert_eq!(found.len(), 3, "{found:?}");
        assert_eq!(found[0], "a.rs:1: `GCP.md` is not in the repository");
    }
}
