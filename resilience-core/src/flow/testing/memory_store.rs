//! A store in memory, with faults and a clock that can be set.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::clock;
use crate::flow::backfill::{
    CheckpointStore, ItemEnd, ItemState, JobRecord, JobRequest, Opened, Recorded,
};
use crate::flow::idempotency::{
    Claim, Completion, IdempotencyStore, KeyRecord, KeyRequest, RowHash, Taken,
};
use crate::flow::lease::{Acquisition, LeaseRecord, LeaseRequest, LeaseStore};
use crate::flow::ledger::{
    EntryKind, Finish, LedgerStore, NewRun, Note, Noted, Override, RunRecord, RunState, Start,
    TimelineEntry,
};
use crate::flow::limits::{
    MAX_BATCH, MAX_CLAIM, check_name, check_notes, check_override, check_size,
};
use crate::flow::outbox::{
    ClaimRequest, Claimed, DeadLetter, Depth, MessageId, MessageQueue, NewMessage, OutboxStore,
    Receipt,
};
use crate::flow::{Fence, FencingToken, StoreError, StoreErrorKind, StoreFuture};
use crate::timestamp::Timestamp;

/// A store of leases, runs, idempotency keys, messages and checkpoints for tests. Clones share
/// everything.
///
/// Its clock follows [`clock::now`], which a test may pause, and can be
/// [stepped](MemoryStore::step_clock). Each operation yields before and after it takes effect, so
/// that a test can drop it at either point.
#[derive(Debug, Clone)]
pub struct MemoryStore(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    origin: Instant,
    /// The milliseconds that the store's clock is ahead.
    step: i64,
    tokens: u64,
    unreachable: bool,
    silent: bool,
    lost_responses: u32,
    leases: HashMap<String, LeaseRecord>,
    writes: Vec<(Fence, String)>,
    runs: BTreeMap<String, (RunRecord, Vec<TimelineEntry>)>,
    keys: HashMap<String, KeyRecord>,
    rows: HashMap<(String, String), (RowHash, Timestamp)>,
    messages: MessageQueue,
    jobs: HashMap<String, (JobRecord, BTreeMap<String, ItemState>)>,
}

impl Default for MemoryStore {
    fn default() -> MemoryStore {
        MemoryStore::new()
    }
}

impl MemoryStore {
    /// Creates an empty store whose clock shows 2026-01-01.
    #[must_use]
    pub fn new() -> MemoryStore {
        MemoryStore(Arc::new(Mutex::new(Inner {
            origin: clock::now(),
            step: 1_767_225_600_000,
            tokens: 0,
            unreachable: false,
            silent: false,
            lost_responses: 0,
            leases: HashMap::new(),
            writes: Vec::new(),
            runs: BTreeMap::new(),
            keys: HashMap::new(),
            rows: HashMap::new(),
            messages: MessageQueue::new(),
            jobs: HashMap::new(),
        })))
    }

    /// Steps the store's clock by this many milliseconds.
    pub fn step_clock(&self, millis: i64) {
        self.0.lock().step += millis;
    }

    /// Returns the time by the store's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.0.lock().now()
    }

    /// Sets whether operations fail as if the server could not be reached.
    pub fn set_unreachable(&self, unreachable: bool) {
        self.0.lock().unreachable = unreachable;
    }

    /// Sets whether operations that begin now have no effect and never return.
    pub fn set_silent(&self, silent: bool) {
        self.0.lock().silent = silent;
    }

    /// Loses the responses of the next `operations`: each takes effect and returns
    /// [`Unavailable`](StoreErrorKind::Unavailable).
    pub fn lose_responses(&self, operations: u32) {
        self.0.lock().lost_responses = operations;
    }

    /// Writes under a lease. Returns `false`, and writes nothing, if the lease is not the writer's
    /// any more.
    #[must_use]
    pub fn write(&self, fence: &Fence, what: impl Into<String>) -> bool {
        let mut inner = self.0.lock();
        let admitted = inner.admits(fence);
        if admitted {
            inner.writes.push((fence.clone(), what.into()));
        }
        admitted
    }

    /// Returns the accepted writes in their order.
    #[must_use]
    pub fn writes(&self) -> Vec<(Fence, String)> {
        self.0.lock().writes.clone()
    }

    fn op<'a, T: Send + 'a>(
        &'a self,
        operation: impl FnOnce(&mut Inner) -> Result<T, StoreError> + Send + 'a,
    ) -> StoreFuture<'a, T> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            let silent = self.0.lock().silent;
            if silent {
                std::future::pending::<()>().await;
            }
            let result = {
                let mut inner = self.0.lock();
                inner.reach().and_then(|()| operation(&mut inner)).and_then(|it| inner.respond(it))
            };
            tokio::task::yield_now().await;
            result
        })
    }
}

impl Inner {
    fn reach(&self) -> Result<(), StoreError> {
        if !self.unreachable {
            return Ok(());
        }
        let error =
            StoreError::new(StoreErrorKind::Unavailable, "memory", "the store is set unreachable");
        Err(error.with_may_have_run(false))
    }

    /// Returns the result of an operation that took effect, or loses it.
    fn respond<T>(&mut self, result: T) -> Result<T, StoreError> {
        if self.lost_responses == 0 {
            return Ok(result);
        }
        self.lost_responses -= 1;
        Err(StoreError::new(StoreErrorKind::Unavailable, "memory", "the response was lost"))
    }

    fn now(&self) -> Timestamp {
        let passed = clock::now().saturating_duration_since(self.origin);
        Timestamp::from_millis(self.step).saturating_add(passed)
    }

    fn next_token(&mut self) -> FencingToken {
        self.tokens += 1;
        FencingToken::new(self.tokens)
    }

    fn admits(&self, fence: &Fence) -> bool {
        let now = self.now();
        let lease = self.leases.get(fence.lease.as_str());
        lease.is_some_and(|lease| lease.admits(fence.token, now))
    }

    fn append(&mut self, id: &str, notes: impl IntoIterator<Item = Note>) {
        let now = self.now();
        let Some((_, timeline)) = self.runs.get_mut(id) else { return };
        for note in notes {
            timeline.push(TimelineEntry { number: timeline.len() as u64 + 1, at: now, note });
        }
    }
}

impl LeaseStore for MemoryStore {
    fn try_acquire(&self, request: LeaseRequest) -> StoreFuture<'_, Acquisition> {
        self.op(move |inner| {
            let (now, next) = (inner.now(), inner.next_token());
            let record = inner.leases.get(&request.name);
            Ok(match LeaseRecord::take(record, &request, next, now) {
                Ok(lease) => {
                    inner.leases.insert(request.name, lease);
                    Acquisition::Acquired(next)
                }
                Err(status) => Acquisition::HeldByAnother(status),
            })
        })
    }

    fn renew(&self, fence: Fence, term: Duration) -> StoreFuture<'_, bool> {
        self.op(move |inner| {
            let now = inner.now();
            let lease = inner.leases.get_mut(fence.lease.as_str());
            Ok(lease.is_some_and(|lease| lease.renew(fence.token, term, now)))
        })
    }

    fn release(&self, fence: Fence) -> StoreFuture<'_, bool> {
        self.op(move |inner| {
            let lease = inner.leases.get_mut(fence.lease.as_str());
            Ok(lease.is_some_and(|lease| lease.release(fence.token)))
        })
    }

    fn admits(&self, fence: Fence) -> StoreFuture<'_, bool> {
        self.op(move |inner| Ok(inner.admits(&fence)))
    }
}

impl LedgerStore for MemoryStore {
    fn begin(&self, new: NewRun) -> StoreFuture<'_, Start> {
        self.op(move |inner| {
            let (now, fence) = (inner.now(), new.fence);
            let (start, note) = match inner.runs.get_mut(&new.id) {
                Some((run, timeline)) => match run.begin_again(&new) {
                    Start::TakenOver => {
                        (Start::TakenOver, Note::of_takeover(timeline.len() as u64, fence))
                    }
                    start => (start, None),
                },
                None => {
                    inner.runs.insert(new.id.clone(), (RunRecord::begin(&new, now), Vec::new()));
                    (Start::Begun, Some(Note::of_start(EntryKind::Begun, fence)))
                }
            };
            inner.append(&new.id, note);
            Ok(start)
        })
    }

    fn finish(
        &self,
        id: String,
        fence: Option<FencingToken>,
        notes: Vec<Note>,
        state: RunState,
    ) -> StoreFuture<'_, Finish> {
        self.op(move |inner| {
            let (now, state) = (inner.now(), state.bounded());
            let Some((run, timeline)) = inner.runs.get_mut(&id) else {
                return Ok(Finish::NotFound);
            };
            let finish = run.finish(state.clone(), fence, now);
            let recorded = finish == Finish::Recorded;
            let kind = if recorded { EntryKind::Ended } else { EntryKind::EndRefused };
            let notes = Note::with_end(timeline.len() as u64, notes, kind, &state);
            inner.append(&id, notes);
            Ok(finish)
        })
    }

    fn note(
        &self,
        id: String,
        fence: Option<FencingToken>,
        notes: Vec<Note>,
    ) -> StoreFuture<'_, Noted> {
        self.op(move |inner| {
            let Some((run, timeline)) = inner.runs.get(&id) else { return Ok(Noted::NotFound) };
            if let Some(current) = run.fenced(fence) {
                return Ok(Noted::Fenced(current));
            }
            check_notes(timeline.len() as u64, notes.len())?;
            inner.append(&id, notes);
            Ok(Noted::Recorded)
        })
    }

    fn override_run(&self, id: String, overridden: Override) -> StoreFuture<'_, bool> {
        self.op(move |inner| {
            let note = Note::of_override(&overridden);
            let Some((run, timeline)) = inner.runs.get_mut(&id) else { return Ok(false) };
            check_override(timeline.len() as u64)?;
            run.overridden = Some(overridden);
            inner.append(&id, [note]);
            Ok(true)
        })
    }

    fn run(&self, id: String) -> StoreFuture<'_, Option<RunRecord>> {
        self.op(move |inner| Ok(inner.runs.get(&id).map(|(run, _)| run.clone())))
    }

    fn timeline(&self, id: String, after: u64, limit: u32) -> StoreFuture<'_, Vec<TimelineEntry>> {
        self.op(move |inner| {
            let Some((_, timeline)) = inner.runs.get(&id) else { return Ok(Vec::new()) };
            let later = timeline.iter().filter(|entry| entry.number > after);
            Ok(later.take(limit as usize).cloned().collect())
        })
    }

    fn unfinished(&self, before: Timestamp, limit: u32) -> StoreFuture<'_, Vec<RunRecord>> {
        self.op(move |inner| {
            let runs = inner.runs.values().map(|(run, _)| run);
            let mut open: Vec<_> =
                runs.filter(|run| run.end.is_none() && run.started_at < before).cloned().collect();
            open.sort_by_key(|run| run.started_at);
            open.truncate(limit as usize);
            Ok(open)
        })
    }
}

impl IdempotencyStore for MemoryStore {
    fn claim(&self, request: KeyRequest) -> StoreFuture<'_, Result<Claim, Taken>> {
        self.op(move |inner| {
            request.check()?;
            let (now, next) = (inner.now(), inner.next_token());
            let record = inner.keys.get(&request.key);
            Ok(KeyRecord::claim(record, &request, next, now).map(|record| {
                inner.keys.insert(request.key.clone(), record);
                Claim { key: request.key, token: next, ttl: request.ttl }
            }))
        })
    }

    fn complete(&self, claim: Claim, completion: Completion) -> StoreFuture<'_, bool> {
        self.op(move |inner| {
            completion.check()?;
            let now = inner.now();
            let Some(record) = inner.keys.get_mut(&claim.key) else { return Ok(false) };
            if record.token != claim.token {
                return Ok(false);
            }
            if record.is_claimed_by(claim.token) && !record.complete(&completion, claim.ttl, now) {
                inner.keys.remove(&claim.key);
            }
            Ok(true)
        })
    }

    fn abandon(&self, claim: Claim) -> StoreFuture<'_, bool> {
        self.op(move |inner| {
            let record = inner.keys.get(&claim.key);
            let claimed = record.is_some_and(|record| record.is_claimed_by(claim.token));
            if claimed {
                inner.keys.remove(&claim.key);
            }
            Ok(claimed)
        })
    }

    fn changed(&self, data_set: String, rows: Vec<RowHash>) -> StoreFuture<'_, Vec<usize>> {
        self.op(move |inner| {
            check_size("rows", rows.len(), MAX_BATCH)?;
            let now = inner.now();
            let changed = rows.iter().enumerate().filter(|(_, row)| {
                let stored = inner.rows.get(&(data_set.clone(), row.key.clone()));
                !stored.is_some_and(|(stored, until)| stored.hash == row.hash && now < *until)
            });
            Ok(changed.map(|(position, _)| position).collect())
        })
    }

    fn record(&self, data_set: String, rows: Vec<RowHash>, ttl: Duration) -> StoreFuture<'_, ()> {
        self.op(move |inner| {
            check_size("rows", rows.len(), MAX_BATCH)?;
            let until = inner.now().saturating_add(ttl);
            for row in rows {
                inner.rows.insert((data_set.clone(), row.key.clone()), (row, until));
            }
            Ok(())
        })
    }
}

impl OutboxStore for MemoryStore {
    fn append_messages(&self, messages: Vec<NewMessage>) -> StoreFuture<'_, Vec<MessageId>> {
        self.op(move |inner| {
            check_size("messages", messages.len(), MAX_CLAIM)?;
            messages.iter().try_for_each(NewMessage::check)?;
            let now = inner.now();
            Ok(messages.into_iter().map(|new| inner.messages.append(new, now)).collect())
        })
    }

    fn claim_messages(&self, request: ClaimRequest) -> StoreFuture<'_, Claimed> {
        self.op(move |inner| {
            request.check()?;
            let now = inner.now();
            let token = inner.next_token();
            Ok(inner.messages.claim(&request, token, now))
        })
    }

    fn complete_messages(&self, receipts: Vec<Receipt>) -> StoreFuture<'_, Vec<MessageId>> {
        self.op(move |inner| {
            check_size("receipts", receipts.len(), MAX_CLAIM)?;
            let completed = receipts.iter().filter(|receipt| inner.messages.complete(receipt));
            Ok(completed.map(|receipt| receipt.id).collect())
        })
    }

    fn retry(&self, receipt: Receipt, after: Duration, error: String) -> StoreFuture<'_, bool> {
        self.op(move |inner| {
            let now = inner.now();
            Ok(inner.messages.retry(&receipt, after, &error, now))
        })
    }

    fn dead_letter(&self, receipt: Receipt, reason: String) -> StoreFuture<'_, bool> {
        self.op(move |inner| {
            let now = inner.now();
            Ok(inner.messages.dead_letter(&receipt, &reason, now))
        })
    }

    fn dead_letters(
        &self,
        topic: String,
        after: MessageId,
        limit: usize,
    ) -> StoreFuture<'_, Vec<DeadLetter>> {
        self.op(move |inner| Ok(inner.messages.dead_letters(&topic, after, limit)))
    }

    fn replay(&self, ids: Vec<MessageId>) -> StoreFuture<'_, u64> {
        self.op(move |inner| {
            check_size("ids", ids.len(), MAX_CLAIM)?;
            let now = inner.now();
            Ok(inner.messages.replay(&ids, now))
        })
    }

    fn depth(&self, topic: String) -> StoreFuture<'_, Depth> {
        self.op(move |inner| Ok(inner.messages.depth(&topic, inner.now())))
    }
}

impl CheckpointStore for MemoryStore {
    fn open(&self, request: JobRequest) -> StoreFuture<'_, Opened> {
        self.op(move |inner| {
            request.check()?;
            let former = inner.jobs.get(&request.job).map(|(job, _)| job);
            let (opened, record) = JobRecord::open(former, &request);
            if let Some(record) = record {
                inner.jobs.entry(request.job).or_insert((record, BTreeMap::new())).0 = record;
            }
            Ok(opened)
        })
    }

    fn record_item(
        &self,
        job: String,
        fence: FencingToken,
        item: String,
        end: ItemEnd,
        max_runs: u32,
    ) -> StoreFuture<'_, Recorded> {
        self.op(move |inner| {
            check_name("item", &item)?;
            let Some((job, items)) = inner.jobs.get_mut(&job) else {
                return Ok(Recorded::NotFound);
            };
            if !job.admits(fence) {
                return Ok(Recorded::Fenced(job.fence));
            }
            let former = items.get(&item);
            let Some(state) = ItemState::after(former, &end, fence, max_runs) else {
                return Ok(former.cloned().map_or(Recorded::NotFound, Recorded::Settled));
            };
            items.insert(item, state.clone());
            Ok(Recorded::Recorded(state))
        })
    }

    fn items(
        &self,
        job: String,
        after: String,
        limit: u32,
    ) -> StoreFuture<'_, Vec<(String, ItemState)>> {
        self.op(move |inner| {
            let Some((_, items)) = inner.jobs.get(&job) else { return Ok(Vec::new()) };
            let later = items.iter().filter(|(item, _)| **item > after);
            let page = later.take(limit as usize);
            Ok(page.map(|(item, state)| (item.clone(), state.clone())).collect())
        })
    }
}
