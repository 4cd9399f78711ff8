//! The stored lease, and what may be done with it. Pure: stores pass the time of their own clock.

use std::time::Duration;

use crate::flow::fence::FencingToken;
use crate::timestamp::Timestamp;

/// A lease as a store keeps it.
///
/// ```
/// use std::time::Duration;
/// use resilience_core::Timestamp;
/// use resilience_core::flow::FencingToken;
/// use resilience_core::flow::lease::{LeaseRecord, LeaseRequest};
///
/// let now = Timestamp::from_millis(0);
/// let term = Duration::from_secs(60);
/// let first = LeaseRequest::new("daily", "worker-1", term);
/// let lease = LeaseRecord::take(None, &first, FencingToken::new(1), now).unwrap();
///
/// let second = LeaseRequest::new("daily", "worker-2", term);
/// let held = LeaseRecord::take(Some(&lease), &second, FencingToken::new(2), now).unwrap_err();
/// assert_eq!(held.remaining, term);
///
/// let later = now.saturating_add(term);
/// let successor = LeaseRecord::take(Some(&lease), &second, FencingToken::new(2), later).unwrap();
/// assert!(!successor.admits(FencingToken::new(1), later)); // the late write of worker-1
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRecord {
    /// The name of the process that took the lease, for people.
    pub holder: String,
    /// The fencing token of the holder.
    pub token: FencingToken,
    /// The renewals since the lease was taken.
    pub renewals: u64,
    /// The time that each renewal adds, counted from the renewal.
    pub term: Duration,
    /// The end of the lease by the store's clock.
    pub expires_at: Timestamp,
    /// Set once the holder has given the lease back.
    pub released: bool,
}

/// A request for a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRequest {
    /// The name of the lease.
    pub name: String,
    /// The name of the contender, for people.
    pub holder: String,
    /// The time after which the lease ends unless it is renewed.
    pub term: Duration,
    /// The state that the contender has seen stand still for two lease times by its own monotonic
    /// clock. The lease is free if it is still in that state.
    pub stalled: Option<LeaseVersion>,
}

impl LeaseRequest {
    /// Creates a request of a contender that has seen nothing yet.
    #[must_use]
    pub fn new(name: impl Into<String>, holder: impl Into<String>, term: Duration) -> LeaseRequest {
        LeaseRequest { name: name.into(), holder: holder.into(), term, stalled: None }
    }

    /// Adds the state that has stood still.
    #[must_use]
    pub fn with_stalled(mut self, stalled: Option<LeaseVersion>) -> LeaseRequest {
        self.stalled = stalled;
        self
    }
}

/// The state of a lease that every renewal changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseVersion {
    /// The fencing token of the holder.
    pub token: FencingToken,
    /// The holder's renewals so far.
    pub renewals: u64,
}

/// A lease of another holder, as a contender sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseStatus {
    /// The name of the process that holds the lease.
    pub holder: String,
    /// The state that each renewal changes.
    pub version: LeaseVersion,
    /// The term of the lease.
    pub term: Duration,
    /// The time until the lease ends by the store's clock, at most the term.
    pub remaining: Duration,
}

/// The answer to a [`LeaseRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a contender has to handle both")]
pub enum Acquisition {
    /// The lease was taken, with this token.
    Acquired(FencingToken),
    /// Another holder has the lease.
    HeldByAnother(LeaseStatus),
}

impl LeaseRecord {
    /// Decides about a request. Returns the record to store, with `next` as its token, or the
    /// status of the lease if another holder has it. `next` must be greater than every token given
    /// before.
    ///
    /// # Errors
    /// The status of the lease, if it is held.
    pub fn take(
        record: Option<&LeaseRecord>,
        request: &LeaseRequest,
        next: FencingToken,
        now: Timestamp,
    ) -> Result<LeaseRecord, LeaseStatus> {
        match record {
            Some(held) if held.is_live(now) && request.stalled != Some(held.version()) => {
                Err(held.status(now))
            }
            _ => Ok(LeaseRecord {
                holder: request.holder.clone(),
                token: next,
                renewals: 0,
                term: request.term,
                expires_at: now.saturating_add(request.term),
                released: false,
            }),
        }
    }

    /// Extends the lease by `term` from `now`. Returns `false` if it is not this holder's any more:
    /// taken by another, released, or past its end.
    #[must_use]
    pub fn renew(&mut self, token: FencingToken, term: Duration, now: Timestamp) -> bool {
        let renewed = self.admits(token, now);
        if renewed {
            self.renewals += 1;
            self.term = term;
            self.expires_at = now.saturating_add(term);
        }
        renewed
    }

    /// Gives the lease back. Returns `false`, and changes nothing, if it is not this holder's any
    /// more.
    #[must_use]
    pub fn release(&mut self, token: FencingToken) -> bool {
        let held = self.token == token && !self.released;
        self.released |= held;
        held
    }

    /// Returns `true` if a write of the holder of `token` is to be accepted.
    #[must_use]
    pub fn admits(&self, token: FencingToken, now: Timestamp) -> bool {
        self.token == token && self.is_live(now)
    }

    fn is_live(&self, now: Timestamp) -> bool {
        !self.released && now < self.expires_at
    }

    const fn version(&self) -> LeaseVersion {
        LeaseVersion { token: self.token, renewals: self.renewals }
    }

    fn status(&self, now: Timestamp) -> LeaseStatus {
        // A clock that was set back would promise more than a term.
        let remaining = self.expires_at.saturating_duration_since(now).min(self.term);
        let holder = self.holder.clone();
        LeaseStatus { holder, version: self.version(), term: self.term, remaining }
    }
}
