//! Draws doc comments or files with a commit's hash as the seed, for readers to judge.

use crate::text::doc_text;

/// Most lines of a signature.
const SIGNATURE_LINES: usize = 12;

/// A doc comment and the beginning of the item that it documents.
pub struct Comment {
    pub place: String,
    doc: String,
    signature: String,
}

impl Comment {
    /// Returns the comment as a section of a Markdown page.
    pub fn section(&self, number: usize) -> String {
        let Self { doc, signature, .. } = self;
        format!("## {number}\n\n{doc}\n\n~~~rust\n{signature}\n~~~\n")
    }
}

/// Returns the doc comments of a Rust file, in order.
pub fn comments(path: &str, text: &str) -> Vec<Comment> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let begin = at;
        let mut doc = Vec::new();
        while let Some(words) = lines.get(at).copied().and_then(doc_text) {
            doc.push(words);
            at += 1;
        }
        if doc.is_empty() {
            at += 1;
            continue;
        }
        let inner = lines[begin].trim_start().starts_with("//!");
        let signature = if inner { format!("// the file {path}") } else { signature(&lines[at..]) };
        let place = format!("{path}:{}", begin + 1);
        found.push(Comment { place, doc: doc.join("\n"), signature });
    }
    found
}

/// Returns the lines up to the end of the signature, without attributes of one line.
fn signature(lines: &[&str]) -> String {
    let mut kept = Vec::new();
    for line in
        lines.iter().filter(|line| !line.trim_start().starts_with("#[")).take(SIGNATURE_LINES)
    {
        kept.push(*line);
        let opened = kept.iter().flat_map(|line| line.chars());
        let depth = opened.fold(0_i32, |depth, c| match c {
            '(' | '[' => depth + 1,
            ')' | ']' => depth - 1,
            _ => depth,
        });
        if depth == 0 && line.trim_end().ends_with(['{', ';', ',', '}']) {
            break;
        }
    }
    kept.join("\n")
}

/// Returns `count` of the items, drawn without replacement; `hash` alone decides which.
pub fn draw<T>(mut items: Vec<T>, count: usize, hash: &str) -> Vec<T> {
    // FNV-1a, so that every digit of the hash counts.
    let mut state = hash.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |state, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let count = count.min(items.len());
    for index in 0..count {
        let left = (items.len() - index) as u64;
        // The remainder is below `left`, which was a `usize`; its bias is below 2^-40.
        let chosen = index + (split_mix(&mut state) % left) as usize;
        items.swap(index, chosen);
    }
    items.truncate(count);
    items
}

/// Returns the next number of SplitMix64 (Steele, Lea and Flood, 2014).
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let first = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let second = (first ^ (first >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    second ^ (second >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_comes_with_its_signature() {
        let text =
            "//! Module.\n\n/// Adds.\n#[must_use]\nfn add(\n    a: u8,\n) -> u8 {\n    a\n}\n";
        let found = comments("a.rs", text);
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].place, "a.rs:3");
        assert_eq!(
            found[1].section(1),
            "## 1\n\nAdds.\n\n~~~rust\nfn add(\n    a: u8,\n) -> u8 {\n~~~\n"
        );
    }

    #[test]
    fn the_hash_decides_what_is_drawn() {
        let drawn = |hash| draw((0..1000).collect(), 100, hash);
        assert_eq!(drawn("2e2718a"), drawn("2e2718a"));
        assert_ne!(drawn("2e2718a"), drawn("2e2718b"));
        let mut unique = drawn("2e2718a");
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), 100);
        assert_eq!(draw(vec![1, 2], 5, "a").len(), 2);
    }
}
