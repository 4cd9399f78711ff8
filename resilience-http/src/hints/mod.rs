//! When to come back, in all the ways that servers say it.
//!
//! | field | what is read |
//! |---|---|
//! | `Retry-After` (RFC 9110) | [`retry_after`]; wins over all others |
//! | `RateLimit`, `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers, structured by RFC 9651) | what is left, when there is more, and the policy |
//! | `RateLimit-{Limit,Remaining,Reset}` (the drafts up to 07) | the same; `Reset` in seconds from now |
//! | `X-RateLimit-*`, `X-Rate-Limit-*` | the same; `Reset` by the rule below |
//! | `grpc-retry-pushback-ms`, `grpc-status-details-bin` | [`grpc`] |
//!
//! Of the rate limits, the first family that says anything counts, in this order, and the others do not. Of several policies the most
//! restrictive counts: of those that are used up the one that takes longest to come back, and else the one with the least left.
//!
//! All of it is input from a stranger. A malformed field says nothing, fields of more than 4 KiB are not read, and no wait
//! is longer than [`MAX_WAIT`](resilience_core::clock::MAX_WAIT).
//!
//! # The `Reset` of the `X-` families
//!
//! There is no specification, and servers send three things, which differ in size by factors of fifty and more. So a whole
//! number is read as seconds from now if that is at most a year; else as Unix seconds, and else as Unix milliseconds, if that is now
//! or at most a year ahead. Everything else, fractions and dates included, says nothing (as in Envoy).
//!
//! ```
//! use http::HeaderMap;
//! use resilience_core::outcome::RetryHint;
//! use resilience_http::hints::Hints;
//! use std::time::{Duration, SystemTime};
//!
//! let mut headers = HeaderMap::new();
//! headers.insert("ratelimit", "\"burst\";r=0;t=30, \"daily\";r=700;t=3600".parse()?);
//! headers.insert("ratelimit-policy", "\"burst\";q=100;w=60, \"daily\";q=1000;w=86400".parse()?);
//! let hints = Hints::from_headers(&headers, SystemTime::UNIX_EPOCH);
//! assert_eq!(hints.retry_hint(), RetryHint::After(Duration::from_secs(30)));
//! assert_eq!(hints.policy.map(|policy| policy.quota), Some(100));
//! # Ok::<_, http::header::InvalidHeaderValue>(())
//! ```

mod counters;
pub mod grpc;
#[cfg(feature = "layers")]
mod layer;
mod limits;
pub mod retry_info;

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use resilience_core::outcome::RetryHint;

use crate::retry_after;
#[cfg(feature = "layers")]
pub use layer::{HintFuture, HintLayer, HintService};

/// What the head of one answer says about coming back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hints {
    /// `Retry-After`, from now.
    pub retry_after: Option<Duration>,
    /// How much is left of the most restrictive limit, in its policy's unit. No promise.
    pub remaining: Option<u64>,
    /// How long from now there is more of it.
    pub reset: Option<Duration>,
    /// The limit itself.
    pub policy: Option<Policy>,
}

/// A limit, as a server declares it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Policy {
    /// So many.
    pub quota: u64,
    /// Of these.
    pub unit: QuotaUnit,
    /// In so long, if that was said.
    pub window: Option<Duration>,
}

/// What a [`Policy`] counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum QuotaUnit {
    /// Requests, unless something else was said.
    #[default]
    Requests,
    /// Bytes of content.
    ContentBytes,
    /// Requests that are under way at once.
    ConcurrentRequests,
    /// Something that the draft does not know.
    Other,
}

impl Hints {
    /// Reads them off a head that was received at `now`.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap, now: SystemTime) -> Hints {
        let limit = limits::read(headers).or_else(|| counters::read(headers, now));
        Hints { retry_after: retry_after::parse(headers, now), ..limit.unwrap_or_default() }
    }

    /// For an answer that asks for fewer calls (429, 503): when to come back.
    ///
    /// `Retry-After`, or else when there is more of the limit, unless some of it is left.
    #[must_use]
    pub fn retry_hint(&self) -> RetryHint {
        let spent = self.remaining.unwrap_or(0) == 0;
        self.retry_after.or(self.reset.filter(|_| spent)).into()
    }

    /// For an answer that is good: how long a limiter had better pause, since this was the last one.
    #[must_use]
    pub fn pause(&self) -> Option<Duration> {
        self.reset.filter(|reset| self.remaining == Some(0) && !reset.is_zero())
    }
}

/// How long a limiter had better pause after an answer with this head, which is not one that asks for fewer calls: a
/// limiter reads those by itself. At most so long as a limiter follows hints.
#[cfg(feature = "client")]
pub(crate) fn pause_after(headers: &HeaderMap) -> Option<Duration> {
    // Most answers have none, and each look-up costs as much as all of this.
    let is_limit = |name: &http::HeaderName| {
        name.as_str().starts_with("ratelimit") || name.as_str().starts_with("x-rate")
    };
    if !headers.keys().any(is_limit) {
        return None;
    }
    let pause = Hints::from_headers(headers, crate::clock::wall_now()).pause();
    pause.map(|pause| pause.min(LONGEST_PAUSE))
}

/// No hint pauses a limiter for longer, unless somebody says so.
#[cfg(feature = "layers")]
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// The lines of a list-valued field as one, unless they are more than is worth reading.
fn joined(headers: &HeaderMap, name: &str) -> Option<Vec<u8>> {
    const MOST: usize = 4_096;
    let mut whole = Vec::new();
    for line in headers.get_all(name) {
        if !whole.is_empty() {
            whole.extend_from_slice(b", ");
        }
        whole.extend_from_slice(line.as_bytes());
        if whole.len() > MOST {
            return None;
        }
    }
    (!whole.is_empty()).then_some(whole)
}
