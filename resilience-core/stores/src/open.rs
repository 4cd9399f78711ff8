//! A store by its URL.

use std::fmt;
use std::sync::Arc;

use resilience_core::flow::idempotency::IdempotencyStore;
use resilience_core::flow::lease::LeaseStore;
use resilience_core::flow::ledger::LedgerStore;
use resilience_core::flow::{StoreError, StoreErrorKind};

/// The stores that a URL names.
#[derive(Clone)]
pub struct Stores {
    /// Leases.
    pub leases: Arc<dyn LeaseStore>,
    /// Runs, if the store keeps them.
    pub ledger: Option<Arc<dyn LedgerStore>>,
    /// Idempotency keys.
    pub keys: Arc<dyn IdempotencyStore>,
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
/// [`UnknownUrl`](StoreErrorKind::UnknownUrl) if no store that was built in has this scheme, and those of opening it.
pub async fn open(url: &str) -> Result<Stores, StoreError> {
    let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
    match scheme {
        #[cfg(feature = "sqlite")]
        "sqlite" if !rest.is_empty() => {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            let store = Arc::new(crate::sqlite::SqliteStore::open(path).await?);
            Ok(Stores { leases: store.clone(), ledger: Some(store.clone()), keys: store })
        }
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => {
            let store = Arc::new(crate::postgres::PostgresStore::open(url).await?);
            Ok(Stores { leases: store.clone(), ledger: Some(store.clone()), keys: store })
        }
        #[cfg(feature = "redis")]
        "redis" => {
            let store = Arc::new(crate::redis::RedisStore::open(url).await?);
            Ok(Stores { leases: store.clone(), ledger: None, keys: store })
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
