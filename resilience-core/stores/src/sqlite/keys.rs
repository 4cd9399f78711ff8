//! Idempotency keys in SQLite.

use std::collections::HashMap;
use std::time::Duration;

use resilience_core::Timestamp;
use resilience_core::flow::idempotency::{
    Claim, Completion, Fingerprint, IdempotencyStore, KeyRecord, KeyRequest, RowHash, Taken,
};
use resilience_core::flow::{FencingToken, StoreError, StoreFuture};
use rusqlite::{OptionalExtension, Row, ToSql, params};

use super::error::failed;
use super::store::SqliteStore;
use super::transaction::{SqliteTransaction, known};
use crate::rows::check_rows;

const READ: &str = "SELECT fingerprint, token, fence, claimed_until, expires_at, done_rows, result
    FROM flow_keys WHERE key = ?1";
const CLAIM: &str =
    "INSERT INTO flow_keys (key, fingerprint, token, fence, claimed_until, expires_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT (key) DO UPDATE SET fingerprint = excluded.fingerprint, token = excluded.token,
        fence = excluded.fence, claimed_until = excluded.claimed_until,
        expires_at = excluded.expires_at, done_rows = NULL, result = NULL";
const COMPLETE: &str =
    "UPDATE flow_keys SET done_rows = ?2, result = ?3, expires_at = ?4 WHERE key = ?1";
const REMOVE: &str = "DELETE FROM flow_keys WHERE key = ?1";
const RECORD: &str = "INSERT INTO flow_rows (data_set, row_key, hash, expires_at) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (data_set, row_key) DO UPDATE SET hash = excluded.hash, expires_at = excluded.expires_at";

type Raw = (Vec<u8>, KeyRecord);

fn raw(row: &Row<'_>) -> Result<Raw, rusqlite::Error> {
    let done = match row.get::<_, Option<u64>>(5)? {
        Some(rows) => Some((rows, row.get::<_, Option<Vec<u8>>>(6)?.unwrap_or_default())),
        None => None,
    };
    let record = KeyRecord {
        fingerprint: Fingerprint::new([0; 32]),
        token: FencingToken::new(row.get(1)?),
        fence: row.get::<_, Option<u64>>(2)?.map(FencingToken::new),
        claimed_until: Timestamp::from_millis(row.get(3)?),
        expires_at: Timestamp::from_millis(row.get(4)?),
        done,
    };
    Ok((row.get(0)?, record))
}

impl SqliteTransaction<'_> {
    /// Claims a key, or returns its state.
    ///
    /// # Errors
    /// The driver's.
    pub fn claim(&self, request: &KeyRequest) -> Result<Result<Claim, Taken>, StoreError> {
        request.check()?;
        let record = self.key(&request.key)?;
        // Asked first with a token that is not used, so that a refusal writes nothing.
        let decide = |token| KeyRecord::claim(record.as_ref(), request, token, self.now());
        if let Err(taken) = decide(FencingToken::new(u64::MAX)) {
            return Ok(Err(taken));
        }
        let token = self.next_token()?;
        let record = match decide(token) {
            Ok(record) => record,
            Err(taken) => return Ok(Err(taken)),
        };
        let columns = params![
            request.key,
            record.fingerprint.as_bytes(),
            token.get(),
            record.fence.map(FencingToken::get),
            record.claimed_until.as_millis(),
            record.expires_at.as_millis()
        ];
        self.prepare(CLAIM)
            .and_then(|mut claim| claim.execute(columns))
            .map_err(failed("the key was not claimed"))?;
        Ok(Ok(Claim { key: request.key.clone(), token, ttl: request.ttl }))
    }

    /// Completes a claim in this transaction, together with the effect. Returns `false` if another
    /// claim was made since: the effect must be rolled back then, by an error.
    ///
    /// # Errors
    /// The driver's.
    pub fn complete(&self, claim: &Claim, completion: &Completion) -> Result<bool, StoreError> {
        completion.check()?;
        let Some(mut record) = self.key(&claim.key)? else { return Ok(false) };
        if !record.is_claimed_by(claim.token) {
            // Completed before, and the answer was lost.
            return Ok(record.token == claim.token);
        }
        let kept = record.complete(completion, claim.ttl, self.now());
        let what = failed("the key was not completed");
        if !kept {
            self.remove_key(&claim.key)?;
            return Ok(true);
        }
        let (rows, result) = completion.kept().unwrap_or_default();
        let rows = i64::try_from(rows).unwrap_or(i64::MAX);
        let columns = params![claim.key, rows, result, record.expires_at.as_millis()];
        self.prepare(COMPLETE).and_then(|mut complete| complete.execute(columns)).map_err(what)?;
        Ok(true)
    }

    fn abandon(&self, claim: &Claim) -> Result<bool, StoreError> {
        let record = self.key(&claim.key)?;
        let claimed = record.is_some_and(|record| record.is_claimed_by(claim.token));
        if claimed {
            self.remove_key(&claim.key)?;
        }
        Ok(claimed)
    }

    /// Returns the positions of rows that differ from their stored content, in one query.
    ///
    /// # Errors
    /// The driver's, or [`InvalidInput`](resilience_core::flow::StoreErrorKind::InvalidInput) if
    /// there are more than [`MAX_BATCH`](resilience_core::flow::limits::MAX_BATCH) rows or a name
    /// is out of its bounds.
    pub fn changed(&self, data_set: &str, rows: &[RowHash]) -> Result<Vec<usize>, StoreError> {
        check_rows(data_set, rows)?;
        let what = failed("the rows could not be compared");
        let places = vec!["?"; rows.len()].join(",");
        let read = format!(
            "SELECT row_key, hash FROM flow_rows
             WHERE data_set = ? AND expires_at > ? AND row_key IN ({places})"
        );
        let now = self.now().as_millis();
        let mut values: Vec<&dyn ToSql> = vec![&data_set, &now];
        values.extend(rows.iter().map(|row| &row.key as &dyn ToSql));
        let mut read = self.driver().prepare(&read).map_err(&what)?;
        let stored = read.query_map(values.as_slice(), |row| Ok((row.get(0)?, row.get(1)?)));
        let stored = stored.map_err(&what)?.collect::<Result<HashMap<String, Vec<u8>>, _>>();
        let stored = stored.map_err(&what)?;
        let is_changed = |row: &RowHash| {
            stored.get(&row.key).is_none_or(|hash| hash.as_slice() != row.hash.as_bytes())
        };
        let changed = rows.iter().enumerate().filter(|(_, row)| is_changed(row));
        Ok(changed.map(|(position, _)| position).collect())
    }

    /// Stores the content of rows in this transaction, together with the rows.
    ///
    /// # Errors
    /// As those of [`changed`](SqliteTransaction::changed).
    pub fn record(
        &self,
        data_set: &str,
        rows: &[RowHash],
        ttl: Duration,
    ) -> Result<(), StoreError> {
        check_rows(data_set, rows)?;
        let what = failed("the content of the rows was not recorded");
        let until = self.now().saturating_add(ttl).as_millis();
        let mut record = self.prepare(RECORD).map_err(&what)?;
        for row in rows {
            let columns = params![data_set, row.key, row.hash.as_bytes(), until];
            record.execute(columns).map_err(&what)?;
        }
        Ok(())
    }

    fn key(&self, key: &str) -> Result<Option<KeyRecord>, StoreError> {
        let read = self
            .prepare(READ)
            .and_then(|mut read| read.query_row(params![key], raw).optional())
            .map_err(failed("the key could not be read"))?;
        let Some((fingerprint, mut record)) = read else { return Ok(None) };
        record.fingerprint = known(Fingerprint::from_slice(&fingerprint), "a fingerprint")?;
        Ok(Some(record))
    }

    fn remove_key(&self, key: &str) -> Result<(), StoreError> {
        self.prepare(REMOVE)
            .and_then(|mut remove| remove.execute(params![key]))
            .map_err(failed("the key was not removed"))?;
        Ok(())
    }
}

impl IdempotencyStore for SqliteStore {
    fn claim(&self, request: KeyRequest) -> StoreFuture<'_, Result<Claim, Taken>> {
        Box::pin(self.transaction(move |tx| tx.claim(&request)))
    }

    fn complete(&self, claim: Claim, completion: Completion) -> StoreFuture<'_, bool> {
        Box::pin(self.transaction(move |tx| tx.complete(&claim, &completion)))
    }

    fn abandon(&self, claim: Claim) -> StoreFuture<'_, bool> {
        Box::pin(self.transaction(move |tx| tx.abandon(&claim)))
    }

    fn changed(&self, data_set: String, rows: Vec<RowHash>) -> StoreFuture<'_, Vec<usize>> {
        Box::pin(self.read(move |tx| tx.changed(&data_set, &rows)))
    }

    fn record(&self, data_set: String, rows: Vec<RowHash>, ttl: Duration) -> StoreFuture<'_, ()> {
        Box::pin(self.transaction(move |tx| tx.record(&data_set, &rows, ttl)))
    }
}
