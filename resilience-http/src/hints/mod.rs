//! When to come back, in all the ways that servers say it.
//!
//! | field | what is read |
//! |---|---|
//! | `Retry-After` (RFC 9110) | [`retry_after`]; wins over all others |
//! | `RateLimit`, `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers, structured by RFC 9651) | what is left, when there is more, and the policy |
//! | `RateLimit-{Limit,Remaining,Reset}` (the drafts up to 07; GitLab with Unix seconds; Docker Hub with `;w=` and without `Reset`) | the same; `Reset` by the rule below, where a number that is neither is the longest wait |
//! | `X-RateLimit-{Limit,Remaining,Reset}` (GitHub, Vimeo), `X-Rate-Limit-*` (X, Okta) | the same; `Reset` by the rule below |
//! | `grpc-retry-pushback-ms`, `grpc-status-details-bin` | [`grpc`] |
//!
//! Other spellings are not read: milliseconds (`retry-after-ms`, `x-ms-retry-after-ms`), fractions (Discord's
//! `x-ratelimit-reset-after`, Shopify's `Retry-After: 2.0`, Reddit's `x-ratelimit-remaining: 98.0`), a family for each resource (`x-ratelimit-remaining-requests`,
//! `anthropic-ratelimit-*`), dates in `Reset`.
//!
//! # Effect by status
//!
//! | status | `Retry-After` | a rate limit that is used up (`remaining` 0) |
//! |---|---|---|
//! | 429, 503 | the call waits at least that long, and the limiter of the authority pauses | the same |
//! | 403 | the same, and the response counts as throttled; without `Retry-After` it is permanent | the limiter pauses |
//! | 408, 425, 5xx but 501, 505, 506, 508, 510, 511 | only the retry of this request waits | the limiter pauses |
//! | 413 | only the retry of this request waits; without one the response is permanent (RFC 9110 §15.5.14) | the limiter pauses |
//! | 3xx | delays only the following of that redirect (RFC 9110 §10.2.3), which is the caller's | the limiter pauses |
//! | all others | is returned to the caller, and delays nothing | the limiter pauses |
//!
//! One response can therefore stop all calls to an authority. A pause is no longer than `longest_hint` of the profile's
//! `rate_limit` part, or `HintLayer::longest`: five minutes by default.
//!
//! # Families
//!
//! Of the rate limits, the first family that says anything counts, in this order, and the others do not. Of several policies the most
//! restrictive counts: of those that are used up the one that takes longest to come back, and else the one with the least left.
//!
//! All of it is input from a stranger. A malformed field says nothing, fields of more than 4 KiB are not read, and no wait
//! is longer than [`MAX_WAIT`](resilience_core::clock::MAX_WAIT).
//!
//! # The `Reset` of the counters
//!
//! There is no specification, and servers send three things, which differ in size by factors of fifty and more. So a whole
//! number is read as seconds from now if that is at most a year; else as Unix seconds, and else as Unix milliseconds, if that is now
//! or at most a year ahead. Everything else, fractions and dates included, says nothing (as in Envoy).
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

/// What the head of one response says about coming back.
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
    /// The number of units that a window allows.
    pub quota: u64,
    /// The unit of `quota`.
    pub unit: QuotaUnit,
    /// The length of a window, if the server declares it.
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

    /// Returns when to come back, for a response that asks for fewer calls (429, 503): `Retry-After`, or else
    /// `reset`, unless something is left of the limit.
    #[must_use]
    pub fn retry_hint(&self) -> RetryHint {
        let spent = self.remaining.unwrap_or(0) == 0;
        self.retry_after.or(self.reset.filter(|_| spent)).into()
    }

    /// Returns how long a limiter should pause after any response: until `reset`, if `remaining` is 0.
    #[must_use]
    pub fn pause(&self) -> Option<Duration> {
        self.reset.filter(|reset| self.remaining == Some(0) && !reset.is_zero())
    }

    /// Returns when to come back after a response with this status: see [Effect by status](self#effect-by-status).
    pub(crate) fn retry_hint_of(&self, status: u16) -> RetryHint {
        match status {
            429 | 503 => self.retry_hint(),
            403 | 408 | 413 | 425 | 500..600 => self.retry_after.into(),
            _ => RetryHint::None,
        }
    }

    /// Returns how long a limiter should pause after a response with this status.
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

/// Returns `true` if `Retry-After` in a response with this status is about all calls, and not about this request.
#[cfg(feature = "layers")]
const fn stops_all_calls(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    )
}

/// Returns how long a limiter should pause after a response with this head, without the bound of the limiter.
#[cfg(feature = "layers")]
pub(crate) fn pause_after(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    // Most responses have none, and each look-up costs as much as all of this.
    let is_limit = |name: &http::HeaderName| {
        name.as_str().starts_with("ratelimit") || name.as_str().starts_with("x-rate")
    };
    if !stops_all_calls(status) && !headers.keys().any(is_limit) {
        return None;
    }
    Hints::from_headers(headers, crate::clock::wall_now()).pause_of(status)
}

/// The default bound of a pause.
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
