//! Failures of a store, and what to do about each.

use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;

use crate::name::Name;
use crate::outcome::{AsOutcome, Outcome, RetryHint};

/// The future of one operation of a store. Boxed, so that a store can be chosen while the program
/// runs.
///
/// Dropping it does not undo the operation, which may still take effect.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// The kinds of failure of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The server cannot be reached, or the connection broke.
    Unavailable,
    /// The store did not answer in time.
    TimedOut,
    /// The store is locked by another process, or too many operations wait for it.
    Busy,
    /// The disk has no room.
    DiskFull,
    /// The file or the server takes no writes.
    ReadOnly,
    /// The stored data cannot be read.
    Corrupt,
    /// The schema was written by a newer version of this crate.
    FutureSchema,
    /// A migration failed, or differs from the one that was applied under its number.
    Migration,
    /// The URL names no store that was built in.
    UnknownUrl,
    /// The server's configuration would lose data.
    UnsafeServer,
    /// A value is out of its bounds.
    InvalidInput,
    /// The store was closed.
    Closed,
    /// A failure that none of the other kinds describes.
    Other,
}

impl StoreErrorKind {
    /// Returns the kind in one word that does not change.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            StoreErrorKind::Unavailable => "unavailable",
            StoreErrorKind::TimedOut => "timed_out",
            StoreErrorKind::Busy => "busy",
            StoreErrorKind::DiskFull => "disk_full",
            StoreErrorKind::ReadOnly => "read_only",
            StoreErrorKind::Corrupt => "corrupt",
            StoreErrorKind::FutureSchema => "future_schema",
            StoreErrorKind::Migration => "migration",
            StoreErrorKind::UnknownUrl => "unknown_url",
            StoreErrorKind::UnsafeServer => "unsafe_server",
            StoreErrorKind::InvalidInput => "invalid_input",
            StoreErrorKind::Closed => "closed",
            StoreErrorKind::Other => "other",
        }
    }

    /// Returns what an operator should do.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            StoreErrorKind::Unavailable => {
                "check that the server runs and that its address or path is right"
            }
            StoreErrorKind::TimedOut => "check the load of the store and the network to it",
            StoreErrorKind::Busy => "try again, or give the store less to do at once",
            StoreErrorKind::DiskFull => "free space on the volume of the store",
            StoreErrorKind::ReadOnly => "make the file and its folder writable, or use the primary",
            StoreErrorKind::Corrupt => "restore the last backup; nothing was overwritten",
            StoreErrorKind::FutureSchema => {
                "deploy the newer version, or migrate down with it first"
            }
            StoreErrorKind::Migration => {
                "compare the migrations of this build with the applied ones"
            }
            StoreErrorKind::UnknownUrl => {
                "use sqlite:FILE, postgres://… or redis://…, and build with that feature"
            }
            StoreErrorKind::UnsafeServer => "change the named setting of the server",
            StoreErrorKind::InvalidInput => "correct the named value",
            StoreErrorKind::Closed => "open the store again",
            StoreErrorKind::Other => "see the source of this error",
        }
    }

    const fn may_have_run(self) -> bool {
        matches!(
            self,
            StoreErrorKind::Unavailable | StoreErrorKind::TimedOut | StoreErrorKind::Other
        )
    }
}

/// A failed operation of a store: which store, what failed, and what to do.
#[derive(Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    store: Name,
    what: String,
    may_have_run: bool,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl StoreError {
    /// Creates an error of the store of this name. `what` names the operation that failed.
    #[must_use]
    pub fn new(
        kind: StoreErrorKind,
        store: impl Into<Name>,
        what: impl Into<String>,
    ) -> StoreError {
        StoreError {
            kind,
            store: store.into(),
            what: what.into(),
            may_have_run: kind.may_have_run(),
            source: None,
        }
    }

    /// Adds the driver's error.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> StoreError {
        self.source = Some(source.into());
        self
    }

    /// Sets whether the operation may have taken effect.
    #[must_use]
    pub const fn with_may_have_run(mut self, may_have_run: bool) -> StoreError {
        self.may_have_run = may_have_run;
        self
    }

    /// Returns the kind of failure.
    #[must_use]
    pub const fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// Returns `true` if the operation may succeed later without a change by an operator.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.as_outcome().failure().is_some()
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.store, self.what)?;
        if let Some(source) = &self.source {
            write!(f, " ({source})")?;
        }
        write!(f, ": {}", self.kind.advice())
    }
}

impl StdError for StoreError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

impl AsOutcome for StoreError {
    fn as_outcome(&self) -> Outcome {
        match self.kind {
            StoreErrorKind::Unavailable | StoreErrorKind::Busy | StoreErrorKind::DiskFull => {
                Outcome::transient()
            }
            StoreErrorKind::TimedOut => Outcome::TimedOut,
            StoreErrorKind::Closed => Outcome::NotReady(RetryHint::Never),
            StoreErrorKind::Other => Outcome::Unknown,
            _ => Outcome::Permanent,
        }
    }

    fn may_have_run(&self) -> bool {
        self.may_have_run
    }

    fn as_error(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_store_the_cause_and_the_remedy() {
        let error =
            StoreError::new(StoreErrorKind::DiskFull, "sqlite:runs.db", "the run was not begun")
                .with_source("no space left");
        assert_eq!(
            error.to_string(),
            "sqlite:runs.db: the run was not begun (no space left): free space on the volume of the store"
        );
        assert!(error.is_transient() && !error.may_have_run());
    }

    #[test]
    fn only_what_may_pass_is_transient() {
        for (kind, transient, may_have_run) in [
            (StoreErrorKind::Unavailable, true, true),
            (StoreErrorKind::TimedOut, true, true),
            (StoreErrorKind::Busy, true, false),
            (StoreErrorKind::Corrupt, false, false),
            (StoreErrorKind::FutureSchema, false, false),
            (StoreErrorKind::Closed, false, false),
            (StoreErrorKind::Other, true, true),
        ] {
            let error = StoreError::new(kind, "store", "it failed");
            assert_eq!((error.is_transient(), error.may_have_run()), (transient, may_have_run));
        }
    }
}
