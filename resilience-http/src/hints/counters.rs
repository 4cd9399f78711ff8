//! `RateLimit-Remaining` and its relatives: a field for each number.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use resilience_core::clock::MAX_WAIT;

use super::{Hints, Policy, QuotaUnit};

/// Names of the limit, of what is left, and of the reset, and how the last is read.
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
        // Of a field that stands there more than once: whatever was meant, it is not broken.
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

/// `1*DIGIT`. One that is too large for a machine is the largest there is.
fn numbers(headers: &HeaderMap, name: &str) -> impl Iterator<Item = u64> {
    headers.get_all(name).into_iter().filter_map(|value| {
        // Early drafts put the policies behind the limit: `100, 100;w=60`. Docker Hub sends `100;w=21600`.
        let text = value.to_str().ok()?.split([',', ';']).next()?.trim_matches([' ', '\t']);
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    })
}

/// See "The `Reset` of the counters" in the [module](super).
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
