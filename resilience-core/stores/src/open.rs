//! A store by its URL.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use resilience_core::flow::idempotency::IdempotencyStore;
use resilience_core::flow::lease::LeaseStore;
use resilience_core::flow::ledger::LedgerStore;
use resilience_core::flow::outbox::OutboxStore;
use resilience_core::flow::{StoreError, StoreErrorKind};
use resilience_core::observe::Gauges;

use crate::retention::{Removed, TableSize, Upkeep};

/// The stores that a URL names.
#[derive(Clone)]
pub struct Stores {
    /// Leases.
    pub leases: Arc<dyn LeaseStore>,
    /// Runs, if the store keeps them.
    pub ledger: Option<Arc<dyn LedgerStore>>,
    /// Idempotency keys.
    pub keys: Arc<dyn IdempotencyStore>,
    /// Messages, if the store keeps them.
    pub outbox: Option<Arc<dyn OutboxStore>>,
    upkeep: Arc<dyn Upkeep>,
}

impl Stores {
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    fn all<S>(store: S) -> Stores
    where
        S: LeaseStore + LedgerStore + IdempotencyStore + OutboxStore + Upkeep + 'static,
    {
        let store = Arc::new(store);
        Stores {
            leases: store.clone(),
            ledger: Some(store.clone()),
            keys: store.clone(),
            outbox: Some(store.clone()),
            upkeep: store,
        }
    }

    /// Removes at most `limit` rows of each table that are no longer kept, in one transaction. In
    /// Redis, which removes what has expired by itself, checks the server's eviction policy
    /// instead.
    ///
    /// # Errors
    /// The store's. [`UnsafeServer`](StoreErrorKind::UnsafeServer) if Redis evicts keys.
    pub async fn remove_expired(&self, limit: u32) -> Result<Removed, StoreError> {
        self.upkeep.remove(limit).await
    }

    /// Counts the rows of each table, for the gauges too. In Redis, counts all keys of the
    /// database.
    ///
    /// # Errors
    /// The store's.
    pub async fn sizes(&self) -> Result<Vec<TableSize>, StoreError> {
        self.upkeep.count().await
    }

    /// Removes what is no longer kept and counts what is left, now and then `every` so often, for
    /// ever: to be spawned, once for each process. A failure is left for the next time.
    ///
    /// In Redis, checks the eviction policy too: while it is not `noeviction`, leases and claims
    /// are rejected with [`UnsafeServer`](StoreErrorKind::UnsafeServer).
    pub async fn maintenance(&self, every: Duration) {
        self.upkeep.maintain(every).await;
    }
}

/// The gauges of the store that was opened, as [`sizes`](Stores::sizes) counted them last.
impl Gauges for Stores {
    fn gauges(&self, visit: &mut dyn FnMut(&'static str, f64)) {
        self.upkeep.gauges(visit);
    }
}

impl fmt::Debug for Stores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stores").field("ledger", &self.ledger.is_some()).finish_non_exhaustive()
    }
}

/// Opens the store of a URL, and migrates its schema to the one of this version: `sqlite:FILE`,
/// `postgres://…`, `redis://…`.
///
/// # Errors
/// [`UnknownUrl`](StoreErrorKind::UnknownUrl) if no store that was built in has this scheme, and
/// those of opening it.
pub async fn open(url: &str) -> Result<Stores, StoreError> {
    let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
    match scheme {
        #[cfg(feature = "sqlite")]
        "sqlite" if !rest.is_empty() => {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            Ok(Stores::all(crate::sqlite::SqliteStore::open(path).await?))
        }
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => {
            Ok(Stores::all(crate::postgres::PostgresStore::open(url).await?))
        }
        #[cfg(feature = "redis")]
        "redis" => {
            let store = Arc::new(crate::redis::RedisStore::open(url).await?);
            let (leases, keys) = (store.clone(), store.clone());
            Ok(Stores { leases, ledger: None, keys, outbox: None, upkeep: store })
        }
        _ => {
            // A URL may contain a password: only its scheme is shown.
            let scheme: String = scheme.chars().take(32).collect();
            let what = format!(
                "`{scheme}:` names no store{}",
                if rest.is_empty() { " without more" } else { "" }
            );
            Err(StoreError::new(StoreErrorKind::UnknownUrl, "stores", what))
        }
    }
}
