//! Problems of the input, in a few lines.
//!
//! A file with a shifted column has one problem and thirty thousand bad rows. All are counted, and
//! only the first few are shown.

use std::fmt;

/// Number of problems shown in full.
const SHOWN: usize = 10;

/// A problem: `file:line: field: value: reason`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem(String);

impl Problem {
    /// Creates the problem of a file that cannot be used.
    #[must_use]
    pub fn in_file(file: &str, why: impl fmt::Display) -> Problem {
        Problem(format!("{file}: {why}"))
    }

    /// Creates the problem of a row that cannot be read.
    #[must_use]
    pub fn in_row(file: &str, line: u64, why: impl fmt::Display) -> Problem {
        Problem(format!("{file}:{line}: {why}"))
    }
}

/// Problems of a whole folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems {
    first: Vec<Problem>,
    skipped: usize,
    duplicates: usize,
}

impl Problems {
    /// Counts a skipped file or row.
    pub fn skipped(&mut self, problem: Problem) {
        self.skipped += 1;
        if self.first.len() < SHOWN {
            self.first.push(problem);
        }
    }

    /// Counts a row with the key of an earlier one.
    pub fn duplicate(&mut self) {
        self.duplicates += 1;
    }

    /// Returns the number of skipped files and rows.
    #[must_use]
    pub fn count(&self) -> usize {
        self.skipped
    }

    /// Returns the number of rows with the key of an earlier one.
    #[must_use]
    pub fn duplicates(&self) -> usize {
        self.duplicates
    }
}

/// Writes one line for each problem, and nothing if there is none.
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
            writeln!(f, "skipped {} duplicate rows", self.duplicates)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_problems_are_counted_and_ten_are_shown() {
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
