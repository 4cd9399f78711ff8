//! `Retry-After` from strangers: any value is read or ignored, and the result is bounded.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::{HeaderValue, RETRY_AFTER};
use proptest::prelude::*;
use resilience_core::clock::MAX_WAIT;
use resilience_http::retry_after::parse;

const SECONDS: fn(u64) -> Duration = Duration::from_secs;

fn headers<'v>(values: impl IntoIterator<Item = &'v [u8]>) -> HeaderMap {
    let values = values.into_iter().filter_map(|bytes| HeaderValue::from_bytes(bytes).ok());
    values.map(|value| (RETRY_AFTER, value)).collect()
}

proptest! {
    #[test]
    fn no_bytes_panic_or_wait_for_ever(
        values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..3),
        since_epoch in any::<u32>(),
    ) {
        let now = SystemTime::UNIX_EPOCH + SECONDS(since_epoch.into());
        let wait = parse(&headers(values.iter().map(Vec::as_slice)), now);
        prop_assert!(wait.is_none_or(|wait| wait <= MAX_WAIT));
    }

    #[test]
    fn nothing_that_resembles_a_value_panics_or_waits_for_ever(value in "[-+]?[0-9]{0,30}[.e]?[0-9]{0,3} ?") {
        let wait = parse(&headers([value.as_bytes()]), SystemTime::UNIX_EPOCH);
        let digits = !value.trim().is_empty() && value.trim().bytes().all(|b| b.is_ascii_digit());
        prop_assert_eq!(wait.is_some(), digits);
        prop_assert!(wait.is_none_or(|wait| wait <= MAX_WAIT));
    }

    #[test]
    fn whole_seconds_are_read_back(seconds in 0..=MAX_WAIT.as_secs()) {
        let wait = parse(&headers([seconds.to_string().as_bytes()]), SystemTime::UNIX_EPOCH);
        prop_assert_eq!(wait, Some(SECONDS(seconds)));
    }

    #[test]
    fn a_date_is_not_rounded(
        now in 0..4_000_000_000_u64,
        nanos in 0..1_000_000_000_u32,
        ahead in 1..1_000_000_u64,
    ) {
        let now = SystemTime::UNIX_EPOCH + Duration::new(now, nanos);
        let date = SystemTime::UNIX_EPOCH + SECONDS(now_seconds(now) + ahead);
        let text = httpdate::fmt_http_date(date);
        prop_assert_eq!(parse(&headers([text.as_bytes()]), now), date.duration_since(now).ok());
    }
}

fn now_seconds(now: SystemTime) -> u64 {
    now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
