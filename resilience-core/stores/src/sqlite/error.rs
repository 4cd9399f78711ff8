//! The errors of the driver.

use resilience_core::flow::{StoreError, StoreErrorKind};
use rusqlite::{Error, ErrorCode, ffi};

const STORE: &str = "sqlite";

/// Returns the store's error of an error of the driver.
#[must_use]
pub fn driver_error(error: Error) -> StoreError {
    failed("a statement failed")(error)
}

/// Maps an error of the driver in the operation that `what` describes.
pub(super) fn failed(what: &'static str) -> impl Fn(Error) -> StoreError {
    // A transaction that failed was rolled back.
    move |error| {
        StoreError::new(kind(&error), STORE, what).with_may_have_run(false).with_source(error)
    }
}

pub(super) fn corrupt(what: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, STORE, what)
}

pub(super) fn of(kind: StoreErrorKind, what: impl Into<String>) -> StoreError {
    StoreError::new(kind, STORE, what)
}

pub(super) fn kind(error: &Error) -> StoreErrorKind {
    match error {
        Error::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => StoreErrorKind::Busy,
            ErrorCode::DiskFull => StoreErrorKind::DiskFull,
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied => StoreErrorKind::ReadOnly,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => StoreErrorKind::Corrupt,
            // The index of the journal could not be made as long as it must be.
            ErrorCode::SystemIoFailure if failure.extended_code == ffi::SQLITE_IOERR_SHMSIZE => {
                StoreErrorKind::DiskFull
            }
            ErrorCode::CannotOpen | ErrorCode::SystemIoFailure => StoreErrorKind::Unavailable,
            _ => StoreErrorKind::Other,
        },
        Error::FromSqlConversionFailure(..)
        | Error::IntegralValueOutOfRange(..)
        | Error::InvalidColumnType(..) => StoreErrorKind::Corrupt,
        _ => StoreErrorKind::Other,
    }
}

/// The kind of an error of a file beside the database.
pub(super) fn file_error(what: &'static str, error: std::io::Error) -> StoreError {
    let kind = match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            StoreErrorKind::DiskFull
        }
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
            StoreErrorKind::ReadOnly
        }
        _ => StoreErrorKind::Unavailable,
    };
    of(kind, what).with_may_have_run(false).with_source(error)
}
