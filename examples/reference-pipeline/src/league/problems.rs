//! What was wrong with the input, in as many lines as somebody will read.
//!
//! A file with a shifted column has one problem and thirty thousand bad rows. All are counted, the
//! first few are shown.

use std::fmt;

/// How many problems are shown in full.
const SHOWN: usize = 10;

/// Where, what and why of one problem: `file:line: field: value: why`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem(String);

impl Problem {
    /// A whole file that cannot be used.
    #[must_use]
    pub fn in_file(file: &str, why: impl fmt::Display) -> Problem {
        Problem(format!("{file}: {why}"))
    }

    /// A row that cannot be read.
    #[must_use]
    pub fn in_row(file: &str, line: u64, why: impl fmt::Display) -> Problem {
        Problem(format!("{file}:{line}: {why}"))
    }
}

/// The problems of a whole folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems {
    first: Vec<Problem>,
    skipped: usize,
    duplicates: usize,
}

impl Problems {
    /// A file or row that was skipped.
    pub fn skipped(&mut self, problem: Problem) {
        self.skipped += 1;
        if self.first.len() < SHOWN {
            self.first.push(problem);
        }
    }

    /// A row that was there already.
    pub fn duplicate(&mut self) {
        self.duplicates += 1;
    }

    /// How many files and rows were skipped.
    #[must_use]
    pub fn count(&self) -> usize {
        self.skipped
    }

    /// How many rows stood there more than once.
    #[must_use]
    pub fn duplicates(&self) -> usize {
        self.duplicates
    }
}

/// A line each, nothing at all if nothing was wrong.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Problem(text) in &self.first {
            writeln!(f, "skipped {text}")?;
        }
        let hidden = self.skipped - self.first.len();
        if hidden > 0 {
            writeln!(f, "skipped {hidden} more")?;
        }
        if self.duplicates > 0 {
            writeln!(f, "skipped {} rows that were there already", self.duplicates)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_not_shown() {
        let mut problems = Problems::default();
        for line in 0..30_000 {
            problems.skipped(Problem::in_row("games.csv", line, "PTS: x: invalid digit"));
        }
        let text = problems.to_string();
        assert!(text.starts_with("skipped games.csv:0: PTS: x: invalid digit\n"));
        assert!(text.ends_with("skipped 29990 more\n"));
        assert_eq!(text.lines().count(), SHOWN + 1);
    }
}
