//! The stored key, and what may be done with it. Pure: stores pass the time of their own clock.

use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

use crate::flow::fence::FencingToken;
use crate::flow::limits::{MAX_RESULT, check_name, check_size};
use crate::flow::store_error::{StoreError, StoreErrorKind};
use crate::timestamp::Timestamp;

/// A digest of a payload, which shows that a key was used for another one. Any digest of 32 bytes
/// will do that does not collide: SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Creates a fingerprint from a digest.
    #[must_use]
    pub const fn new(digest: [u8; 32]) -> Fingerprint {
        Fingerprint(digest)
    }

    /// Returns the digest.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads a stored digest. Returns `None` if it does not have 32 bytes.
    #[must_use]
    pub fn from_slice(digest: &[u8]) -> Option<Fingerprint> {
        digest.try_into().ok().map(Fingerprint)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A key that is to be claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRequest {
    /// The key: one effect is wanted for it.
    pub key: String,
    /// The digest of the payload.
    pub fingerprint: Fingerprint,
    /// The token of the lease under which the work is done. A greater one takes over a claim at
    /// once.
    pub fence: Option<FencingToken>,
    /// The time for the work, by the store's clock. After it the key can be claimed again.
    pub claim_for: Duration,
    /// The time for which a completed key is kept.
    pub ttl: Duration,
}

impl KeyRequest {
    /// Creates a request without a fence, with 5 minutes for the work and 7 days for the key.
    #[must_use]
    pub fn new(key: impl Into<String>, fingerprint: Fingerprint) -> KeyRequest {
        KeyRequest {
            key: key.into(),
            fingerprint,
            fence: None,
            claim_for: Duration::from_secs(300),
            ttl: Duration::from_secs(7 * 24 * 60 * 60),
        }
    }

    /// Adds the token of a lease.
    #[must_use]
    pub const fn with_fence(mut self, token: FencingToken) -> KeyRequest {
        self.fence = Some(token);
        self
    }

    /// Sets the time for the work.
    #[must_use]
    pub const fn claim_for(mut self, time: Duration) -> KeyRequest {
        self.claim_for = time;
        self
    }

    /// Sets the time for which a completed key is kept.
    #[must_use]
    pub const fn ttl(mut self, ttl: Duration) -> KeyRequest {
        self.ttl = ttl;
        self
    }

    /// Checks the key and its times.
    ///
    /// # Errors
    /// [`InvalidInput`](StoreErrorKind::InvalidInput), if the key is empty or too long, or a time
    /// is less than a millisecond or more than a hundred years.
    pub fn check(&self) -> Result<(), StoreError> {
        check_name("key", &self.key)?;
        let bounds = Duration::from_millis(1)..=Duration::from_secs(100 * 366 * 24 * 60 * 60);
        for (what, time) in [("claim_for", self.claim_for), ("ttl", self.ttl)] {
            if !bounds.contains(&time) {
                let why = format!("`{what}` must be between 1 ms and 100 years, not {time:?}");
                return Err(StoreError::new(StoreErrorKind::InvalidInput, "flow", why));
            }
        }
        Ok(())
    }
}

/// A key that is claimed: completing it and every write for it carry the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The key.
    pub key: String,
    /// The token of this claim.
    pub token: FencingToken,
    /// The time for which the completed key is kept.
    pub ttl: Duration,
}

/// The result of completed work.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a store has to handle each")]
pub enum Completion {
    /// There are rows, and a result that the next caller gets.
    Rows {
        /// The number of rows.
        rows: NonZeroU64,
        /// The result.
        result: Vec<u8>,
    },
    /// Nothing was written, which proves nothing: the key is free again.
    Empty,
    /// Nothing was written because there is nothing to write, which is as final as rows are.
    CompleteAndEmpty {
        /// The result.
        result: Vec<u8>,
    },
}

impl Completion {
    /// Creates the completion of work that wrote this many rows: [`Empty`](Completion::Empty)
    /// without any.
    #[must_use]
    pub fn of(rows: u64, result: impl Into<Vec<u8>>) -> Completion {
        match NonZeroU64::new(rows) {
            Some(rows) => Completion::Rows { rows, result: result.into() },
            None => Completion::Empty,
        }
    }

    /// Returns the rows and the result of what is to be kept, or `None` if the key is to be free.
    #[must_use]
    pub fn kept(&self) -> Option<(u64, &[u8])> {
        match self {
            Completion::Rows { rows, result } => Some((rows.get(), result)),
            Completion::CompleteAndEmpty { result } => Some((0, result)),
            Completion::Empty => None,
        }
    }

    /// Returns the same completion with an empty result.
    #[must_use]
    pub(super) fn without_result(self) -> Completion {
        let result = Vec::new();
        match self {
            Completion::Rows { rows, .. } => Completion::Rows { rows, result },
            Completion::CompleteAndEmpty { .. } => Completion::CompleteAndEmpty { result },
            Completion::Empty => Completion::Empty,
        }
    }

    /// Checks the size of the result.
    ///
    /// # Errors
    /// If it is more than [`MAX_RESULT`].
    pub fn check(&self) -> Result<(), StoreError> {
        check_size("result", self.kept().map_or(0, |(_, result)| result.len()), MAX_RESULT)
    }
}

/// A key as a store keeps it.
///
/// ```
/// use resilience_core::Timestamp;
/// use resilience_core::flow::FencingToken;
/// use resilience_core::flow::idempotency::{Fingerprint, KeyRecord, KeyRequest, Taken};
///
/// let now = Timestamp::from_millis(0);
/// let request = KeyRequest::new("message-7", Fingerprint::new([1; 32]));
/// let claimed = KeyRecord::claim(None, &request, FencingToken::new(1), now).unwrap();
/// let again = KeyRecord::claim(Some(&claimed), &request, FencingToken::new(2), now);
/// assert!(matches!(again, Err(Taken::InProgress { .. })));
/// let other = KeyRequest::new("message-7", Fingerprint::new([2; 32]));
/// let other = KeyRecord::claim(Some(&claimed), &other, FencingToken::new(3), now);
/// assert!(matches!(other, Err(Taken::Conflict)));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// The digest of the payload.
    pub fingerprint: Fingerprint,
    /// The token of the claim.
    pub token: FencingToken,
    /// The token of the lease under which the key was claimed.
    pub fence: Option<FencingToken>,
    /// The end of the claim.
    pub claimed_until: Timestamp,
    /// The time after which the key may be removed.
    pub expires_at: Timestamp,
    /// The rows and the result of completed work.
    pub done: Option<(u64, Vec<u8>)>,
}

/// The state of a key that cannot be claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a caller has to handle each")]
pub enum Taken {
    /// Another process works on it, for at most this time by the store's clock.
    InProgress {
        /// The time that the claim has left.
        remaining: Duration,
    },
    /// The work is done.
    Done {
        /// The rows written.
        rows: u64,
        /// The result.
        result: Vec<u8>,
    },
    /// The key was used for another payload.
    Conflict,
    /// The key was claimed under a lease of a greater token.
    Fenced(FencingToken),
}

impl KeyRecord {
    /// Decides about a request. Returns the record to store, with `next` as its token. `next` must
    /// be greater than every token given before.
    ///
    /// # Errors
    /// The state of the key, if it cannot be claimed.
    pub fn claim(
        record: Option<&KeyRecord>,
        request: &KeyRequest,
        next: FencingToken,
        now: Timestamp,
    ) -> Result<KeyRecord, Taken> {
        if let Some(taken) = record.and_then(|record| record.refuses(request, now)) {
            return Err(taken);
        }
        let claimed_until = now.saturating_add(request.claim_for);
        Ok(KeyRecord {
            fingerprint: request.fingerprint,
            token: next,
            fence: request.fence,
            claimed_until,
            expires_at: claimed_until.saturating_add(request.ttl),
            done: None,
        })
    }

    fn refuses(&self, request: &KeyRequest, now: Timestamp) -> Option<Taken> {
        if now >= self.expires_at {
            return None;
        }
        if self.fingerprint != request.fingerprint {
            return Some(Taken::Conflict);
        }
        if let Some((rows, result)) = &self.done {
            return Some(Taken::Done { rows: *rows, result: result.clone() });
        }
        if let Some(fence) = self.fence.filter(|&fence| request.fence < Some(fence)) {
            return Some(Taken::Fenced(fence));
        }
        // Without a fence on either side, only time shows that the other one has ended.
        let succeeds = self.fence.is_some() && request.fence > self.fence;
        let taken_over = succeeds || now >= self.claimed_until;
        let remaining = self.claimed_until.saturating_duration_since(now);
        (!taken_over).then_some(Taken::InProgress { remaining })
    }

    /// Returns `true` if the claim of this token may be completed or given back, also after its
    /// time as long as no other claim was made.
    #[must_use]
    pub fn is_claimed_by(&self, token: FencingToken) -> bool {
        self.token == token && self.done.is_none()
    }

    /// Completes a claim that [is the caller's](KeyRecord::is_claimed_by). Returns `false` if the
    /// record is to be removed.
    #[must_use]
    pub fn complete(&mut self, completion: &Completion, ttl: Duration, now: Timestamp) -> bool {
        self.done = completion.kept().map(|(rows, result)| (rows, result.to_vec()));
        self.expires_at = now.saturating_add(ttl);
        self.done.is_some()
    }
}
