//! `RateLimit-Remaining` and its relatives: one header field for each number.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use resilience_core::clock::MAX_WAIT;

use super::{Hints, Policy, QuotaUnit};

/// The names of the limit, remaining and reset fields, and the parser of the reset field.
type Family = ([&'static str; 3], fn(u64, SystemTime) -> Option<Duration>);

const FAMILIES: [Family; 3] = [
    (["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"], |number, now| {
        // The drafts have seconds from now. GitLab sends Unix seconds under the same name.
        reset(number, now).or(Some(MAX_WAIT))
    }),
    (["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"], reset),
    (["x-rate-limit-limit", "x-rate-limit-remaining", "x-rate-limit-reset"], reset),
];

pub(super) fn read(headers: &HeaderMap, now: SystemTime) -> Option<Hints> {
    FAMILIES.into_iter().find_map(|([limit, remaining, reset], until)| {
        // A field that is present more than once: the most restrictive value is used.
        let hints = Hints {
            retry_after: None,
            remaining: numbers(headers, remaining).min(),
            reset: numbers(headers, reset).filter_map(|number| until(number, now)).max(),
            policy: numbers(headers, limit).min().map(|quota| Policy {
                quota,
                unit: QuotaUnit::Requests,
                window: None,
            }),
        };
        (hints != Hints::default()).then_some(hints)
    })
}

/// Parses each value of a field as `1*DIGIT`. A number that overflows is `u64::MAX`.
fn numbers(headers: &HeaderMap, name: &str) -> impl Iterator<Item = u64> {
    headers.get_all(name).into_iter().filter_map(|value| {
        // Early drafts put the policies after the limit (`100, 100;w=60`), as Docker Hub does
        // (`100;w=21600`).
        let text = value.to_str().ok()?.split([',', ';']).next()?.trim_matches([' ', '\t']);
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    })
}

/// Reads a reset field as described under "The `Reset` field of the counters" in the
/// [module](super).
fn reset(number: u64, now: SystemTime) -> Option<Duration> {
    if number <= MAX_WAIT.as_secs() {
        return Some(Duration::from_secs(number));
    }
    let until = |since_epoch| {
        let date = SystemTime::UNIX_EPOCH.checked_add(since_epoch)?;
        date.duration_since(now).ok().filter(|wait| *wait <= MAX_WAIT)
    };
    until(Duration::from_secs(number)).or_else(|| until(Duration::from_millis(number)))
}
