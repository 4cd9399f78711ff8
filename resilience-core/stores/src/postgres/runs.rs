//! Runs in PostgreSQL.

use resilience_core::Timestamp;
use resilience_core::flow::ledger::{
    EntryKind, Finish, LedgerStore, NewRun, Note, Noted, Override, RunColumns, RunRecord, RunState,
    Start, TimelineEntry,
};
use resilience_core::flow::limits::MAX_ENTRIES;
use resilience_core::flow::{FencingToken, StoreError, StoreErrorKind, StoreFuture};
use tokio_postgres::Row;

use super::error::corrupt;
use super::store::PostgresStore;
use super::transaction::{PostgresTransaction, bigint, count, get};

const COLUMNS: &str = "id, job, fence, started_at, ended_at, entries,
    state, row_count, expected, quality, until_ms, detail,
    o_state, o_row_count, o_expected, o_quality, o_until_ms, o_detail, o_by, o_reason";

const BEGIN: &str = "INSERT INTO flow_runs (id, job, fence, started_at, entries)
    VALUES ($1, $2, $3, flow_now(), 0) ON CONFLICT (id) DO NOTHING";
const TAKE_OVER: &str = "UPDATE flow_runs SET fence = $2 WHERE id = $1";
const END: &str = "UPDATE flow_runs SET ended_at = $2, state = $3, row_count = $4, expected = $5,
    quality = $6, until_ms = $7, detail = $8 WHERE id = $1";
const OVERRIDE: &str =
    "UPDATE flow_runs SET o_by = $2, o_reason = $3, o_state = $4, o_row_count = $5,
    o_expected = $6, o_quality = $7, o_until_ms = $8, o_detail = $9 WHERE id = $1";
const APPEND: &str = "INSERT INTO flow_timeline (run, number, at, kind, what, evidence)
    SELECT $1, $2 + n, flow_now(), kind, what, evidence
    FROM unnest($3::text[], $4::text[], $5::text[]) WITH ORDINALITY AS t(kind, what, evidence, n)";
const COUNT: &str = "UPDATE flow_runs SET entries = $2 WHERE id = $1";
const TIMELINE: &str = "SELECT number, at, kind, what, evidence FROM flow_timeline
    WHERE run = $1 AND number > $2 ORDER BY number LIMIT $3";

struct Stored {
    run: RunRecord,
    entries: u64,
}

fn columns(row: &Row, first: usize) -> Result<RunColumns, StoreError> {
    Ok(RunColumns {
        state: get::<Option<String>>(row, first)?.unwrap_or_default(),
        rows: get(row, first + 1)?,
        expected: get(row, first + 2)?,
        quality: get(row, first + 3)?,
        until: get(row, first + 4)?,
        detail: get(row, first + 5)?,
    })
}

fn stored(row: &Row) -> Result<Stored, StoreError> {
    let fence = match get::<Option<i64>>(row, 2)? {
        Some(_) => Some(FencingToken::new(count(row, 2)?)),
        None => None,
    };
    let mut run = RunRecord {
        id: get(row, 0)?,
        job: get(row, 1)?,
        fence,
        started_at: Timestamp::from_millis(get(row, 3)?),
        end: None,
        overridden: None,
    };
    if let Some(ended_at) = get::<Option<i64>>(row, 4)? {
        let state = corrupt(RunState::from_columns(&columns(row, 6)?), "the end of a run")?;
        run.end = Some((state, Timestamp::from_millis(ended_at)));
    }
    let by_and_reason = (get::<Option<String>>(row, 18)?, get::<Option<String>>(row, 19)?);
    if let (Some(by), Some(reason)) = by_and_reason {
        let state = corrupt(RunState::from_columns(&columns(row, 12)?), "the override of a run")?;
        run.overridden = Some(Override::new(state, by, reason)?);
    }
    Ok(Stored { run, entries: count(row, 5)? })
}

impl PostgresTransaction<'_> {
    async fn begin(&self, new: &NewRun) -> Result<Start, StoreError> {
        new.check()?;
        let fence = new.fence.map(|fence| bigint(fence.get()));
        if self.execute(BEGIN, &[&new.id, &new.job, &fence]).await? == 1 {
            self.append(&new.id, 0, &[Note::of_start(EntryKind::Begun, new.fence)]).await?;
            return Ok(Start::Begun);
        }
        // The row is there, for runs are removed only after their retention.
        let stored = corrupt(self.run(&new.id, true).await?, "a run that was begun is gone")?;
        let Stored { mut run, entries } = stored;
        let start = run.begin_again(new);
        if start == Start::TakenOver {
            self.execute(TAKE_OVER, &[&new.id, &fence]).await?;
            let note = Note::of_start(EntryKind::TakenOver, new.fence);
            self.append(&new.id, entries, &[note]).await?;
        }
        Ok(start)
    }

    /// Sets the end of a run in this transaction, together with what the run has written.
    ///
    /// # Errors
    /// The driver's.
    pub async fn finish_run(
        &self,
        id: &str,
        fence: Option<FencingToken>,
        mut notes: Vec<Note>,
        state: &RunState,
    ) -> Result<Finish, StoreError> {
        let Some(Stored { mut run, entries }) = self.run(id, true).await? else {
            return Ok(Finish::NotFound);
        };
        let (state, now) = (state.clone().bounded(), self.now().await?);
        let finish = run.finish(state.clone(), fence, now);
        let recorded = finish == Finish::Recorded;
        if recorded {
            let own = state.to_columns();
            let ended_at = now.as_millis();
            self.execute(
                END,
                &[
                    &id,
                    &ended_at,
                    &own.state,
                    &own.rows,
                    &own.expected,
                    &own.quality,
                    &own.until,
                    &own.detail,
                ],
            )
            .await?;
        }
        let kind = if recorded { EntryKind::Ended } else { EntryKind::EndRefused };
        notes.push(Note::of_end(kind, &state));
        self.append(id, entries, &notes).await?;
        Ok(finish)
    }

    async fn note(
        &self,
        id: &str,
        fence: Option<FencingToken>,
        notes: &[Note],
    ) -> Result<Noted, StoreError> {
        let stored = self.run(id, true).await?;
        let Some(Stored { run, entries }) = stored else { return Ok(Noted::NotFound) };
        if let Some(current) = run.fenced(fence) {
            return Ok(Noted::Fenced(current));
        }
        if self.append(id, entries, notes).await? {
            return Ok(Noted::Recorded);
        }
        let what = format!("`notes` must leave a timeline at most {MAX_ENTRIES} entries");
        Err(StoreError::new(StoreErrorKind::InvalidInput, "postgres", what))
    }

    async fn override_run(&self, id: &str, overridden: &Override) -> Result<bool, StoreError> {
        let Some(Stored { entries, .. }) = self.run(id, true).await? else { return Ok(false) };
        let own = overridden.state.to_columns();
        self.execute(
            OVERRIDE,
            &[
                &id,
                &overridden.by,
                &overridden.reason,
                &own.state,
                &own.rows,
                &own.expected,
                &own.quality,
                &own.until,
                &own.detail,
            ],
        )
        .await?;
        self.append(id, entries, &[Note::of_override(overridden)]).await?;
        Ok(true)
    }

    async fn run(&self, id: &str, lock: bool) -> Result<Option<Stored>, StoreError> {
        let lock = if lock { "FOR UPDATE" } else { "" };
        let read = format!("SELECT {COLUMNS} FROM flow_runs WHERE id = $1 {lock}");
        self.query_opt(&read, &[&id]).await?.as_ref().map(stored).transpose()
    }

    /// Returns `false`, and writes none, if the timeline would be too long.
    async fn append(&self, id: &str, entries: u64, notes: &[Note]) -> Result<bool, StoreError> {
        let total = entries.saturating_add(notes.len() as u64);
        if total > MAX_ENTRIES {
            return Ok(false);
        }
        let kinds: Vec<_> = notes.iter().map(|note| note.kind.as_str()).collect();
        let whats: Vec<_> = notes.iter().map(|note| note.what.as_str()).collect();
        let evidence: Vec<_> = notes.iter().map(|note| note.evidence.as_str()).collect();
        self.execute(APPEND, &[&id, &bigint(entries), &kinds, &whats, &evidence]).await?;
        self.execute(COUNT, &[&id, &bigint(total)]).await?;
        Ok(true)
    }

    async fn timeline(
        &self,
        id: &str,
        after: u64,
        limit: u32,
    ) -> Result<Vec<TimelineEntry>, StoreError> {
        let rows = self.query(TIMELINE, &[&id, &bigint(after), &i64::from(limit)]).await?;
        let entry = |row: &Row| {
            let kind = corrupt(EntryKind::from_word(get(row, 2)?), "the kind of an entry")?;
            let note = Note::new(kind, get::<String>(row, 3)?, get::<String>(row, 4)?);
            let at = Timestamp::from_millis(get(row, 1)?);
            Ok(TimelineEntry { number: count(row, 0)?, at, note })
        };
        rows.iter().map(entry).collect()
    }

    async fn unfinished(
        &self,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<RunRecord>, StoreError> {
        let read = format!(
            "SELECT {COLUMNS} FROM flow_runs WHERE ended_at IS NULL AND started_at < $1
             ORDER BY started_at LIMIT $2"
        );
        let rows = self.query(&read, &[&before.as_millis(), &i64::from(limit)]).await?;
        rows.iter().map(|row| stored(row).map(|stored| stored.run)).collect()
    }
}

impl LedgerStore for PostgresStore {
    fn begin(&self, new: NewRun) -> StoreFuture<'_, Start> {
        Box::pin(async move { self.in_transaction(async |tx| tx.begin(&new).await).await })
    }

    fn finish(
        &self,
        id: String,
        fence: Option<FencingToken>,
        notes: Vec<Note>,
        state: RunState,
    ) -> StoreFuture<'_, Finish> {
        Box::pin(async move {
            self.in_transaction(async |tx| tx.finish_run(&id, fence, notes, &state).await).await
        })
    }

    fn note(
        &self,
        id: String,
        fence: Option<FencingToken>,
        notes: Vec<Note>,
    ) -> StoreFuture<'_, Noted> {
        Box::pin(
            async move { self.in_transaction(async |tx| tx.note(&id, fence, &notes).await).await },
        )
    }

    fn override_run(&self, id: String, overridden: Override) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            self.in_transaction(async |tx| tx.override_run(&id, &overridden).await).await
        })
    }

    fn run(&self, id: String) -> StoreFuture<'_, Option<RunRecord>> {
        Box::pin(async move {
            let run = self.in_transaction(async |tx| tx.run(&id, false).await).await?;
            Ok(run.map(|stored| stored.run))
        })
    }

    fn timeline(&self, id: String, after: u64, limit: u32) -> StoreFuture<'_, Vec<TimelineEntry>> {
        Box::pin(async move {
            self.in_transaction(async |tx| tx.timeline(&id, after, limit).await).await
        })
    }

    fn unfinished(&self, before: Timestamp, limit: u32) -> StoreFuture<'_, Vec<RunRecord>> {
        Box::pin(
            async move { self.in_transaction(async |tx| tx.unfinished(before, limit).await).await },
        )
    }
}
