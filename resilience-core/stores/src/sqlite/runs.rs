//! Runs in SQLite.

use resilience_core::Timestamp;
use resilience_core::flow::ledger::{
    EntryKind, Finish, LedgerStore, NewRun, Note, Noted, Override, RunColumns, RunRecord, RunState,
    Start, TimelineEntry,
};
use resilience_core::flow::limits::MAX_ENTRIES;
use resilience_core::flow::{FencingToken, StoreError, StoreErrorKind, StoreFuture};
use rusqlite::{OptionalExtension, Row, params};

use super::error::{corrupt, failed};
use super::store::SqliteStore;
use super::transaction::{SqliteTransaction, known};

const COLUMNS: &str = "id, job, fence, started_at, ended_at, entries,
    state, row_count, expected, quality, until_ms, detail,
    o_state, o_row_count, o_expected, o_quality, o_until_ms, o_detail, o_by, o_reason";

const BEGIN: &str =
    "INSERT INTO flow_runs (id, job, fence, started_at, entries) VALUES (?1, ?2, ?3, ?4, 0)";
const TAKE_OVER: &str = "UPDATE flow_runs SET fence = ?2 WHERE id = ?1";
const END: &str = "UPDATE flow_runs SET ended_at = ?2, state = ?3, row_count = ?4, expected = ?5,
    quality = ?6, until_ms = ?7, detail = ?8 WHERE id = ?1";
const OVERRIDE: &str =
    "UPDATE flow_runs SET o_by = ?2, o_reason = ?3, o_state = ?4, o_row_count = ?5,
    o_expected = ?6, o_quality = ?7, o_until_ms = ?8, o_detail = ?9 WHERE id = ?1";
const APPEND: &str = "INSERT INTO flow_timeline (run, number, at, kind, what, evidence)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const COUNT: &str = "UPDATE flow_runs SET entries = ?2 WHERE id = ?1";
const TIMELINE: &str = "SELECT number, at, kind, what, evidence FROM flow_timeline
    WHERE run = ?1 AND number > ?2 ORDER BY number LIMIT ?3";

/// A run and the number of entries in its timeline.
struct Stored {
    run: RunRecord,
    entries: u64,
}

type Raw = (RunRecord, u64, Option<i64>, RunColumns, RunColumns, Option<String>, Option<String>);

fn columns(row: &Row<'_>, first: usize) -> Result<RunColumns, rusqlite::Error> {
    Ok(RunColumns {
        state: row.get::<_, Option<String>>(first)?.unwrap_or_default(),
        rows: row.get(first + 1)?,
        expected: row.get(first + 2)?,
        quality: row.get(first + 3)?,
        until: row.get(first + 4)?,
        detail: row.get(first + 5)?,
    })
}

fn raw(row: &Row<'_>) -> Result<Raw, rusqlite::Error> {
    let run = RunRecord {
        id: row.get(0)?,
        job: row.get(1)?,
        fence: row.get::<_, Option<u64>>(2)?.map(FencingToken::new),
        started_at: Timestamp::from_millis(row.get(3)?),
        end: None,
        overridden: None,
    };
    let (own, overridden) = (columns(row, 6)?, columns(row, 12)?);
    Ok((run, row.get(5)?, row.get(4)?, own, overridden, row.get(18)?, row.get(19)?))
}

fn stored(raw: Raw) -> Result<Stored, StoreError> {
    let (mut run, entries, ended_at, own, overridden, by, reason) = raw;
    if let Some(ended_at) = ended_at {
        let state = known(RunState::from_columns(&own), "the end of a run")?;
        run.end = Some((state, Timestamp::from_millis(ended_at)));
    }
    if let (Some(by), Some(reason)) = (by, reason) {
        let state = known(RunState::from_columns(&overridden), "the override of a run")?;
        run.overridden = Some(Override::new(state, by, reason)?);
    }
    Ok(Stored { run, entries })
}

impl SqliteTransaction<'_> {
    fn begin(&self, new: &NewRun) -> Result<Start, StoreError> {
        new.check()?;
        let what = failed("the run was not begun");
        let fence = new.fence.map(FencingToken::get);
        let (start, kind, entries) = match self.run(&new.id)? {
            Some(Stored { mut run, entries }) => {
                let start = run.begin_again(new);
                if start == Start::TakenOver {
                    self.prepare(TAKE_OVER)
                        .and_then(|mut take| take.execute(params![new.id, fence]))
                        .map_err(&what)?;
                }
                (start, EntryKind::TakenOver, entries)
            }
            None => {
                let columns = params![new.id, new.job, fence, self.now().as_millis()];
                self.prepare(BEGIN).and_then(|mut begin| begin.execute(columns)).map_err(&what)?;
                (Start::Begun, EntryKind::Begun, 0)
            }
        };
        if matches!(start, Start::Begun | Start::TakenOver) {
            self.append(&new.id, entries, &[Note::of_start(kind, new.fence)])?;
        }
        Ok(start)
    }

    /// Sets the end of a run in this transaction, together with what the run has written.
    ///
    /// # Errors
    /// The driver's.
    pub fn finish_run(
        &self,
        id: &str,
        fence: Option<FencingToken>,
        mut notes: Vec<Note>,
        state: &RunState,
    ) -> Result<Finish, StoreError> {
        let Some(Stored { mut run, entries }) = self.run(id)? else { return Ok(Finish::NotFound) };
        let state = state.clone().bounded();
        let finish = run.finish(state.clone(), fence, self.now());
        let recorded = finish == Finish::Recorded;
        if recorded {
            let own = state.to_columns();
            let columns = params![
                id,
                self.now().as_millis(),
                own.state,
                own.rows,
                own.expected,
                own.quality,
                own.until,
                own.detail
            ];
            self.prepare(END)
                .and_then(|mut end| end.execute(columns))
                .map_err(failed("the end of the run was not recorded"))?;
        }
        let kind = if recorded { EntryKind::Ended } else { EntryKind::EndRefused };
        notes.push(Note::of_end(kind, &state));
        self.append(id, entries, &notes)?;
        Ok(finish)
    }

    fn note(
        &self,
        id: &str,
        fence: Option<FencingToken>,
        notes: &[Note],
    ) -> Result<Noted, StoreError> {
        let Some(Stored { run, entries }) = self.run(id)? else { return Ok(Noted::NotFound) };
        if let Some(current) = run.fenced(fence) {
            return Ok(Noted::Fenced(current));
        }
        if self.append(id, entries, notes)? {
            return Ok(Noted::Recorded);
        }
        let what = format!("`notes` must leave a timeline at most {MAX_ENTRIES} entries");
        Err(StoreError::new(StoreErrorKind::InvalidInput, "sqlite", what))
    }

    fn override_run(&self, id: &str, overridden: &Override) -> Result<bool, StoreError> {
        let Some(Stored { entries, .. }) = self.run(id)? else { return Ok(false) };
        let own = overridden.state.to_columns();
        let columns = params![
            id,
            overridden.by,
            overridden.reason,
            own.state,
            own.rows,
            own.expected,
            own.quality,
            own.until,
            own.detail
        ];
        self.prepare(OVERRIDE)
            .and_then(|mut change| change.execute(columns))
            .map_err(failed("the override was not recorded"))?;
        self.append(id, entries, &[Note::of_override(overridden)])?;
        Ok(true)
    }

    fn run(&self, id: &str) -> Result<Option<Stored>, StoreError> {
        let read = format!("SELECT {COLUMNS} FROM flow_runs WHERE id = ?1");
        self.prepare(&read)
            .and_then(|mut read| read.query_row(params![id], raw).optional())
            .map_err(failed("the run could not be read"))?
            .map(stored)
            .transpose()
    }

    /// Returns `false`, and writes none, if the timeline would be too long.
    fn append(&self, id: &str, entries: u64, notes: &[Note]) -> Result<bool, StoreError> {
        let total = entries.saturating_add(notes.len() as u64);
        if total > MAX_ENTRIES {
            return Ok(false);
        }
        let what = failed("the timeline could not be written");
        let mut append = self.prepare(APPEND).map_err(&what)?;
        let at = self.now().as_millis();
        for (number, note) in (entries + 1..).zip(notes) {
            let columns = params![id, number, at, note.kind.as_str(), note.what, note.evidence];
            append.execute(columns).map_err(&what)?;
        }
        self.prepare(COUNT)
            .and_then(|mut count| count.execute(params![id, total]))
            .map_err(&what)?;
        Ok(true)
    }

    fn timeline(&self, id: &str, after: u64, limit: u32) -> Result<Vec<TimelineEntry>, StoreError> {
        let what = failed("the timeline could not be read");
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let mut read = self.prepare(TIMELINE).map_err(&what)?;
        let rows = read.query_map(params![id, after, limit], |row| {
            let kind = EntryKind::from_word(&row.get::<_, String>(2)?);
            let at = Timestamp::from_millis(row.get(1)?);
            Ok((row.get(0)?, at, kind, row.get::<_, String>(3)?, row.get::<_, String>(4)?))
        });
        let mut timeline = Vec::new();
        for row in rows.map_err(&what)? {
            let (number, at, kind, text, evidence) = row.map_err(&what)?;
            let kind = kind.ok_or_else(|| corrupt("the kind of an entry"))?;
            let note = Note::new(kind, text, evidence);
            timeline.push(TimelineEntry { number, at, note });
        }
        Ok(timeline)
    }

    fn unfinished(&self, before: Timestamp, limit: u32) -> Result<Vec<RunRecord>, StoreError> {
        let what = failed("the runs could not be read");
        let read = format!(
            "SELECT {COLUMNS} FROM flow_runs WHERE ended_at IS NULL AND started_at < ?1
             ORDER BY started_at LIMIT ?2"
        );
        let mut read = self.prepare(&read).map_err(&what)?;
        let rows = read.query_map(params![before.as_millis(), limit], raw).map_err(&what)?;
        rows.map(|row| row.map_err(&what).and_then(stored).map(|stored| stored.run)).collect()
    }
}

impl LedgerStore for SqliteStore {
    fn begin(&self, new: NewRun) -> StoreFuture<'_, Start> {
        Box::pin(self.transaction(move |tx| tx.begin(&new)))
    }

    fn finish(
        &self,
        id: String,
        fence: Option<FencingToken>,
        notes: Vec<Note>,
        state: RunState,
    ) -> StoreFuture<'_, Finish> {
        Box::pin(self.transaction(move |tx| tx.finish_run(&id, fence, notes, &state)))
    }

    fn note(
        &self,
        id: String,
        fence: Option<FencingToken>,
        notes: Vec<Note>,
    ) -> StoreFuture<'_, Noted> {
        Box::pin(self.transaction(move |tx| tx.note(&id, fence, &notes)))
    }

    fn override_run(&self, id: String, overridden: Override) -> StoreFuture<'_, bool> {
        Box::pin(self.transaction(move |tx| tx.override_run(&id, &overridden)))
    }

    fn run(&self, id: String) -> StoreFuture<'_, Option<RunRecord>> {
        Box::pin(self.read(move |tx| Ok(tx.run(&id)?.map(|stored| stored.run))))
    }

    fn timeline(&self, id: String, after: u64, limit: u32) -> StoreFuture<'_, Vec<TimelineEntry>> {
        Box::pin(self.read(move |tx| tx.timeline(&id, after, limit)))
    }

    fn unfinished(&self, before: Timestamp, limit: u32) -> StoreFuture<'_, Vec<RunRecord>> {
        Box::pin(self.read(move |tx| tx.unfinished(before, limit)))
    }
}
