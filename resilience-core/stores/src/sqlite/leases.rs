//! Leases in SQLite.

use std::time::Duration;

use resilience_core::Timestamp;
use resilience_core::flow::lease::{Acquisition, LeaseRecord, LeaseRequest, LeaseStore};
use resilience_core::flow::{Fence, FencingToken, StoreError, StoreFuture};
use rusqlite::{OptionalExtension, Row, params};

use super::error::failed;
use super::store::SqliteStore;
use super::transaction::SqliteTransaction;

const READ: &str = "SELECT holder, token, renewals, term_ms, expires_at, released
    FROM flow_leases WHERE name = ?1";

const WRITE: &str =
    "INSERT INTO flow_leases (name, holder, token, renewals, term_ms, expires_at, released)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, token = excluded.token,
        renewals = excluded.renewals, term_ms = excluded.term_ms,
        expires_at = excluded.expires_at, released = excluded.released";

fn lease(row: &Row<'_>) -> Result<LeaseRecord, rusqlite::Error> {
    Ok(LeaseRecord {
        holder: row.get(0)?,
        token: FencingToken::new(row.get(1)?),
        renewals: row.get(2)?,
        term: Duration::from_millis(row.get(3)?),
        expires_at: Timestamp::from_millis(row.get(4)?),
        released: row.get(5)?,
    })
}

impl SqliteTransaction<'_> {
    /// Returns `true` if a write under this fence is to be accepted: call it first, and write
    /// nothing on `false`.
    ///
    /// # Errors
    /// The driver's.
    pub fn admits(&self, fence: &Fence) -> Result<bool, StoreError> {
        let lease = self.lease(fence.lease.as_str())?;
        Ok(lease.is_some_and(|lease| lease.admits(fence.token, self.now())))
    }

    fn try_acquire(&self, request: &LeaseRequest) -> Result<Acquisition, StoreError> {
        // See docs/decisions/0034-fencing-tokens-are-one-sequence-for-a-store.md.
        let record = self.lease(&request.name)?;
        // Asked first with a token that is not used, so that a refusal writes nothing.
        let decide = |token| LeaseRecord::take(record.as_ref(), request, token, self.now());
        if let Err(status) = decide(FencingToken::new(u64::MAX)) {
            return Ok(Acquisition::HeldByAnother(status));
        }
        let token = self.next_token()?;
        Ok(match decide(token) {
            Ok(lease) => {
                self.write_lease(&request.name, &lease)?;
                Acquisition::Acquired(token)
            }
            Err(status) => Acquisition::HeldByAnother(status),
        })
    }

    /// Changes the lease of this fence, and writes it if `change` returns `true`.
    fn change_lease(
        &self,
        fence: &Fence,
        change: impl FnOnce(&mut LeaseRecord) -> bool,
    ) -> Result<bool, StoreError> {
        // See docs/decisions/0036-the-engine-is-the-reference-of-every-store.md.
        let Some(mut lease) = self.lease(fence.lease.as_str())? else { return Ok(false) };
        let changed = change(&mut lease);
        if changed {
            self.write_lease(fence.lease.as_str(), &lease)?;
        }
        Ok(changed)
    }

    fn lease(&self, name: &str) -> Result<Option<LeaseRecord>, StoreError> {
        self.prepare(READ)
            .and_then(|mut read| read.query_row(params![name], lease).optional())
            .map_err(failed("the lease could not be read"))
    }

    fn write_lease(&self, name: &str, lease: &LeaseRecord) -> Result<(), StoreError> {
        let term = i64::try_from(lease.term.as_millis()).unwrap_or(i64::MAX);
        let columns = params![
            name,
            lease.holder,
            lease.token.get(),
            lease.renewals,
            term,
            lease.expires_at.as_millis(),
            lease.released
        ];
        self.prepare(WRITE)
            .and_then(|mut write| write.execute(columns))
            .map_err(failed("the lease could not be written"))?;
        Ok(())
    }
}

impl LeaseStore for SqliteStore {
    fn try_acquire(&self, request: LeaseRequest) -> StoreFuture<'_, Acquisition> {
        Box::pin(self.transaction(move |tx| tx.try_acquire(&request)))
    }

    fn renew(&self, fence: Fence, term: Duration) -> StoreFuture<'_, bool> {
        Box::pin(self.transaction(move |tx| {
            tx.change_lease(&fence, |lease| lease.renew(fence.token, term, tx.now()))
        }))
    }

    fn release(&self, fence: Fence) -> StoreFuture<'_, bool> {
        Box::pin(
            self.transaction(move |tx| tx.change_lease(&fence, |lease| lease.release(fence.token))),
        )
    }

    fn admits(&self, fence: Fence) -> StoreFuture<'_, bool> {
        Box::pin(self.read(move |tx| tx.admits(&fence)))
    }
}
