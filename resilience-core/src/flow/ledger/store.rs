//! The trait of stores of runs.

use super::entry::{Note, TimelineEntry};
use super::record::{Finish, NewRun, Noted, Override, RunRecord, Start};
use super::state::RunState;
use crate::flow::fence::FencingToken;
use crate::flow::store_error::StoreFuture;
use crate::timestamp::Timestamp;

/// A store of runs: decides as [`RunRecord`] does, atomically, by its own clock.
///
/// Each operation is one transaction and writes its own entry to the timeline.
/// `testing::conformance::ledger` proves an implementation.
pub trait LedgerStore: Send + Sync {
    /// Begins a run, or takes it over under a greater token.
    fn begin(&self, new: NewRun) -> StoreFuture<'_, Start>;

    /// Sets the end of a run, with the notes that were not written yet. A refused end is noted as
    /// well. The end always fits into the timeline ([`Note::with_end`]).
    fn finish(
        &self,
        id: String,
        fence: Option<FencingToken>,
        notes: Vec<Note>,
        state: RunState,
    ) -> StoreFuture<'_, Finish>;

    /// Adds all notes to a timeline or none: those of a former holder ([`RunRecord::fenced`]) are
    /// rejected. Fails with [`InvalidInput`](crate::flow::StoreErrorKind::InvalidInput) if the
    /// timeline would be too long ([`check_notes`](crate::flow::limits::check_notes)).
    fn note(
        &self,
        id: String,
        fence: Option<FencingToken>,
        notes: Vec<Note>,
    ) -> StoreFuture<'_, Noted>;

    /// Records an operator's decision, under no fence. Returns `false` if there is no such run.
    /// Fails with [`InvalidInput`](crate::flow::StoreErrorKind::InvalidInput) if the timeline has
    /// no room ([`check_override`](crate::flow::limits::check_override)).
    fn override_run(&self, id: String, overridden: Override) -> StoreFuture<'_, bool>;

    /// Returns a run.
    fn run(&self, id: String) -> StoreFuture<'_, Option<RunRecord>>;

    /// Returns at most `limit` entries of a timeline after the entry of this number, oldest first.
    fn timeline(&self, id: String, after: u64, limit: u32) -> StoreFuture<'_, Vec<TimelineEntry>>;

    /// Returns at most `limit` runs without an end that were begun before `before`, oldest first.
    fn unfinished(&self, before: Timestamp, limit: u32) -> StoreFuture<'_, Vec<RunRecord>>;
}
