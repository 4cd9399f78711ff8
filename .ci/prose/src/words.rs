//! Banned words: those that begin a block, and those of the private dialect that this project once had.

use std::fmt;

use crate::blocks::blocks;
use crate::files::Text;

/// Words that begin a sentence without a subject, or point at the line above.
const OPENERS: [&str; 14] = [
    "what", "it", "its", "so", "whether", "how", "one", "as", "of", "by", "whose", "who",
    "whoever", "the same",
];

/// Persons in place of things, and phrases without a number.
const DIALECT: [&str; 24] = [
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

/// The most blocks in a hundred that begin with a banned word.
const MOST_OPENERS: f64 = 4.0;
/// The most banned words in a thousand.
const MOST_DIALECT: f64 = 2.0;

/// A count over one part of the repository.
#[derive(Default)]
pub struct Count {
    blocks: u32,
    openers: u32,
    words: u32,
    dialect: u32,
    /// The place of each banned word.
    pub found: Vec<String>,
}

impl Count {
    /// Counts a text.
    pub fn add(&mut self, text: &Text) {
        for block in blocks(text) {
            let words = words(&block.prose);
            let opener = OPENERS.iter().find(|opener| begins_with(&words, opener));
            let dialect = (0..words.len())
                .filter_map(|at| DIALECT.iter().find(|banned| begins_with(&words[at..], banned)));
            self.blocks += 1;
            self.words += u32::try_from(words.len()).unwrap_or(u32::MAX);
            self.openers += u32::from(opener.is_some());
            for banned in opener.into_iter().chain(dialect.inspect(|_| self.dialect += 1)) {
                self.found.push(format!("{}:{}: `{banned}`", text.path, block.line));
            }
        }
    }

    fn openers_in_100(&self) -> f64 {
        100.0 * f64::from(self.openers) / f64::from(self.blocks.max(1))
    }

    fn dialect_in_1000(&self) -> f64 {
        1_000.0 * f64::from(self.dialect) / f64::from(self.words.max(1))
    }

    /// Returns `true` if a limit is passed.
    pub fn is_too_many(&self) -> bool {
        self.openers_in_100() > MOST_OPENERS || self.dialect_in_1000() > MOST_DIALECT
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (openers, dialect) = (self.openers_in_100(), self.dialect_in_1000());
        write!(f, "{} blocks, openers {openers:.1} % (at most {MOST_OPENERS} %), ", self.blocks)?;
        write!(f, "banned words {dialect:.1} in 1,000 (at most {MOST_DIALECT})")
    }
}

fn words(prose: &str) -> Vec<String> {
    prose
        .split(|c: char| !c.is_ascii_alphabetic() && c != '\'')
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

fn begins_with(words: &[String], phrase: &str) -> bool {
    let mut words = words.iter();
    phrase.split(' ').all(|expected| words.next().is_some_and(|word| word == expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(source: &str) -> Count {
        let mut count = Count::default();
        count.add(&Text { path: "a.rs".to_owned(), content: source.to_owned() });
        count
    }

    #[test]
    fn a_good_comment_has_none() {
        let good = count("/// Returns the permits in use.\n");
        assert_eq!((good.openers, good.dialect), (0, 0));
        assert!(!good.is_too_many());
    }

    #[test]
    fn banned_words_are_counted_at_the_beginning_and_inside() {
        let bad = count("/// Whether it was told.\n\n/// The same, by who has so many.\n");
        assert_eq!((bad.openers, bad.dialect), (2, 3));
        assert!(bad.is_too_many());
        assert_eq!(bad.found[0], "a.rs:1: `whether`");
    }

    #[test]
    fn words_are_whole() {
        let good = count("/// Item of a whole.\n");
        assert_eq!((good.openers, good.dialect), (0, 0));
    }
}
