//! Samples for readers, drawn by the commit that is judged.

use std::fmt::Write as _;

use crate::blocks::doc_comment;
use crate::files::Text;

/// Source files that a sample is drawn from.
fn sources(texts: &[Text]) -> Vec<&Text> {
    let is_source = |text: &&Text| text.is_rust() && text.path.contains("/src/");
    texts.iter().filter(is_source).collect()
}

/// Returns a page with up to `count` doc comments and the lines that they describe.
pub fn comments(texts: &[Text], seed: &str, count: usize) -> String {
    let mut all: Vec<_> = sources(texts).into_iter().flat_map(commented).collect();
    Random::new(seed).shuffle(&mut all);
    let mut page = format!("# Doc comments drawn by {seed}\n");
    for (number, (place, comment, signature)) in (1..).zip(all.into_iter().take(count)) {
        let _ = write!(page, "\n## {number}. {place}\n\n```rust\n{comment}{signature}\n```\n");
    }
    page
}

/// Returns up to `count` paths of source files, a line each.
pub fn files(texts: &[Text], seed: &str, count: usize) -> String {
    let mut all: Vec<_> = sources(texts).into_iter().map(|text| text.path.as_str()).collect();
    Random::new(seed).shuffle(&mut all);
    all.truncate(count);
    all.join("\n") + "\n"
}

/// Returns each doc comment of an item: its place, its lines, and the item up to its body.
fn commented(text: &Text) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    let mut comment = String::new();
    let mut lines = (1..).zip(text.content.lines()).peekable();
    while let Some((number, line)) = lines.next() {
        let trimmed = line.trim_start();
        if trimmed.starts_with("///") && doc_comment(line).is_some() {
            let _ = writeln!(comment, "{trimmed}");
        } else if trimmed.starts_with("#[") {
            // An attribute stands between a comment and its item.
        } else if !comment.is_empty() {
            let mut signature = trimmed.to_owned();
            while !signature.ends_with(['{', ';', ',', '}'])
                && let Some((_, more)) = lines.next_if(|(_, more)| doc_comment(more).is_none())
            {
                let _ = write!(signature, " {}", more.trim());
            }
            let place = format!("{}:{number}", text.path);
            found.push((place, std::mem::take(&mut comment), signature));
        }
    }
    found
}

/// A generator of numbers that depend on the seed alone (`SplitMix64`).
struct Random(u64);

impl Random {
    fn new(seed: &str) -> Random {
        // FNV-1a.
        let hash = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Random(seed.bytes().fold(0xcbf2_9ce4_8422_2325, hash))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let below = last as u64 + 1;
            let at = usize::try_from(self.next() % below).unwrap_or(last);
            items.swap(last, at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts() -> Vec<Text> {
        let content = "/// Adds.\n#[must_use]\nfn add(\n    a: u8,\n) -> u8 {\n    a\n}\n\n/// A pair.\nstruct Pair;\n";
        vec![Text { path: "a/src/b.rs".to_owned(), content: content.to_owned() }]
    }

    #[test]
    fn a_comment_is_drawn_with_its_signature() {
        let page = comments(&texts(), "seed", 100);
        assert!(page.contains("/// Adds.\nfn add( a: u8,"), "{page}");
        assert!(page.contains("a/src/b.rs:10\n\n```rust\n/// A pair.\nstruct Pair;"), "{page}");
    }

    #[test]
    fn one_seed_draws_one_sample() {
        let texts = texts();
        assert_eq!(comments(&texts, "one", 1), comments(&texts, "one", 1));
        assert_eq!(files(&texts, "one", 20), "a/src/b.rs\n");
    }
}
