//! From the bytes of a hint to the decision of the retry: never before the named instant.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode, header::RETRY_AFTER};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use resilience_core::retry::{RetryPolicy, StopReason, Verdict};
use resilience_core::{Deadline, Outcome, clock};
use resilience_http::StatusClassifier;
use resilience_http::hints::Hints;

/// Returns a field, its value, and the instant that it names.
fn hint(form: u32, now: SystemTime, ahead: u64) -> (&'static str, String, SystemTime) {
    let seconds = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    // The next whole second plus `ahead`: dates have a resolution of one second.
    let date = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds(now) + ahead);
    let delta = now + Duration::from_secs(ahead);
    let imf = httpdate::fmt_http_date(date);
    // "Sun, 06 Nov 1994 08:49:37 GMT"
    let [day, month, year] = [&imf[5..7], &imf[8..11], &imf[12..16]];
    let week = &imf[..3];
    let time = &imf[17..25];
    let long = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
    let long = long.into_iter().find(|name| name.starts_with(week)).unwrap();
    match form % 8 {
        0 => ("retry-after", ahead.to_string(), delta),
        1 => ("retry-after", imf, date),
        2 => ("retry-after", format!("{long}, {day}-{month}-{} {time} GMT", &year[2..]), date),
        3 => {
            let day = day.trim_start_matches('0');
            ("retry-after", format!("{week} {month} {day:>2} {time} {year}"), date)
        }
        4 => ("ratelimit", format!("\"default\";r=0;t={ahead}"), delta),
        5 => ("ratelimit-reset", ahead.to_string(), delta),
        6 => ("x-ratelimit-reset", seconds(date).to_string(), date),
        _ => ("x-rate-limit-reset", (seconds(date) * 1_000).to_string(), date),
    }
}

/// 10⁵ hints, with the clock between two seconds.
#[test]
fn no_retry_is_earlier_than_the_hint() {
    let policy = RetryPolicy::builder().unlimited_elapsed().without_budget().build().unwrap();
    let input = (
        0..8_u32,
        1_700_000_000..1_800_000_000_u64,
        0..1_000_000_000_u32,
        1..3_000_000_u64,
        0.0..1.0,
    );
    let retried = std::cell::Cell::new(0);
    TestRunner::new(ProptestConfig::with_cases(100_000))
        .run(&input, |(form, now, nanos, ahead, u)| {
            let now = SystemTime::UNIX_EPOCH + Duration::new(now, nanos);
            let (field, value, named) = hint(form, now, ahead);
            let headers = HeaderMap::from_iter([(field.parse().unwrap(), value.parse().unwrap())]);
            let outcome = Outcome::Throttled(Hints::from_headers(&headers, now).retry_hint());
            let at = clock::now();
            match policy.start(at).decide(at, None, outcome, u) {
                Verdict::Retry(granted) => {
                    prop_assert!(now + granted.delay() >= named, "{}: {}", field, value)
                }
                other => prop_assert!(false, "{other:?}"),
            }
            retried.set(retried.get() + 1);
            Ok(())
        })
        .unwrap();
    assert_eq!(retried.get(), 100_000);
}

/// A hint of 30 s with 1 s left ends the call now, with the reason.
#[test]
fn a_hint_that_does_not_fit_ends_the_call_at_once() {
    let headers = HeaderMap::from_iter([(RETRY_AFTER, "30".parse().unwrap())]);
    let outcome = StatusClassifier.outcome(StatusCode::TOO_MANY_REQUESTS, &headers);
    let policy = RetryPolicy::builder().build().unwrap();
    let now = clock::now();
    let deadline = Deadline::after(now, Duration::from_secs(1));
    match policy.start(now).decide(now, Some(deadline), outcome, 0.5) {
        Verdict::Stop { reason: StopReason::DeadlineTooNear { needed, .. }, pause } => {
            assert!(needed >= Duration::from_secs(30));
            assert_eq!(pause, Duration::ZERO);
        }
        other => panic!("{other:?}"),
    }
}
