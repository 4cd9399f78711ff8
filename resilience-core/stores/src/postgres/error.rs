//! The errors of the driver and of the pool.

use std::error::Error as _;

use resilience_core::flow::{StoreError, StoreErrorKind};
use resilience_core::{Rejection, RejectionKind};
use tokio_postgres::Error;

const STORE: &str = "postgres";

/// Returns the store's error of an error of the driver.
#[must_use]
pub fn driver_error(error: Error) -> StoreError {
    let kind = kind(&error);
    // The server rolled back what it has answered with an error.
    let may_have_run = error.as_db_error().is_none();
    let what = error.as_db_error().map_or("the connection failed", |error| error.message());
    StoreError::new(kind, STORE, what).with_may_have_run(may_have_run).with_source(error)
}

pub(super) fn kind(error: &Error) -> StoreErrorKind {
    let Some(code) = error.code().map(|code| code.code()) else {
        let io = error.source().is_some_and(|source| source.is::<std::io::Error>());
        let lost = io || error.is_closed();
        return if lost { StoreErrorKind::Unavailable } else { StoreErrorKind::Other };
    };
    match code {
        "53100" => StoreErrorKind::DiskFull,
        "25006" => StoreErrorKind::ReadOnly,
        "57014" => StoreErrorKind::TimedOut,
        "53300" | "55P03" | "40001" | "40P01" => StoreErrorKind::Busy,
        _ => match code.get(..2).unwrap_or_default() {
            "08" | "57" | "58" => StoreErrorKind::Unavailable,
            "53" => StoreErrorKind::Busy,
            "XX" => StoreErrorKind::Corrupt,
            _ => StoreErrorKind::Other,
        },
    }
}

pub(super) fn pool_error(error: resilience_core::Error<Error>) -> StoreError {
    match error {
        // No connection, hence no effect.
        resilience_core::Error::Service(error) => driver_error(error).with_may_have_run(false),
        resilience_core::Error::Rejected(rejection) => rejected(rejection),
    }
}

pub(super) fn rejected(rejection: Rejection) -> StoreError {
    let kind = match rejection.kind() {
        RejectionKind::BulkheadFull => StoreErrorKind::Busy,
        RejectionKind::DeadlineExceeded => StoreErrorKind::TimedOut,
        RejectionKind::ShuttingDown => StoreErrorKind::Closed,
        _ => StoreErrorKind::Unavailable,
    };
    let error = of(kind, "there is no connection").with_may_have_run(false);
    error.with_source(rejection)
}

pub(super) fn of(kind: StoreErrorKind, what: impl Into<String>) -> StoreError {
    StoreError::new(kind, STORE, what)
}

pub(super) fn corrupt<T>(value: Option<T>, what: &'static str) -> Result<T, StoreError> {
    value.ok_or_else(|| of(StoreErrorKind::Corrupt, what))
}
