//! A run, as the code that does the work holds it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;

use super::entry::Note;
use super::record::{Finish, NewRun, Noted, Override, Start};
use super::state::RunState;
use super::store::LedgerStore;
use crate::clock;
use crate::config::{self, InvalidConfig};
use crate::deadline::Deadline;
use crate::flow::fence::FencingToken;
use crate::flow::limits::MAX_BATCH;
use crate::flow::store_error::{StoreError, StoreErrorKind, StoreFuture};
use crate::outcome::AsOutcome;
use crate::timeout::within;

/// Begins runs in one store. Clones share it.
#[derive(Clone)]
pub struct RunLedger {
    store: Arc<dyn LedgerStore>,
    patience: Duration,
}

/// The answer to a run that was to be begun.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a starter has to handle each")]
pub enum Began {
    /// The run is this caller's.
    Run(Run),
    /// The run is under way elsewhere.
    UnderWay(super::record::RunRecord),
    /// The run has ended.
    Ended(super::record::RunRecord),
}

impl RunLedger {
    /// Creates a ledger that retries for up to 30 seconds while the store cannot be reached.
    #[must_use]
    pub fn new(store: Arc<dyn LedgerStore>) -> RunLedger {
        RunLedger { store, patience: Duration::from_secs(30) }
    }

    /// Sets how long an operation is tried while the store cannot be reached.
    ///
    /// # Errors
    /// If it is zero or more than a year.
    pub fn patience(mut self, patience: Duration) -> Result<RunLedger, InvalidConfig> {
        self.patience = config::wait("patience", patience)?;
        Ok(self)
    }

    /// Returns the store, for reports.
    #[must_use]
    pub fn store(&self) -> &dyn LedgerStore {
        &*self.store
    }

    /// Begins a run. A run that a crashed process has begun is taken over under a greater token.
    ///
    /// A run under way with this caller's own token, found after an attempt that may have begun it,
    /// is this caller's: its response was lost. A token therefore belongs to one caller at a time,
    /// as those of leases and claims do. Without a token such a run cannot be recognised, and is
    /// [`UnderWay`](Began::UnderWay).
    ///
    /// Dropped, the run may have been begun; the next process takes it over under its greater
    /// token.
    ///
    /// # Errors
    /// The store's, once trying again would be too late.
    pub async fn begin(&self, new: NewRun) -> Result<Began, StoreError> {
        new.check()?;
        let Persisted { value, unsure } = self.persist(|| self.store.begin(new.clone())).await?;
        Ok(match value {
            Start::Begun | Start::TakenOver => Began::Run(Run::new(self, new)),
            // Only after an attempt that may have run: another task with the same token would be
            // found as well.
            Start::UnderWay(run) if unsure && run.fence.is_some() && run.fence == new.fence => {
                Began::Run(Run::new(self, new))
            }
            Start::UnderWay(run) => Began::UnderWay(run),
            Start::Ended(run) => Began::Ended(run),
        })
    }

    /// Records an operator's decision about a run. Returns `false` if there is no such run.
    /// Deliberately without a fence: an operator holds no lease, and no holder may reject the
    /// decision.
    ///
    /// # Errors
    /// The store's.
    pub async fn override_run(&self, id: &str, overridden: Override) -> Result<bool, StoreError> {
        let record = || self.store.override_run(id.to_owned(), overridden.clone());
        Ok(self.persist(record).await?.value)
    }

    /// Tries until the store answers or the time is over.
    async fn persist<'s, T>(
        &self,
        operation: impl Fn() -> StoreFuture<'s, T>,
    ) -> Result<Persisted<T>, StoreError> {
        let deadline = Deadline::after(clock::now(), self.patience).or_current();
        let mut wait = Duration::from_millis(50);
        let mut unsure = false;
        loop {
            let error = match within(deadline, operation()).await {
                Ok(Ok(value)) => return Ok(Persisted { value, unsure }),
                Ok(Err(error)) => error,
                Err(_late) => {
                    let what = "the run ledger's store did not answer";
                    return Err(StoreError::new(StoreErrorKind::TimedOut, "ledger", what));
                }
            };
            let wait_now = wait / 2 + (wait / 2).mul_f64(rand::rng().random());
            if !error.is_transient() || wait_now >= deadline.remaining(clock::now()) {
                return Err(error);
            }
            unsure |= error.may_have_run();
            tokio::time::sleep(wait_now).await;
            wait = (wait * 2).min(Duration::from_secs(2));
        }
    }
}

/// The result of an operation that was tried until the store returned one.
struct Persisted<T> {
    value: T,
    /// Set if a former attempt may have taken effect.
    unsure: bool,
}

impl fmt::Debug for RunLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunLedger").field("patience", &self.patience).finish_non_exhaustive()
    }
}

/// A run that this process has begun and must end.
///
/// Dropped without an end, the run is recorded as [`Cancelled`](RunState::Cancelled) by a task of
/// the current runtime.
#[must_use = "a run that is dropped is cancelled"]
pub struct Run {
    ledger: RunLedger,
    id: String,
    fence: Option<FencingToken>,
    notes: Vec<Note>,
    /// The end that is recorded if the run is dropped.
    state: RunState,
    ended: bool,
}

impl Run {
    fn new(ledger: &RunLedger, new: NewRun) -> Run {
        let (ledger, state) = (ledger.clone(), RunState::Cancelled);
        Run { ledger, id: new.id, fence: new.fence, notes: Vec::new(), state, ended: false }
    }

    /// Returns the identifier.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Keeps a note, which is written with the end of the run or by [`note_now`](Run::note_now):
    /// costs no transaction, and is lost in a crash. Notes beyond 10,000 are dropped.
    pub fn note_at_end(&mut self, note: Note) {
        if self.notes.len() < MAX_BATCH {
            self.notes.push(note);
        }
    }

    /// Writes a note at once, with those that were kept. Returns [`Fenced`](Noted::Fenced) if the
    /// run was taken over: the work is to stop.
    ///
    /// Notes that were not recorded are kept for the end of the run. A note is in the timeline
    /// twice if the response of the store was lost: evidence is better doubled than lost.
    ///
    /// # Errors
    /// The store's. [`InvalidInput`](StoreErrorKind::InvalidInput) if the timeline is full, or
    /// the run is not in the store any more. The notes are kept: the end of the run writes those
    /// that fit.
    pub async fn note_now(&mut self, note: Note) -> Result<Noted, StoreError> {
        self.note_at_end(note);
        let (store, id, notes) = (&self.ledger.store, &self.id, &self.notes);
        let write = || store.note(id.clone(), self.fence, notes.clone());
        let noted = self.ledger.persist(write).await?.value;
        match noted {
            Noted::Recorded => self.notes.clear(),
            Noted::Fenced(_) => {}
            Noted::NotFound => {
                let what = format!("the run `{id}` is not in the store, and takes no notes");
                return Err(StoreError::new(StoreErrorKind::InvalidInput, "ledger", what));
            }
        }
        Ok(noted)
    }

    /// Ends the run, and returns the store's decision: a run that was taken over is not this
    /// process's to end.
    ///
    /// Dropped, or after an error, a task of the current runtime goes on recording this end for the
    /// ledger's patience.
    ///
    /// # Errors
    /// The store's, once trying again would be too late.
    pub async fn finish(mut self, state: RunState) -> Result<Finish, StoreError> {
        let state = state.bounded();
        self.state = state.clone();
        let finish = self.end(state.clone()).await?;
        self.ended = true;
        // An answer was lost, and the end was tried again.
        Ok(if finish == Finish::AlreadyEnded(state) { Finish::Recorded } else { finish })
    }

    async fn end(&self, state: RunState) -> Result<Finish, StoreError> {
        let store = &self.ledger.store;
        let end = || store.finish(self.id.clone(), self.fence, self.notes.clone(), state.clone());
        Ok(self.ledger.persist(end).await?.value)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let state = std::mem::replace(&mut self.state, RunState::Cancelled);
        let run = Run {
            ledger: self.ledger.clone(),
            id: std::mem::take(&mut self.id),
            fence: self.fence,
            notes: std::mem::take(&mut self.notes),
            state: RunState::Cancelled,
            ended: true,
        };
        runtime.spawn(async move {
            let _ = run.end(state).await;
        });
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("id", &self.id).finish_non_exhaustive()
    }
}
