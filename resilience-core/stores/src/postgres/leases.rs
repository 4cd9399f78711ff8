//! Leases in PostgreSQL: one statement each, which decides as `LeaseRecord` does.

use std::time::Duration;

use resilience_core::flow::lease::{
    Acquisition, LeaseRequest, LeaseStatus, LeaseStore, LeaseVersion,
};
use resilience_core::flow::limits::check_name;
use resilience_core::flow::{Fence, FencingToken, StoreError, StoreFuture};

use super::error::driver_error;
use super::store::PostgresStore;
use super::transaction::{PostgresTransaction, bigint, count, get};

// The token is drawn again in the update: the one in `excluded` was drawn before the row was
// locked, and may be smaller than that of the holder that was waited for. The name is set so that
// the row is locked as for a deletion, which waits for the transactions of admitted writes
// (`ADMITS`).
const ACQUIRE: &str = "INSERT INTO flow_leases AS held
        (name, holder, token, renewals, term_ms, expires_at, released)
    VALUES ($1, $2, nextval('flow_fence'), 0, $3, flow_now() + $3, false)
    ON CONFLICT (name) DO UPDATE SET name = excluded.name, holder = $2, token = nextval('flow_fence'), renewals = 0,
        term_ms = $3, expires_at = flow_now() + $3, released = false
    WHERE held.released OR held.expires_at <= flow_now() OR (held.token = $4 AND held.renewals = $5)
    RETURNING token";
const STATUS: &str = "SELECT holder, token, renewals, term_ms,
        least(greatest(expires_at - flow_now(), 0), term_ms)
    FROM flow_leases WHERE name = $1";
const RENEW: &str = "UPDATE flow_leases
    SET renewals = renewals + 1, term_ms = $3, expires_at = flow_now() + $3
    WHERE name = $1 AND token = $2 AND NOT released AND expires_at > flow_now()";
const RELEASE: &str =
    "UPDATE flow_leases SET released = true WHERE name = $1 AND token = $2 AND NOT released";
// Locked until the end of the transaction: no contender takes the lease between this and the
// commit. A renewal does not change the key, so it goes on beside a long transaction.
const ADMITS: &str = "SELECT 1 FROM flow_leases
    WHERE name = $1 AND token = $2 AND NOT released AND expires_at > flow_now() FOR KEY SHARE";

fn millis(term: Duration) -> i64 {
    i64::try_from(term.as_millis()).unwrap_or(i64::MAX)
}

impl PostgresTransaction<'_> {
    /// Returns `true` if a write under this fence is to be accepted: call it first, and write
    /// nothing on `false`. The lease stays the holder's until the transaction ends.
    ///
    /// # Errors
    /// The driver's.
    pub async fn admits(&self, fence: &Fence) -> Result<bool, StoreError> {
        let token = bigint(fence.token.get());
        Ok(self.query_opt(ADMITS, &[&fence.lease.as_str(), &token]).await?.is_some())
    }
}

impl PostgresStore {
    /// Runs one statement outside of a transaction: one round trip, once it is prepared.
    async fn change(
        &self,
        sql: &'static str,
        fence: Fence,
        term: Option<i64>,
    ) -> Result<bool, StoreError> {
        let change = async |client: &mut deadpool_postgres::ClientWrapper| {
            let statement = client.prepare_cached(sql).await.map_err(driver_error)?;
            let (name, token) = (fence.lease.as_str(), bigint(fence.token.get()));
            let changed = match &term {
                Some(term) => client.execute(&statement, &[&name, &token, term]).await,
                None => client.execute(&statement, &[&name, &token]).await,
            };
            Ok(changed.map_err(driver_error)? == 1)
        };
        self.on_client(change).await
    }

    async fn acquire(&self, request: LeaseRequest) -> Result<Acquisition, StoreError> {
        // See docs/decisions/0034-fencing-tokens-are-one-sequence-for-a-store.md.
        check_name("lease", &request.name)?;
        let acquire = async |client: &mut deadpool_postgres::ClientWrapper| {
            let acquire = client.prepare_cached(ACQUIRE).await.map_err(driver_error)?;
            let status = client.prepare_cached(STATUS).await.map_err(driver_error)?;
            let (name, holder, term) = (&request.name, &request.holder, millis(request.term));
            let token = request.stalled.map(|stalled| bigint(stalled.token.get()));
            let renewals = request.stalled.map(|stalled| bigint(stalled.renewals));
            loop {
                let values: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
                    [name, holder, &term, &token, &renewals];
                let taken = client.query_opt(&acquire, &values).await.map_err(driver_error)?;
                if let Some(row) = taken {
                    return Ok(Acquisition::Acquired(FencingToken::new(count(&row, 0)?)));
                }
                let held = client.query_opt(&status, &[name]).await.map_err(driver_error)?;
                // Without a row, its retention ended in between. The operation has a deadline.
                if let Some(row) = held {
                    return Ok(Acquisition::HeldByAnother(LeaseStatus {
                        holder: get(&row, 0)?,
                        version: LeaseVersion {
                            token: FencingToken::new(count(&row, 1)?),
                            renewals: count(&row, 2)?,
                        },
                        term: Duration::from_millis(count(&row, 3)?),
                        remaining: Duration::from_millis(count(&row, 4)?),
                    }));
                }
            }
        };
        self.on_client(acquire).await
    }
}

impl LeaseStore for PostgresStore {
    fn try_acquire(&self, request: LeaseRequest) -> StoreFuture<'_, Acquisition> {
        Box::pin(self.acquire(request))
    }

    fn renew(&self, fence: Fence, term: Duration) -> StoreFuture<'_, bool> {
        Box::pin(self.change(RENEW, fence, Some(millis(term))))
    }

    fn release(&self, fence: Fence) -> StoreFuture<'_, bool> {
        Box::pin(self.change(RELEASE, fence, None))
    }

    fn admits(&self, fence: Fence) -> StoreFuture<'_, bool> {
        Box::pin(self.change(ADMITS, fence, None))
    }
}
