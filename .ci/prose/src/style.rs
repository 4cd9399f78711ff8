//! First words and banned words, in shares of blocks and of words.

use crate::text::{Block, words};

const OPENERS: &[&str] = &[
    "what", "it", "its", "so", "whether", "how", "one", "as", "of", "by", "whose", "who",
    "whoever", "the same",
];
const BANNED: &[&str] = &[
    "tell",
    "tells",
    "told",
    "say",
    "says",
    "said",
    "hear",
    "hears",
    "heard",
    "asks",
    "who",
    "whose",
    "whom",
    "whoever",
    "nobody",
    "somebody",
    "everybody",
    "so many",
    "so much",
    "so long",
    "goes by",
    "go by",
    "let go of",
    "lets go of",
];

/// Largest share of blocks that may begin with a vague word, in percent.
pub const MAX_OPENERS: f64 = 4.0;
/// Largest number of banned words in 1,000 words.
pub const MAX_DIALECT: f64 = 2.0;

/// Counts over the blocks of one path.
#[derive(Default)]
pub struct Figures {
    pub blocks: usize,
    openers: usize,
    words: usize,
    banned: usize,
}

impl Figures {
    /// Adds a block, and returns the reasons why it does not meet the style guide.
    pub fn add(&mut self, block: &Block) -> Vec<String> {
        let opener = opener(&block.prose);
        let banned = banned(&block.prose);
        self.blocks += 1;
        self.words += words(&block.prose);
        self.openers += usize::from(opener.is_some());
        self.banned += banned.len();
        let first = opener.map(|word| format!("begins with `{word}`"));
        let rest = banned.iter().map(|word| format!("has the banned `{word}`"));
        first.into_iter().chain(rest).collect()
    }

    /// Returns the share of blocks that begin with a vague word, in percent.
    pub fn openers(&self) -> f64 {
        100.0 * self.openers as f64 / self.blocks.max(1) as f64
    }

    /// Returns the number of banned words in 1,000 words.
    pub fn dialect(&self) -> f64 {
        1000.0 * self.banned as f64 / self.words.max(1) as f64
    }

    /// Returns `true` if both figures are within their limits.
    pub fn pass(&self) -> bool {
        self.openers() <= MAX_OPENERS && self.dialect() <= MAX_DIALECT
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Returns the entry of `list` that is at the beginning of `text`, as whole words.
fn leading(text: &str, list: &[&'static str]) -> Option<&'static str> {
    let found = list.iter().find(|entry| {
        let head = text.get(..entry.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(entry))
            && !text[entry.len()..].chars().next().is_some_and(is_word)
    });
    found.copied()
}

fn opener(prose: &str) -> Option<&'static str> {
    leading(prose.trim_start_matches(['*', '_', ' ']), OPENERS)
}

fn banned(prose: &str) -> Vec<&'static str> {
    let mut found = Vec::new();
    let mut inside = false;
    let mut end = 0;
    for (at, c) in prose.char_indices() {
        if !inside
            && at >= end
            && let Some(word) = leading(&prose[at..], BANNED)
        {
            end = at + word.len();
            found.push(word);
        }
        inside = is_word(c);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vague_first_words_are_found() {
        assert_eq!(opener("What is done."), Some("what"));
        assert_eq!(opener("**The same**, later."), Some("the same"));
        assert_eq!(opener("Its own."), Some("its"));
        assert_eq!(opener("Iterates over one item."), None);
        assert_eq!(opener("The samples."), None);
    }

    #[test]
    fn banned_words_are_found_whole() {
        assert_eq!(banned("Somebody told it so many."), ["somebody", "told", "so many"]);
        assert!(banned("A whole essay, retold: so_many, soy.").is_empty());
    }

    #[test]
    fn limits_hold_for_shares() {
        let block = |prose: &str| Block { line: 1, prose: prose.to_owned() };
        let mut bad = Figures::default();
        assert_eq!(bad.add(&block("It is told.")).len(), 2);
        assert!(!bad.pass());
        let mut good = Figures::default();
        assert!(good.add(&block("Returns the permits in use.")).is_empty());
        assert!(good.pass());
    }
}
