//! The store that processes contend for, its log, and a naive lock in it.

mod postgres;
mod redis;
mod sqlite;

use std::sync::Arc;

use resilience_core::flow::Fence;
use resilience_core::flow::lease::LeaseStore;

use self::postgres::Postgres;
use self::redis::Redis;
use self::sqlite::Sqlite;
use super::Arm;
use super::judge::{Entry, What};
use crate::BoxError;

/// A store with a log.
#[derive(Debug, Clone)]
pub(super) enum Arena {
    Sqlite(Sqlite),
    Postgres(Postgres),
    Redis(Redis),
}

impl Arena {
    pub(super) async fn open(url: &str) -> Result<Arena, BoxError> {
        match url.split_once(':') {
            Some(("sqlite", path)) => Ok(Arena::Sqlite(Sqlite::open(path).await?)),
            Some(("postgres" | "postgresql", _)) => Ok(Arena::Postgres(Postgres::open(url).await?)),
            Some(("redis", _)) => Ok(Arena::Redis(Redis::open(url).await?)),
            // Always fails here: the error names the supported schemes.
            _ => match resilience_stores::open(url).await {
                Err(error) => Err(error.into()),
                Ok(_) => Err("a store without a log".into()),
            },
        }
    }

    pub(super) fn leases(&self) -> Arc<dyn LeaseStore> {
        match self {
            Arena::Sqlite(store) => store.leases(),
            Arena::Postgres(store) => store.leases(),
            Arena::Redis(store) => store.leases(),
        }
    }

    /// Creates the log and the lock, empty.
    pub(super) async fn prepare(&self) -> Result<(), BoxError> {
        match self {
            Arena::Sqlite(store) => Ok(store.prepare().await?),
            Arena::Postgres(store) => store.prepare().await,
            Arena::Redis(store) => store.prepare().await,
        }
    }

    /// Writes to the log. A fence is checked in the transaction of the write.
    /// Returns `false` if the fence is stale.
    pub(super) async fn write(
        &self,
        arm: Arm,
        section: &str,
        what: What,
        fence: Option<&Fence>,
    ) -> Result<bool, BoxError> {
        match self {
            Arena::Sqlite(store) => store.write(arm, section, what, fence).await,
            Arena::Postgres(store) => store.write(arm, section, what, fence).await,
            Arena::Redis(store) => store.write(arm, section, what, fence).await,
        }
    }

    /// Takes the naive lock if it is free or has expired. Returns `false` if it is held.
    pub(super) async fn naive_lock(&self, holder: &str, term_ms: u64) -> Result<bool, BoxError> {
        match self {
            Arena::Sqlite(store) => store.naive_lock(holder, term_ms).await,
            Arena::Postgres(store) => store.naive_lock(holder, term_ms).await,
            Arena::Redis(store) => store.naive_lock(holder, term_ms).await,
        }
    }

    /// Deletes the naive lock without a check of its holder: the fault of the original.
    pub(super) async fn naive_unlock(&self) -> Result<(), BoxError> {
        match self {
            Arena::Sqlite(store) => Ok(store.naive_unlock().await?),
            Arena::Postgres(store) => store.naive_unlock().await,
            Arena::Redis(store) => store.naive_unlock().await,
        }
    }

    pub(super) async fn log(&self, arm: Arm) -> Result<Vec<Entry>, BoxError> {
        match self {
            Arena::Sqlite(store) => store.log(arm).await,
            Arena::Postgres(store) => store.log(arm).await,
            Arena::Redis(store) => store.log(arm).await,
        }
    }
}

fn entry(section: String, what: &str) -> Result<Entry, BoxError> {
    let what =
        What::from_word(what).ok_or_else(|| format!("unexpected line of the log: {what}"))?;
    Ok(Entry { section, what })
}
