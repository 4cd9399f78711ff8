//! The errors of the driver and of the pool.

use redis::{ErrorKind, RedisError, ServerErrorKind};
use resilience_core::RejectionKind;
use resilience_core::flow::{StoreError, StoreErrorKind};

const STORE: &str = "redis";

/// Returns the store's error of an error of the driver.
#[must_use]
pub fn driver_error(error: RedisError) -> StoreError {
    let kind = kind(&error);
    let lost = matches!(kind, StoreErrorKind::Unavailable | StoreErrorKind::TimedOut);
    let what = error.detail().unwrap_or("the command failed").to_owned();
    StoreError::new(kind, STORE, what)
        .with_may_have_run(lost && !error.is_connection_refusal())
        .with_source(error)
}

fn kind(error: &RedisError) -> StoreErrorKind {
    if error.is_timeout() {
        return StoreErrorKind::TimedOut;
    }
    if error.is_io_error() || error.is_connection_dropped() {
        return StoreErrorKind::Unavailable;
    }
    match error.kind() {
        ErrorKind::Server(ServerErrorKind::ReadOnly) => StoreErrorKind::ReadOnly,
        ErrorKind::Server(
            ServerErrorKind::BusyLoading | ServerErrorKind::TryAgain | ServerErrorKind::MasterDown,
        ) => StoreErrorKind::Busy,
        ErrorKind::Server(ServerErrorKind::ClusterDown) => StoreErrorKind::Unavailable,
        ErrorKind::Parse | ErrorKind::UnexpectedReturnType => StoreErrorKind::Corrupt,
        ErrorKind::InvalidClientConfig => StoreErrorKind::InvalidInput,
        _ => match error.code() {
            // Out of memory, or the disk of the snapshots is full.
            Some("OOM" | "MISCONF") => StoreErrorKind::DiskFull,
            Some("BUSY") => StoreErrorKind::Busy,
            _ => StoreErrorKind::Other,
        },
    }
}

pub(super) fn pool_error(error: resilience_core::Error<RedisError>) -> StoreError {
    let rejection = match error {
        // No connection, hence no effect.
        resilience_core::Error::Service(error) => {
            return driver_error(error).with_may_have_run(false);
        }
        resilience_core::Error::Rejected(rejection) => rejection,
    };
    let kind = match rejection.kind() {
        RejectionKind::BulkheadFull => StoreErrorKind::Busy,
        RejectionKind::DeadlineExceeded => StoreErrorKind::TimedOut,
        RejectionKind::ShuttingDown => StoreErrorKind::Closed,
        _ => StoreErrorKind::Unavailable,
    };
    of(kind, "there is no connection").with_may_have_run(false).with_source(rejection)
}

pub(super) fn of(kind: StoreErrorKind, what: impl Into<String>) -> StoreError {
    StoreError::new(kind, STORE, what)
}

pub(super) fn corrupt<T>(value: Option<T>, what: &'static str) -> Result<T, StoreError> {
    value.ok_or_else(|| of(StoreErrorKind::Corrupt, what))
}
