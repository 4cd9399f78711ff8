//! The timeline of a run. Pure.

use std::fmt;

use super::record::Override;
use super::state::RunState;
use crate::flow::limits::{MAX_ENTRIES, RESERVED_ENTRIES, bounded_text};
use crate::timestamp::Timestamp;

/// The kinds of entries in a timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EntryKind {
    /// The run was begun.
    Begun,
    /// The run was taken over under a greater token.
    TakenOver,
    /// An attempt was made.
    Attempt,
    /// A decision was taken.
    Decision,
    /// An operator has overridden the run.
    Override,
    /// The run ended.
    Ended,
    /// An end was refused: the run had one, or was taken over.
    EndRefused,
}

impl EntryKind {
    const ALL: [EntryKind; 7] = [
        EntryKind::Begun,
        EntryKind::TakenOver,
        EntryKind::Attempt,
        EntryKind::Decision,
        EntryKind::Override,
        EntryKind::Ended,
        EntryKind::EndRefused,
    ];

    /// Returns the kind in one word that does not change.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            EntryKind::Begun => "begun",
            EntryKind::TakenOver => "taken_over",
            EntryKind::Attempt => "attempt",
            EntryKind::Decision => "decision",
            EntryKind::Override => "override",
            EntryKind::Ended => "ended",
            EntryKind::EndRefused => "end_refused",
        }
    }

    /// Returns the kind that has this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<EntryKind> {
        EntryKind::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// An attempt or a decision for a timeline, and its evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Note {
    /// The kind of entry.
    pub kind: EntryKind,
    /// The attempt or the decision.
    pub what: String,
    /// The evidence: counts, limits, an error.
    pub evidence: String,
}

impl Note {
    /// Creates a note, as a store reads it. Texts longer than
    /// [`MAX_TEXT`](crate::flow::limits::MAX_TEXT) are cut.
    #[must_use]
    pub fn new(kind: EntryKind, what: impl Into<String>, evidence: impl Into<String>) -> Note {
        Note { kind, what: bounded_text(what), evidence: bounded_text(evidence) }
    }

    /// Creates the note of an attempt. Texts longer than
    /// [`MAX_TEXT`](crate::flow::limits::MAX_TEXT) are cut.
    #[must_use]
    pub fn attempt(what: impl Into<String>, evidence: impl Into<String>) -> Note {
        Note::new(EntryKind::Attempt, what, evidence)
    }

    /// Creates the note of a decision. Texts longer than
    /// [`MAX_TEXT`](crate::flow::limits::MAX_TEXT) are cut.
    #[must_use]
    pub fn decision(what: impl Into<String>, evidence: impl Into<String>) -> Note {
        Note::new(EntryKind::Decision, what, evidence)
    }

    /// Creates the note of a beginning or a takeover, under this fence.
    #[must_use]
    pub fn of_start(kind: EntryKind, fence: Option<impl fmt::Display>) -> Note {
        let evidence = fence.map_or_else(String::new, |token| format!("token {token}"));
        Note::new(kind, kind.as_str(), evidence)
    }

    /// Creates the note of a takeover for a timeline of `entries`. Returns `None` if only the end
    /// still fits: the run itself shows its token.
    #[must_use]
    pub fn of_takeover(entries: u64, fence: Option<impl fmt::Display>) -> Option<Note> {
        (entries + 1 < MAX_ENTRIES).then(|| Note::of_start(EntryKind::TakenOver, fence))
    }

    /// Returns what a timeline of `entries` takes with an end: the notes that fit, and the note of
    /// the end. Its evidence counts the notes that did not fit.
    ///
    /// An end that was recorded always fits. One that was refused is left out if only the run's own
    /// end still fits.
    #[must_use]
    pub fn with_end(
        entries: u64,
        mut notes: Vec<Note>,
        kind: EntryKind,
        state: &RunState,
    ) -> Vec<Note> {
        let room = (MAX_ENTRIES - RESERVED_ENTRIES).saturating_sub(entries);
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let left_out = notes.len().saturating_sub(room);
        notes.truncate(room);
        let evidence = match left_out {
            0 => String::new(),
            left_out => format!("the timeline is full: {left_out} notes were left out"),
        };
        let total = entries.saturating_add(notes.len() as u64);
        // The last entry is the end's: there is one in a run, and nothing else takes that place.
        if kind == EntryKind::Ended || total + 1 < MAX_ENTRIES {
            notes.push(Note::new(kind, state.to_string(), evidence));
        }
        notes
    }

    /// Creates the note of an override: the state, and operator and reason as its evidence.
    #[must_use]
    pub fn of_override(overridden: &Override) -> Note {
        let Override { state, by, reason } = overridden;
        Note::new(EntryKind::Override, state.to_string(), format!("{by}: {reason}"))
    }
}

/// A [`Note`] in its place in the timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineEntry {
    /// The position: entries of one run are numbered from 1.
    pub number: u64,
    /// The time by the store's clock.
    pub at: Timestamp,
    /// The note.
    pub note: Note,
}
