//! How long `google.rpc.RetryInfo` asks to wait.
//!
//! Clients should wait at least `retry_delay` before the same request. It is a protobuf duration from
//! the network: its parts can be negative, disagree in sign, or say ten thousand years. One that is
//! not a length of time is no hint at all, and none is ever longer than
//! [`clock::MAX_WAIT`](resilience_core::clock::MAX_WAIT); whether a long one fits its deadline is for
//! the retry policy to say.
//!
//! ```
//! use std::time::Duration;
//! use resilience_core::outcome::RetryHint;
//! use resilience_gcp::retry_info;
//!
//! assert_eq!(retry_info::hint(1, 500_000_000), RetryHint::After(Duration::from_millis(1_500)));
//! assert_eq!(retry_info::hint(-1, 0), RetryHint::None);
//! ```

use std::time::Duration;

use resilience_core::clock::MAX_WAIT;
use resilience_core::outcome::RetryHint;

const NANOS_PER_SECOND: u32 = 1_000_000_000;

/// The hint in a `retry_delay` of these parts.
#[must_use]
pub fn hint(seconds: i64, nanos: i32) -> RetryHint {
    duration(seconds, nanos).into()
}

/// `None` if the parts are negative, or the nanoseconds are a second or more.
fn duration(seconds: i64, nanos: i32) -> Option<Duration> {
    let seconds = u64::try_from(seconds).ok()?;
    let nanos = u32::try_from(nanos).ok().filter(|nanos| *nanos < NANOS_PER_SECOND)?;
    Some(Duration::new(seconds, nanos).min(MAX_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_not_a_length_of_time_is_no_hint() {
        for (seconds, nanos) in
            [(-1, 0), (0, -1), (1, -1), (i64::MIN, i32::MIN), (0, 1_000_000_000)]
        {
            assert_eq!(hint(seconds, nanos), RetryHint::None, "{seconds} s {nanos} ns");
        }
    }

    #[test]
    fn a_hint_is_limited_and_may_be_nothing() {
        assert_eq!(hint(i64::MAX, 999_999_999), RetryHint::After(MAX_WAIT));
        assert_eq!(hint(0, 0), RetryHint::After(Duration::ZERO));
    }

    proptest! {
        #[test]
        fn a_valid_delay_is_kept_to_the_nanosecond(seconds in 0..86_400_i64, nanos in 0..1_000_000_000_i32) {
            let total = i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
            let RetryHint::After(wait) = hint(seconds, nanos) else { panic!("a hint") };
            prop_assert_eq!(i128::try_from(wait.as_nanos()).unwrap(), total);
        }

        #[test]
        fn nothing_panics_and_nothing_exceeds_the_limit(seconds: i64, nanos: i32) {
            if let RetryHint::After(wait) = hint(seconds, nanos) {
                prop_assert!(wait <= MAX_WAIT && seconds >= 0 && nanos >= 0);
            }
        }
    }
}
