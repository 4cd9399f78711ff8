//! Arbitrary bytes as the value of any hint field. The fuzz target `headers` uses this function
//! too.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, StatusCode};
use resilience_core::RetryHint;
use resilience_core::clock::MAX_WAIT;
use resilience_http::StatusClassifier;
use resilience_http::hints::{Hints, grpc, retry_info};

const FIELDS: [&str; 14] = [
    "retry-after",
    "ratelimit",
    "ratelimit-policy",
    "ratelimit-limit",
    "ratelimit-remaining",
    "ratelimit-reset",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-rate-limit-limit",
    "x-rate-limit-remaining",
    "x-rate-limit-reset",
    "grpc-retry-pushback-ms",
    "grpc-status-details-bin",
];

/// Parses lines: the first byte selects the field, the rest is its value.
pub(crate) fn headers(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let Some((field, value)) = line.split_first() else { continue };
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(FIELDS[usize::from(*field) % FIELDS.len()], value);
        }
    }
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_764_082_800_500);
    let hints = Hints::from_headers(&headers, now);
    let waits = [hints.retry_after, hints.reset, hints.pause()];
    assert!(waits.into_iter().flatten().all(|wait| wait <= MAX_WAIT), "{hints:?}");
    for hint in [
        hints.retry_hint(),
        grpc::hint(&headers),
        retry_info::from_status(bytes),
        StatusClassifier.outcome(StatusCode::TOO_MANY_REQUESTS, &headers).hint(),
    ] {
        assert!(!matches!(hint, RetryHint::After(wait) if wait > MAX_WAIT), "{hint:?}");
    }
    if headers.contains_key("grpc-retry-pushback-ms") {
        assert_ne!(grpc::pushback(&headers), RetryHint::None);
    }
}
