//! Evaluation of the store's log.

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
    /// A write under the lease was rejected. Written without a fence.
    Rejected,
}

impl What {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            What::Enter => "enter",
            What::Leave => "leave",
            What::Rejected => "rejected",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<What> {
        [What::Enter, What::Leave, What::Rejected].into_iter().find(|what| what.as_str() == word)
    }
}

/// Figures of an arm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Judged {
    /// Sections that were entered and left.
    pub(super) sections: u64,
    /// Sections that were left after another section had been entered.
    pub(super) interleaved: u64,
    /// Writes that were accepted after another section had been entered.
    pub(super) late_accepted: u64,
    /// Writes of former holders that the store rejected.
    pub(super) late_rejected: u64,
    pub(super) took: Duration,
}

pub(super) fn judge(log: &[Entry], took: Duration) -> Judged {
    let mut judged =
        Judged { sections: 0, interleaved: 0, late_accepted: 0, late_rejected: 0, took };
    // For each section, the number of sections entered up to and including it.
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
            What::Rejected => judged.late_rejected += 1,
        }
    }
    judged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_left_after_another_was_entered_counts_as_interleaved() {
        let entry = |section: &str, what| Entry { section: section.to_owned(), what };
        let enter = What::Enter;
        let leave = What::Leave;
        let log = [
            entry("a", enter),
            entry("a", leave),
            entry("b", enter),
            entry("c", enter),
            entry("c", leave),
            entry("b", leave),
            entry("d", enter),
            entry("d", What::Rejected),
        ];
        let judged = judge(&log, Duration::ZERO);
        assert_eq!((judged.sections, judged.interleaved, judged.late_accepted), (3, 1, 1));
        assert_eq!(judged.late_rejected, 1);
    }
}
