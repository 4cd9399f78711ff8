//! A sample of each event.

use std::time::Duration;

use crate::breaker::{CircuitState, TransitionReason};
use crate::keyed::EvictionReason;
use crate::observe::{ErrorText, Event};
use crate::outcome::Outcome;
use crate::pool::Retired;
use crate::rejection::{Rejection, RejectionKind};
use crate::retry::StopReason;
use crate::shutdown::Phase;

/// Notifies `listener` of one event of each kind, to test that a listener handles all of them.
/// Layers are named `layer`, keys `key`; durations are [`SAMPLE_DURATION`].
///
/// ```
/// use resilience_core::testing::each_event;
///
/// let mut names = Vec::new();
/// each_event(|event| names.push(event.name()));
/// assert!(names.contains(&"circuit_changed"));
/// ```
pub fn each_event(mut listener: impl FnMut(&Event<'_>)) {
    let layer = "layer";
    let key = "key";
    let error = ErrorText::of_text(&"a sample of an error");
    let rejection = Rejection::new(RejectionKind::RateLimited, layer)
        .with_key(key)
        .with_limit(30)
        .with_observed(31)
        .with_retry_after(SAMPLE_DURATION);
    let changed = |sequence, key, from, to, reason, retry_after| Event::CircuitChanged {
        layer,
        key,
        sequence,
        from,
        to,
        reason,
        retry_after,
        error: retry_after.map(|_| error),
    };
    let closed = CircuitState::Closed;
    let open = CircuitState::Open;
    let failures = TransitionReason::ConsecutiveFailures;
    let over = TransitionReason::BreakOver;
    let events = [
        Event::RetryScheduled {
            layer,
            key: None,
            attempts: 1,
            outcome: Outcome::TimedOut,
            error: None,
            delay: SAMPLE_DURATION,
        },
        Event::RetryStopped {
            layer,
            key: Some(key),
            attempts: 2,
            outcome: Outcome::transient(),
            error: Some(error),
            reason: StopReason::OutOfTime { needed: SAMPLE_DURATION, remaining: Duration::ZERO },
        },
        Event::RetrySucceeded { layer, key: Some(key), attempts: 2 },
        Event::Rejected(&rejection),
        Event::WouldReject(&rejection),
        changed(1, None, closed, open, failures, Some(SAMPLE_DURATION)),
        changed(2, None, open, CircuitState::HalfOpen, over, None),
        changed(3, Some(key), closed, open, TransitionReason::Hint, Some(SAMPLE_DURATION)),
        Event::UnknownError { layer, key: None, error_type: "Sample", error: Some(error) },
        Event::RatePaused { layer, key: Some(key), pause: SAMPLE_DURATION },
        Event::KeyEvicted { store: layer, key, reason: EvictionReason::Capacity },
        Event::ShutdownChanged {
            layer,
            from: Phase::Draining,
            to: Phase::Forced,
            in_flight: 2,
            reason: "SIGTERM",
        },
        Event::PoolCreateFailed { layer, failures: 3, pause: SAMPLE_DURATION, error: Some(error) },
        Event::PoolRetired { layer, reason: Retired::Broken },
        Event::ProfilesReloaded { error: None },
        Event::ProfilesReloaded { error: Some("`limit` is 0") },
    ];
    events.iter().for_each(&mut listener);
}

/// The duration in the events of [`each_event`]: 1.5 s.
pub const SAMPLE_DURATION: Duration = Duration::from_millis(1_500);

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use super::*;

    /// A new variant fails to compile here until it has a number, and fails the test until it has a
    /// sample.
    #[test]
    fn no_kind_of_event_is_left_out() {
        const KINDS: usize = 13;
        let mut seen = [false; KINDS];
        each_event(|event| {
            let kind = match event {
                Event::RetryScheduled { .. } => 0,
                Event::RetryStopped { .. } => 1,
                Event::RetrySucceeded { .. } => 2,
                Event::Rejected(_) => 3,
                Event::WouldReject(_) => 4,
                Event::CircuitChanged { .. } => 5,
                Event::RatePaused { .. } => 6,
                Event::KeyEvicted { .. } => 7,
                Event::ProfilesReloaded { .. } => 8,
                Event::ShutdownChanged { .. } => 9,
                Event::PoolCreateFailed { .. } => 11,
                Event::PoolRetired { .. } => 10,
                Event::UnknownError { .. } => 12,
            };
            seen[kind] = true;
        });
        assert_eq!(seen, [true; KINDS]);
    }
}
