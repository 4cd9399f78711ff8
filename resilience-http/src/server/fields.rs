//! Writing of `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers).
//!
//! Fields that a handler has written for other limits are kept. [`hints`](crate::hints) reads both
//! fields.

use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use resilience_core::rate::{Quota, RateSnapshot};
use sfv::{KeyRef, ListSerializer, StringRef, key_ref};

use super::rejection_format::whole_seconds;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Adds `RateLimit` for a limit without tokens until `retry_after`.
pub(super) fn add_exhausted(headers: &mut HeaderMap, name: &str, retry_after: Option<Duration>) {
    let reset = retry_after.map(seconds);
    add_item(headers, RATE_LIMIT, name, [(key_ref("r"), Some(0)), (key_ref("t"), reset)]);
}

/// Adds `RateLimit` with the tokens that are left, and `RateLimit-Policy`. The reset time is an
/// upper bound: the whole time in which one token is refilled.
pub(super) fn add_remaining(headers: &mut HeaderMap, name: &str, limit: &RateSnapshot) {
    let quota = &limit.quota;
    let reset = match limit.paused_for {
        Some(pause) => Some(pause),
        None => (limit.available < quota.burst()).then(|| quota.period() / quota.count()),
    };
    let remaining = (key_ref("r"), Some(limit.available.into()));
    let reset = (key_ref("t"), reset.map(seconds));
    add_item(headers, RATE_LIMIT, name, [remaining, reset]);
    add_policy(headers, name, quota);
}

/// Adds `RateLimit-Policy`. A window that is not a whole number of seconds is left out, because the
/// field cannot express it.
pub(super) fn add_policy(headers: &mut HeaderMap, name: &str, quota: &Quota) {
    let whole = quota.period().subsec_nanos() == 0;
    let window = whole.then(|| seconds(quota.period()));
    let policy = [(key_ref("q"), Some(quota.count().into())), (key_ref("w"), window)];
    add_item(headers, RATE_LIMIT_POLICY, name, policy);
}

/// Converts to whole seconds, rounded up, so that a caller that waits for them is not too early.
fn seconds(time: Duration) -> i64 {
    i64::try_from(whole_seconds(time)).unwrap_or(i64::MAX)
}

/// Appends a field with one item. A number of more than 15 digits is left out, and so is the whole
/// field if the name is not ASCII, because structured fields (RFC 9651) cannot express them.
fn add_item(
    headers: &mut HeaderMap,
    field: HeaderName,
    name: &str,
    parameters: [(&'static KeyRef, Option<i64>); 2],
) {
    let Ok(name) = StringRef::from_str(name) else { return };
    let mut list = ListSerializer::new();
    let mut item = list.bare_item(name);
    for (key, value) in parameters {
        if let Some(value) = value.and_then(|value| sfv::Integer::try_from(value).ok()) {
            item = item.parameter(key, value);
        }
    }
    let _list = item.finish();
    if let Some(value) = list.finish().and_then(|value| HeaderValue::try_from(value).ok()) {
        headers.append(field, value);
    }
}
