//! Idempotency keys in PostgreSQL.

use std::collections::HashMap;
use std::time::Duration;

use resilience_core::Timestamp;
use resilience_core::flow::idempotency::{
    Claim, Completion, Fingerprint, IdempotencyStore, KeyRecord, KeyRequest, RowHash, Taken,
};
use resilience_core::flow::{FencingToken, StoreError, StoreFuture};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::error::corrupt;
use super::store::PostgresStore;
use super::transaction::{PostgresTransaction, bigint, count, get};
use crate::rows::check_rows;

// A claim of the same key that is not committed yet is waited for.
const CLAIM: &str =
    "INSERT INTO flow_keys (key, fingerprint, token, fence, claimed_until, expires_at)
    VALUES ($1, $2, nextval('flow_fence'), $3, flow_now() + $4, flow_now() + $4 + $5)
    ON CONFLICT (key) DO NOTHING RETURNING token";
const READ: &str =
    "SELECT fingerprint, token, fence, claimed_until, expires_at, done_rows, result, flow_now()
    FROM flow_keys WHERE key = $1 FOR UPDATE";
const CLAIM_AGAIN: &str = "UPDATE flow_keys SET fingerprint = $2, token = nextval('flow_fence'), fence = $3,
    claimed_until = $4, expires_at = $5, done_rows = NULL, result = NULL WHERE key = $1 RETURNING token";
const COMPLETE: &str =
    "UPDATE flow_keys SET done_rows = $2, result = $3, expires_at = flow_now() + $4 WHERE key = $1";
const REMOVE: &str = "DELETE FROM flow_keys WHERE key = $1";
const CHANGED: &str = "SELECT n FROM unnest($2::text[], $3::bytea[]) WITH ORDINALITY AS t(k, h, n)
    LEFT JOIN flow_rows ON data_set = $1 AND row_key = k AND expires_at > flow_now()
    WHERE hash IS DISTINCT FROM h ORDER BY n";
const RECORD: &str = "INSERT INTO flow_rows (data_set, row_key, hash, expires_at)
    SELECT $1, k, h, flow_now() + $4 FROM unnest($2::text[], $3::bytea[]) AS t(k, h)
    ON CONFLICT (data_set, row_key) DO UPDATE SET hash = excluded.hash, expires_at = excluded.expires_at";

fn millis(duration: Duration) -> i64 {
    // A hundred thousand years, so that no sum overflows.
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX).min(1 << 51)
}

/// Reads a key, and the time.
fn record(row: &Row) -> Result<(KeyRecord, Timestamp), StoreError> {
    let fingerprint = corrupt(Fingerprint::from_slice(get(row, 0)?), "a fingerprint")?;
    let fence = match get::<Option<i64>>(row, 2)? {
        Some(_) => Some(FencingToken::new(count(row, 2)?)),
        None => None,
    };
    let done = match get::<Option<i64>>(row, 5)? {
        Some(_) => Some((count(row, 5)?, get::<Option<Vec<u8>>>(row, 6)?.unwrap_or_default())),
        None => None,
    };
    let record = KeyRecord {
        fingerprint,
        token: FencingToken::new(count(row, 1)?),
        fence,
        claimed_until: Timestamp::from_millis(get(row, 3)?),
        expires_at: Timestamp::from_millis(get(row, 4)?),
        done,
    };
    Ok((record, Timestamp::from_millis(get(row, 7)?)))
}

impl PostgresTransaction<'_> {
    /// Claims a key, or returns its state.
    ///
    /// # Errors
    /// The driver's.
    pub async fn claim(&self, request: &KeyRequest) -> Result<Result<Claim, Taken>, StoreError> {
        request.check()?;
        let (fingerprint, ttl) = (request.fingerprint.as_bytes().as_slice(), millis(request.ttl));
        let (fence, time) = (request.fence.map(|it| bigint(it.get())), millis(request.claim_for));
        let claim = |token| Claim { key: request.key.clone(), token, ttl: request.ttl };
        loop {
            let claimed =
                self.query_opt(CLAIM, &[&request.key, &fingerprint, &fence, &time, &ttl]).await?;
            if let Some(row) = claimed {
                return Ok(Ok(claim(FencingToken::new(count(&row, 0)?))));
            }
            // Without a row, the claim was given back in between. The operation has a deadline.
            let Some(row) = self.query_opt(READ, &[&request.key]).await? else { continue };
            let (current, now) = record(&row)?;
            let unused = FencingToken::new(u64::MAX);
            let decided = match KeyRecord::claim(Some(&current), request, unused, now) {
                Ok(decided) => decided,
                Err(taken) => return Ok(Err(taken)),
            };
            let (until, expires) =
                (decided.claimed_until.as_millis(), decided.expires_at.as_millis());
            let values: [&(dyn ToSql + Sync); 5] =
                [&request.key, &fingerprint, &fence, &until, &expires];
            let row = self.query_opt(CLAIM_AGAIN, &values).await?;
            let row = corrupt(row, "a key that is locked is gone")?;
            return Ok(Ok(claim(FencingToken::new(count(&row, 0)?))));
        }
    }

    /// Completes a claim in this transaction, together with the effect. Returns `false` if another
    /// claim was made since: the effect must be rolled back then.
    ///
    /// # Errors
    /// The driver's.
    pub async fn complete(
        &self,
        claim: &Claim,
        completion: &Completion,
    ) -> Result<bool, StoreError> {
        completion.check()?;
        let Some(row) = self.query_opt(READ, &[&claim.key]).await? else { return Ok(false) };
        let (record, _) = record(&row)?;
        if !record.is_claimed_by(claim.token) {
            // Completed before, and the answer was lost.
            return Ok(record.token == claim.token);
        }
        match completion.kept() {
            Some((rows, result)) => {
                let values = (bigint(rows), millis(claim.ttl));
                self.execute(COMPLETE, &[&claim.key, &values.0, &result, &values.1]).await?
            }
            None => self.execute(REMOVE, &[&claim.key]).await?,
        };
        Ok(true)
    }

    async fn abandon(&self, claim: &Claim) -> Result<bool, StoreError> {
        let Some(row) = self.query_opt(READ, &[&claim.key]).await? else { return Ok(false) };
        let claimed = record(&row)?.0.is_claimed_by(claim.token);
        if claimed {
            self.execute(REMOVE, &[&claim.key]).await?;
        }
        Ok(claimed)
    }

    /// Returns the positions of rows that differ from their stored content, in one query.
    ///
    /// # Errors
    /// The driver's, or [`InvalidInput`](resilience_core::flow::StoreErrorKind::InvalidInput) if
    /// there are more than [`MAX_BATCH`](resilience_core::flow::limits::MAX_BATCH) rows or a name
    /// is out of its bounds.
    pub async fn changed(
        &self,
        data_set: &str,
        rows: &[RowHash],
    ) -> Result<Vec<usize>, StoreError> {
        check_rows(data_set, rows)?;
        let keys: Vec<_> = rows.iter().map(|row| row.key.as_str()).collect();
        let hashes: Vec<_> = rows.iter().map(|row| row.hash.as_bytes().as_slice()).collect();
        let changed = self.query(CHANGED, &[&data_set, &keys, &hashes]).await?;
        let position = |row: &Row| Ok(usize::try_from(count(row, 0)? - 1).unwrap_or(usize::MAX));
        changed.iter().map(position).collect()
    }

    /// Stores the content of rows in this transaction, together with the rows.
    ///
    /// # Errors
    /// As those of [`changed`](PostgresTransaction::changed).
    pub async fn record(
        &self,
        data_set: &str,
        rows: &[RowHash],
        ttl: Duration,
    ) -> Result<(), StoreError> {
        check_rows(data_set, rows)?;
        // One statement changes a row once: the last of a key counts.
        let rows: HashMap<_, _> =
            rows.iter().map(|row| (row.key.as_str(), row.hash.as_bytes().as_slice())).collect();
        let (keys, hashes): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        self.execute(RECORD, &[&data_set, &keys, &hashes, &millis(ttl)]).await?;
        Ok(())
    }
}

impl IdempotencyStore for PostgresStore {
    fn claim(&self, request: KeyRequest) -> StoreFuture<'_, Result<Claim, Taken>> {
        Box::pin(async move { self.in_transaction(async |tx| tx.claim(&request).await).await })
    }

    fn complete(&self, claim: Claim, completion: Completion) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            self.in_transaction(async |tx| tx.complete(&claim, &completion).await).await
        })
    }

    fn abandon(&self, claim: Claim) -> StoreFuture<'_, bool> {
        Box::pin(async move { self.in_transaction(async |tx| tx.abandon(&claim).await).await })
    }

    fn changed(&self, data_set: String, rows: Vec<RowHash>) -> StoreFuture<'_, Vec<usize>> {
        Box::pin(
            async move { self.in_transaction(async |tx| tx.changed(&data_set, &rows).await).await },
        )
    }

    fn record(&self, data_set: String, rows: Vec<RowHash>, ttl: Duration) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.in_transaction(async |tx| tx.record(&data_set, &rows, ttl).await).await
        })
    }
}
