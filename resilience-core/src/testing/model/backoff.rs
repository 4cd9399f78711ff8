//! Model of backoffs: delays within their bounds.

use std::time::Duration;

use arbitrary::Arbitrary;

use crate::clock::MAX_WAIT;
use crate::model_input::parse;
use crate::retry::Backoff;

#[derive(Debug, Arbitrary)]
pub(super) struct BackoffInput {
    shape: u8,
    base: Duration,
    cap: Duration,
    factor: f64,
    percent: f64,
    samples: Vec<(f64, Option<Duration>)>,
}

impl BackoffInput {
    /// Returns the configured backoff and its shortest possible delay. `None` if the configuration
    /// is rejected.
    pub(super) fn backoff(&self) -> Option<(Backoff, Duration)> {
        let BackoffInput { base, cap, .. } = *self;
        let zero = Duration::ZERO;
        let made = match self.shape % 10 {
            0 => Backoff::decorrelated_jitter(base, cap).map(|backoff| (backoff, base)),
            1 => Backoff::textbook_decorrelated_jitter(base, cap).map(|backoff| (backoff, base)),
            2 => Backoff::full_jitter(base, cap).map(|backoff| (backoff, zero)),
            3 => Backoff::equal_jitter(base, cap).map(|backoff| (backoff, base / 2)),
            4 => Backoff::exponential(base, cap).map(|backoff| (backoff, base)),
            5 => Backoff::linear(base, cap).map(|backoff| (backoff, base)),
            6 => Backoff::constant(base).map(|backoff| (backoff, base)),
            7 => Backoff::exponential(base, cap)
                .and_then(|backoff| backoff.with_factor(self.factor))
                .map(|backoff| (backoff, base)),
            8 => Backoff::exponential(base, cap)
                .and_then(|backoff| backoff.jittered(self.percent))
                .map(|backoff| (backoff, zero)),
            _ => Backoff::constant(base)
                .and_then(|backoff| backoff.jittered(self.percent))
                .map(|backoff| (backoff, zero)),
        };
        made.ok()
    }
}

/// Asserts that every delay lies within the documented bounds and not before a hint, for any
/// configuration and any samples, and that nothing overflows. An invalid configuration must be
/// rejected.
pub fn backoff(bytes: &[u8]) {
    let Some(input) = parse::<BackoffInput>(bytes) else { return };
    let Some((backoff, floor)) = input.backoff() else { return };
    assert!(backoff.cap() <= MAX_WAIT * 2, "{backoff:?}");
    let mut schedule = backoff.schedule();
    for &(sample, hint) in &input.samples {
        match hint {
            None => {
                let delay = schedule.next(sample);
                assert!(floor <= delay && delay <= backoff.cap(), "{delay:?} of {backoff:?}");
            }
            Some(hint) => {
                let delay = schedule.next_after(hint, sample);
                let latest = hint.saturating_add(backoff.cap()).max(backoff.cap());
                assert!(hint <= delay && delay <= latest, "{delay:?} after {hint:?}");
            }
        }
    }
}
