//! Transactions, in which everything may be done together.

use std::fmt;

use resilience_core::Timestamp;
use resilience_core::flow::{FencingToken, StoreError, StoreErrorKind};
use rusqlite::{CachedStatement, OptionalExtension, Transaction};

use super::error::{corrupt, failed};

/// A transaction of a [`SqliteStore`](super::SqliteStore): leases, runs and keys, and whatever else
/// is in the file.
pub struct SqliteTransaction<'c> {
    tx: Transaction<'c>,
    now: Timestamp,
}

impl<'c> SqliteTransaction<'c> {
    pub(super) const fn new(tx: Transaction<'c>, now: Timestamp) -> SqliteTransaction<'c> {
        SqliteTransaction { tx, now }
    }

    /// Returns the driver's transaction, for the caller's own tables. It is committed by the store.
    #[must_use]
    pub const fn driver(&self) -> &Transaction<'c> {
        &self.tx
    }

    /// Returns the time of the transaction by the store's clock.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    pub(super) fn commit(self) -> Result<(), StoreError> {
        self.tx.commit().map_err(|error| {
            let error = failed("the transaction was not committed")(error);
            // A journal that was written and not synced may be found after a crash.
            let is_unsure = error.kind() == StoreErrorKind::Unavailable;
            error.with_may_have_run(is_unsure)
        })
    }

    pub(super) fn prepare(&self, sql: &str) -> Result<CachedStatement<'_>, rusqlite::Error> {
        self.tx.prepare_cached(sql)
    }

    /// Returns the next token. A token that is rolled back was never visible, and is given again.
    pub(super) fn next_token(&self) -> Result<FencingToken, StoreError> {
        let next = "UPDATE flow_fence SET token = token + 1 WHERE id = 1 RETURNING token";
        let what = failed("no token was given");
        let token: Option<u64> = self
            .prepare(next)
            .and_then(|mut next| next.query_row([], |row| row.get(0)).optional())
            .map_err(what)?;
        Ok(FencingToken::new(known(token, "the last token")?))
    }
}

impl fmt::Debug for SqliteTransaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteTransaction").field("now", &self.now).finish_non_exhaustive()
    }
}

pub(super) fn known<T>(value: Option<T>, what: &'static str) -> Result<T, StoreError> {
    value.ok_or_else(|| corrupt(what))
}
