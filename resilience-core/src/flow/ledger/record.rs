//! The stored run, and what may become of it. Pure: stores pass the time of their own clock.

use super::state::RunState;
use crate::flow::fence::FencingToken;
use crate::flow::limits::{bounded_text, check_name};
use crate::flow::store_error::StoreError;
use crate::timestamp::Timestamp;

/// A run that is to be begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRun {
    /// The identifier, which is the same for everything that must count as one run:
    /// `player_game_summary/2026-01-18/overnight`.
    pub id: String,
    /// The job, for reports.
    pub job: String,
    /// The token of the lease or claim under which the run works. A greater one takes the run over.
    pub fence: Option<FencingToken>,
}

impl NewRun {
    /// Creates a run without a fence.
    #[must_use]
    pub fn new(id: impl Into<String>, job: impl Into<String>) -> NewRun {
        NewRun { id: id.into(), job: job.into(), fence: None }
    }

    /// Adds the token under which the run works.
    #[must_use]
    pub const fn with_fence(mut self, token: FencingToken) -> NewRun {
        self.fence = Some(token);
        self
    }

    /// Checks the names.
    ///
    /// # Errors
    /// If one is empty or too long.
    pub fn check(&self) -> Result<(), StoreError> {
        check_name("run", &self.id)?;
        check_name("job", &self.job)
    }
}

/// A run as a store keeps it.
///
/// ```
/// use resilience_core::Timestamp;
/// use resilience_core::flow::ledger::{Finish, NewRun, RunRecord, RunState};
///
/// let now = Timestamp::from_millis(0);
/// let mut run = RunRecord::begin(&NewRun::new("summary/2026-01-18", "summary"), now);
/// let done = RunState::Done { rows: 156, expected: Some(156), quality: 100 };
/// assert_eq!(run.finish(done.clone(), None, now), Finish::Recorded);
/// assert_eq!(run.finish(RunState::Cancelled, None, now), Finish::AlreadyEnded(done));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRecord {
    /// The identifier.
    pub id: String,
    /// The job.
    pub job: String,
    /// The token under which the run works.
    pub fence: Option<FencingToken>,
    /// The beginning, by the store's clock.
    pub started_at: Timestamp,
    /// The end, and when it was recorded by the store's clock.
    pub end: Option<(RunState, Timestamp)>,
    /// The last override by an operator.
    pub overridden: Option<Override>,
}

/// An operator's decision about a run, beside the run's own end, which stays.
///
/// Carries no fence: an operator holds no lease, and decides also about a run that another process
/// works on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Override {
    /// The state that counts instead of the run's own.
    pub state: RunState,
    /// The operator.
    pub by: String,
    /// The reason.
    pub reason: String,
}

impl Override {
    /// Creates an override.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::flow::StoreErrorKind::InvalidInput), if the name or the reason is
    /// empty.
    pub fn new(
        state: RunState,
        by: impl Into<String>,
        reason: impl Into<String>,
    ) -> Result<Override, StoreError> {
        let (by, reason) = (by.into(), bounded_text(reason));
        check_name("by", &by)?;
        if reason.trim().is_empty() {
            check_name("reason", "")?;
        }
        Ok(Override { state: state.bounded(), by, reason })
    }
}

/// The answer to a [`NewRun`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a starter has to handle each")]
pub enum Start {
    /// The run was begun.
    Begun,
    /// The run had been begun under a smaller token and was taken over.
    TakenOver,
    /// The run is under way elsewhere, under the same or a greater token, or none.
    UnderWay(RunRecord),
    /// The run has ended.
    Ended(RunRecord),
}

/// The response of a store to the end of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a finisher has to handle each")]
pub enum Finish {
    /// The end was recorded.
    Recorded,
    /// The run has an end, which stays.
    AlreadyEnded(RunState),
    /// The run was taken over under this token.
    Fenced(FencingToken),
    /// There is no such run.
    NotFound,
}

/// The response of a store to notes for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a writer has to handle each")]
pub enum Noted {
    /// The notes were recorded.
    Recorded,
    /// The run was taken over under this token. Nothing was recorded.
    Fenced(FencingToken),
    /// There is no such run.
    NotFound,
}

impl RunRecord {
    /// Begins a run.
    #[must_use]
    pub fn begin(new: &NewRun, now: Timestamp) -> RunRecord {
        RunRecord {
            id: new.id.clone(),
            job: new.job.clone(),
            fence: new.fence,
            started_at: now,
            end: None,
            overridden: None,
        }
    }

    /// Decides about a run that is begun again.
    #[must_use]
    pub fn begin_again(&mut self, new: &NewRun) -> Start {
        if self.end.is_some() {
            return Start::Ended(self.clone());
        }
        if new.fence <= self.fence {
            return Start::UnderWay(self.clone());
        }
        self.fence = new.fence;
        Start::TakenOver
    }

    /// Returns the token under which the run was taken over, if a write under `fence` comes from a
    /// former holder.
    #[must_use]
    pub fn fenced(&self, fence: Option<FencingToken>) -> Option<FencingToken> {
        self.fence.filter(|&current| fence < Some(current))
    }

    /// Sets the end, unless the run has one or was taken over.
    #[must_use]
    pub fn finish(
        &mut self,
        state: RunState,
        fence: Option<FencingToken>,
        now: Timestamp,
    ) -> Finish {
        // First: the write of a former holder is rejected, also if it agrees with the successor's.
        if let Some(current) = self.fenced(fence) {
            return Finish::Fenced(current);
        }
        if let Some((state, _)) = &self.end {
            return Finish::AlreadyEnded(state.clone());
        }
        self.end = Some((state, now));
        Finish::Recorded
    }

    /// Returns the state that counts: the operator's if there is an override, or else the run's
    /// own.
    #[must_use]
    pub fn effective(&self) -> Option<&RunState> {
        let own = self.end.as_ref().map(|(state, _)| state);
        self.overridden.as_ref().map(|overridden| &overridden.state).or(own)
    }
}
