//! `RateLimit` and `RateLimit-Policy`, as they are written
//! (draft-ietf-httpapi-ratelimit-headers; [`hints`](crate::hints) reads them). What a handler says of other limits stays.

use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use resilience_core::rate::{Quota, RateSnapshot};
use sfv::{KeyRef, ListSerializer, StringRef, key_ref};

use super::rejection_format::whole_seconds;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// A limit by which nobody passes until `after`.
pub(super) fn spent(headers: &mut HeaderMap, name: &str, after: Option<Duration>) {
    put(headers, RATE_LIMIT, name, [(key_ref("r"), Some(0)), (key_ref("t"), after.map(seconds))]);
}

/// What a limit allows, and what is left of it. When there is more is told as late as it may be: a token's whole
/// time from now.
pub(super) fn left(headers: &mut HeaderMap, name: &str, limit: &RateSnapshot) {
    let quota = &limit.quota;
    let more = match limit.paused_for {
        Some(pause) => Some(pause),
        None => (limit.available < quota.burst()).then(|| quota.period() / quota.count()),
    };
    let left = [(key_ref("r"), Some(limit.available.into())), (key_ref("t"), more.map(seconds))];
    put(headers, RATE_LIMIT, name, left);
    policy(headers, name, quota);
}

/// What a limit allows. A window that is no whole number of seconds is left out, since it cannot be told.
pub(super) fn policy(headers: &mut HeaderMap, name: &str, quota: &Quota) {
    let whole = quota.period().subsec_nanos() == 0;
    let window = whole.then(|| seconds(quota.period()));
    let policy = [(key_ref("q"), Some(quota.count().into())), (key_ref("w"), window)];
    put(headers, RATE_LIMIT_POLICY, name, policy);
}

/// Rounded up: whoever keeps to it is not too early.
fn seconds(time: Duration) -> i64 {
    i64::try_from(whole_seconds(time)).unwrap_or(i64::MAX)
}

/// One item. What has no form in these fields is left out: a number of more than 15 digits, or the whole field of a
/// name that is not ASCII.
fn put(
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
    let _whole = item.finish();
    if let Some(value) = list.finish().and_then(|value| HeaderValue::try_from(value).ok()) {
        headers.append(field, value);
    }
}
