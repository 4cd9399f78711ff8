//! The terminal states of a run, and how they are stored. Pure.

use std::fmt;

use crate::flow::limits::bounded_text;
use crate::outcome::Outcome;
use crate::timestamp::Timestamp;

/// The end of a run. A run has exactly one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "what reads a ledger has to know each end there is")]
pub enum RunState {
    /// The run wrote its rows.
    Done {
        /// The rows written.
        rows: u64,
        /// The rows expected, if that is known.
        expected: Option<u64>,
        /// The quality of the rows in per cent.
        quality: u8,
    },
    /// The input is not there yet. Not a failure.
    NotReady {
        /// The time before which another run is no use.
        until: Timestamp,
    },
    /// Nothing had to be done.
    Skipped {
        /// The reason.
        why: String,
    },
    /// The run failed.
    Failed {
        /// The kind of failure.
        class: RunFailure,
    },
    /// The run was stopped before it had an end of its own.
    Cancelled,
}

/// The kinds of failure of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "what reads a ledger has to know each kind there is")]
pub enum RunFailure {
    /// The failure may pass.
    Transient,
    /// Something took too long.
    TimedOut,
    /// A quota was reached.
    Throttled,
    /// The failure will not pass by itself.
    Permanent,
    /// The failure was not recognised.
    Unknown,
}

impl RunFailure {
    const ALL: [RunFailure; 5] = [
        RunFailure::Transient,
        RunFailure::TimedOut,
        RunFailure::Throttled,
        RunFailure::Permanent,
        RunFailure::Unknown,
    ];

    /// Returns the kind in one word that does not change.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            RunFailure::Transient => "transient",
            RunFailure::TimedOut => "timed_out",
            RunFailure::Throttled => "throttled",
            RunFailure::Permanent => "permanent",
            RunFailure::Unknown => "unknown",
        }
    }

    /// Returns the kind of a failed call, or `None` if the call did not fail.
    #[must_use]
    pub const fn of(outcome: Outcome) -> Option<RunFailure> {
        match outcome {
            Outcome::Transient(_) => Some(RunFailure::Transient),
            Outcome::TimedOut => Some(RunFailure::TimedOut),
            Outcome::Throttled(_) => Some(RunFailure::Throttled),
            Outcome::Permanent => Some(RunFailure::Permanent),
            Outcome::Unknown => Some(RunFailure::Unknown),
            Outcome::Success | Outcome::NotReady(_) | Outcome::Abandoned => None,
        }
    }
}

impl RunState {
    /// Returns the state in one word that does not change.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            RunState::Done { .. } => "done",
            RunState::NotReady { .. } => "not_ready",
            RunState::Skipped { .. } => "skipped",
            RunState::Failed { .. } => "failed",
            RunState::Cancelled => "cancelled",
        }
    }

    /// Returns the state with its text within [`MAX_TEXT`](crate::flow::limits::MAX_TEXT) and its
    /// quality at most 100.
    #[must_use]
    pub fn bounded(self) -> RunState {
        match self {
            RunState::Skipped { why } => RunState::Skipped { why: bounded_text(why) },
            RunState::Done { rows, expected, quality } => {
                RunState::Done { rows, expected, quality: quality.min(100) }
            }
            other => other,
        }
    }

    /// Returns the columns of the stored state. Counts beyond `i64::MAX` are stored as that.
    #[must_use]
    pub fn to_columns(&self) -> RunColumns {
        let mut columns = RunColumns::of(self.as_str());
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        match self {
            RunState::Done { rows, expected, quality } => {
                columns.rows = Some(count(*rows));
                columns.expected = expected.map(count);
                columns.quality = Some(i64::from(*quality));
            }
            RunState::NotReady { until } => columns.until = Some(until.as_millis()),
            RunState::Skipped { why } => columns.detail = Some(why.clone()),
            RunState::Failed { class } => columns.detail = Some(class.as_str().to_owned()),
            RunState::Cancelled => {}
        }
        columns
    }

    /// Reads the columns of a stored state. Returns `None` if they make no state.
    #[must_use]
    pub fn from_columns(columns: &RunColumns) -> Option<RunState> {
        let count = |count: i64| u64::try_from(count).ok();
        Some(match columns.state.as_str() {
            "done" => RunState::Done {
                rows: count(columns.rows?)?,
                expected: match columns.expected {
                    Some(expected) => Some(count(expected)?),
                    None => None,
                },
                quality: u8::try_from(columns.quality?).ok()?,
            },
            "not_ready" => RunState::NotReady { until: Timestamp::from_millis(columns.until?) },
            "skipped" => RunState::Skipped { why: columns.detail.clone()? },
            "failed" => {
                let stored = columns.detail.as_deref()?;
                let class = RunFailure::ALL.into_iter().find(|class| class.as_str() == stored)?;
                RunState::Failed { class }
            }
            "cancelled" => RunState::Cancelled,
            _ => return None,
        })
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunState::Done { rows, expected: Some(expected), quality } => {
                write!(f, "done: {rows} of {expected} rows, quality {quality} %")
            }
            RunState::Done { rows, expected: None, quality } => {
                write!(f, "done: {rows} rows, quality {quality} %")
            }
            RunState::NotReady { until } => write!(f, "not ready until {until}"),
            RunState::Skipped { why } => write!(f, "skipped: {why}"),
            RunState::Failed { class } => write!(f, "failed: {}", class.as_str()),
            RunState::Cancelled => f.write_str("cancelled"),
        }
    }
}

/// A stored state, by its columns.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunColumns {
    /// [`RunState::as_str`].
    pub state: String,
    /// The rows written.
    pub rows: Option<i64>,
    /// The rows expected.
    pub expected: Option<i64>,
    /// The quality in per cent.
    pub quality: Option<i64>,
    /// The end of "not ready", in milliseconds since the epoch.
    pub until: Option<i64>,
    /// The reason of a skipped run, or the kind of a failure.
    pub detail: Option<String>,
}

impl RunColumns {
    fn of(state: &str) -> RunColumns {
        RunColumns { state: state.to_owned(), ..RunColumns::default() }
    }
}
