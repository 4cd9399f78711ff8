//! Retry and rate-limit hints in responses, in all the fields that servers use for them.
//!
//! | field | what is read |
//! |---|---|
//! | `Retry-After` (RFC 9110) | [`retry_after`]; wins over all others |
//! | `RateLimit`, `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers, structured by RFC 9651) | units left, time until reset, and the policy |
//! | `RateLimit-{Limit,Remaining,Reset}` (drafts up to 07; GitLab with Unix seconds; Docker Hub with `;w=` and without `Reset`) | the same; `Reset` by the rule below, and a number that fits neither form is the longest wait |
//! | `X-RateLimit-{Limit,Remaining,Reset}` (GitHub, Vimeo), `X-Rate-Limit-*` (X, Okta) | the same; `Reset` by the rule below |
//! | `grpc-retry-pushback-ms`, `grpc-status-details-bin` | [`grpc`] |
//!
//! Other spellings are ignored: milliseconds (`retry-after-ms`, `x-ms-retry-after-ms`), fractions
//! (Discord's `x-ratelimit-reset-after`, Shopify's `Retry-After: 2.0`, Reddit's
//! `x-ratelimit-remaining: 98.0`), one set of fields for each resource
//! (`x-ratelimit-remaining-requests`, `anthropic-ratelimit-*`), and dates in `Reset`.
//!
//! # Effect by status
//!
//! | status | `Retry-After` | an exhausted rate limit (`remaining` is 0) |
//! |---|---|---|
//! | 429, 503 | the call waits at least that long, and the limiter of the authority pauses | the same |
//! | 403 | the same, and the response counts as throttled; without `Retry-After` it is permanent | the limiter pauses |
//! | 408, 425, 5xx except 501, 505, 506, 508, 510, 511 | only the retry of this request waits | the limiter pauses |
//! | 413 | only the retry of this request waits; without the header the response is permanent (RFC 9110 §15.5.14) | the limiter pauses |
//! | 3xx | delays only the redirected request (RFC 9110 §10.2.3), which the caller sends | the limiter pauses |
//! | all others | is returned to the caller, and delays nothing | the limiter pauses |
//!
//! A single response can therefore stop all calls to an authority. A pause is at most
//! `longest_hint` of the profile's `rate_limit` part, or `HintLayer::longest`: five minutes by
//! default.
//!
//! # Precedence
//!
//! The families of rate-limit fields are tried in the order of the table; the first that is present
//! and well-formed is used and the others are ignored. If it reports several limits, the most
//! restrictive is used: the exhausted limit with the longest wait, or else the limit with the
//! fewest units left.
//!
//! All fields are input from a stranger. A malformed field is ignored, fields of more than 4 KiB
//! are not read, and no wait is longer than [`MAX_WAIT`](resilience_core::clock::MAX_WAIT).
//!
//! # The `Reset` field of the counters
//!
//! `Reset` has no specification, and servers send three different things, with magnitudes that
//! differ by factors of fifty and more. A whole number up to one year is read as seconds from now.
//! A larger number is read as Unix seconds, or else as Unix milliseconds, if the instant is now or
//! at most one year ahead. Everything else, fractions and dates included, is ignored (as in Envoy).
//!
//! ```
//! use http::HeaderMap;
//! use resilience_core::RetryHint;
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
#[cfg(feature = "layers")]
use http::StatusCode;
use resilience_core::RetryHint;

use crate::retry_after;
#[cfg(feature = "layers")]
pub use layer::{HintFuture, HintLayer, HintService};

/// The retry and rate-limit hints in the head of one response.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hints {
    /// The wait in `Retry-After`, from the time of the response.
    pub retry_after: Option<Duration>,
    /// The units left of the most restrictive limit, in the unit of its policy. Not a promise.
    pub remaining: Option<u64>,
    /// The time from the response until the limit is replenished.
    pub reset: Option<Duration>,
    /// The policy of the most restrictive limit, if the server declares one.
    pub policy: Option<Policy>,
}

/// A rate limit as a server declares it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Policy {
    /// The number of units that a window allows.
    pub quota: u64,
    /// The unit of `quota`.
    pub unit: QuotaUnit,
    /// The length of a window, if the server declares it.
    pub window: Option<Duration>,
}

/// The unit that a [`Policy`] counts in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum QuotaUnit {
    /// Requests; the default if the server declares no unit.
    #[default]
    Requests,
    /// Bytes of content.
    ContentBytes,
    /// Requests in flight at the same time.
    ConcurrentRequests,
    /// A unit that is not in the draft.
    Other,
}

impl Hints {
    /// Reads the hints in the head of a response that was received at `now`.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap, now: SystemTime) -> Hints {
        let limit = limits::read(headers).or_else(|| counters::read(headers, now));
        Hints { retry_after: retry_after::parse(headers, now), ..limit.unwrap_or_default() }
    }

    /// Returns the wait after a response that requests fewer calls (429, 503): `Retry-After`, or
    /// else `reset`, unless units are left of the limit.
    #[must_use]
    pub fn retry_hint(&self) -> RetryHint {
        let exhausted = self.remaining.unwrap_or(0) == 0;
        self.retry_after.or(self.reset.filter(|_| exhausted)).into()
    }

    /// Returns the pause for a limiter after any response: until `reset`, if `remaining` is 0.
    #[must_use]
    pub fn pause(&self) -> Option<Duration> {
        self.reset.filter(|reset| self.remaining == Some(0) && !reset.is_zero())
    }

    /// Returns the wait after a response with this status: see [Effect by
    /// status](self#effect-by-status).
    pub(crate) fn retry_hint_of(&self, status: u16) -> RetryHint {
        match status {
            429 | 503 => self.retry_hint(),
            403 | 408 | 413 | 425 | 500..600 => self.retry_after.into(),
            _ => RetryHint::None,
        }
    }

    /// Returns the pause for a limiter after a response with this status.
    #[cfg(feature = "layers")]
    fn pause_of(&self, status: StatusCode) -> Option<Duration> {
        if !stops_all_calls(status) {
            return self.pause();
        }
        match self.retry_hint_of(status.as_u16()) {
            RetryHint::After(after) => Some(after).filter(|after| !after.is_zero()),
            RetryHint::None | RetryHint::Never => self.pause(),
        }
    }
}

/// Returns `true` if `Retry-After` in a response with this status applies to all calls of the
/// client.
#[cfg(feature = "layers")]
const fn stops_all_calls(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    )
}

/// Returns the pause for a limiter after a response with this head, before the limiter's own bound.
#[cfg(feature = "layers")]
pub(crate) fn pause_after(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    // Most responses have no such field, and one `HeaderMap` look-up costs as much as this whole
    // scan.
    let is_limit = |name: &http::HeaderName| {
        name.as_str().starts_with("ratelimit") || name.as_str().starts_with("x-rate")
    };
    if !stops_all_calls(status) && !headers.keys().any(is_limit) {
        return None;
    }
    Hints::from_headers(headers, crate::clock::wall_now()).pause_of(status)
}

/// The default bound of a pause: five minutes.
#[cfg(feature = "layers")]
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Returns the lines of a list-valued field as one line, or `None` above 4 KiB.
fn joined(headers: &HeaderMap, name: &str) -> Option<Vec<u8>> {
    const MAX_BYTES: usize = 4_096;
    let mut whole = Vec::new();
    for line in headers.get_all(name) {
        if !whole.is_empty() {
            whole.extend_from_slice(b", ");
        }
        whole.extend_from_slice(line.as_bytes());
        if whole.len() > MAX_BYTES {
            return None;
        }
    }
    (!whole.is_empty()).then_some(whole)
}
