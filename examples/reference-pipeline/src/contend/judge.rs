//! Judgement of the store's log.

use std::collections::HashMap;
use std::time::Duration;

/// A line of the store's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The section that wrote it.
    pub(super) section: String,
    /// The kind of line.
    pub(super) what: What,
}

/// The kinds of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Enter,
    Leave,
    /// A write under the lease was refused. Noted without a fence.
    Refused,
}

impl What {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            What::Enter => "enter",
            What::Leave => "leave",
            What::Refused => "refused",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<What> {
        [What::Enter, What::Leave, What::Refused].into_iter().find(|what| what.as_str() == word)
    }
}

/// Results of an arm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Judged {
    /// Sections that were entered and left.
    pub(super) sections: u64,
    /// Sections in the middle of which another one wrote.
    pub(super) interleaved: u64,
    /// Writes of a section after another one had begun.
    pub(super) late_accepted: u64,
    /// Writes of former holders that the store refused.
    pub(super) late_refused: u64,
    pub(super) took: Duration,
}

pub(super) fn judge(log: &[Entry], took: Duration) -> Judged {
    let mut judged =
        Judged { sections: 0, interleaved: 0, late_accepted: 0, late_refused: 0, took };
    // Of each section, the number of sections that had begun when it did.
    let mut begun: HashMap<&str, u64> = HashMap::new();
    for entry in log {
        match entry.what {
            What::Enter => {
                begun.insert(&entry.section, begun.len() as u64 + 1);
            }
            What::Leave => {
                let late = begun.get(&*entry.section).is_some_and(|at| *at < begun.len() as u64);
                judged.sections += 1;
                judged.interleaved += u64::from(late);
                judged.late_accepted += u64::from(late);
            }
            What::Refused => judged.late_refused += 1,
        }
    }
    judged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_that_leaves_after_another_has_entered_is_two_inside() {
        let entry = |section: &str, what| Entry { section: section.to_owned(), what };
        let (enter, leave) = (What::Enter, What::Leave);
        let log = [
            entry("a", enter),
            entry("a", leave),
            entry("b", enter),
            entry("c", enter),
            entry("c", leave),
            entry("b", leave),
            entry("d", enter),
            entry("d", What::Refused),
        ];
        let judged = judge(&log, Duration::ZERO);
        assert_eq!((judged.sections, judged.interleaved, judged.late_accepted), (3, 1, 1));
        assert_eq!(judged.late_refused, 1);
    }
}
