//! Coarse time in 36 bits, for the last use in a key's [metadata](super::meta).
//!
//! A tick is a power of two of nanoseconds, so that a shift replaces a division: at most a 256th of
//! the idle time and at least a millisecond, which lasts for two years (with a minute of idle time:
//! five hundred).

use std::time::{Duration, Instant};

use super::meta::MAX_TICK;
use crate::clock::nanos;
use crate::clock::tick::Tick;

/// `1 << 20` ns: about a millisecond.
const FINEST: u32 = 20;

/// Converts instants to ticks since an origin.
#[derive(Debug)]
pub(super) struct Ticks {
    origin: Tick,
    shift: u32,
    idle: u64,
}

/// An instant with its tick.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    pub(super) now: Instant,
    pub(super) tick: u64,
    /// A key last used before this tick is idle.
    pub(super) idle_before: u64,
}

impl Ticks {
    pub(super) fn new(origin: Instant, idle: Duration) -> Ticks {
        let idle = nanos(idle).max(1);
        let shift = idle.ilog2().saturating_sub(8).max(FINEST);
        Ticks { origin: Tick::of(origin), shift, idle: idle.div_ceil(1 << shift) }
    }

    #[inline]
    pub(super) fn at(&self, now: Instant) -> At {
        self.at_tick(now, Tick::of(now))
    }

    /// Like [`at`](Ticks::at), for a caller that has converted `now` to a [`Tick`] before.
    #[inline]
    pub(super) fn at_tick(&self, now: Instant, line: Tick) -> At {
        let tick = (line.since(self.origin) >> self.shift).min(MAX_TICK);
        // Both ticks are rounded down, so `idle` ticks between them may be less than the idle time.
        At { now, tick, idle_before: tick.saturating_sub(self.idle) }
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use super::*;

    #[test]
    fn never_idle_early_and_hardly_late() {
        let origin = crate::clock::now();
        for idle in [1, 3, 1_000, 60_000, 31_536_000_000].map(Duration::from_millis) {
            let ticks = Ticks::new(origin, idle);
            let late = idle / 80 + Duration::from_millis(4);
            for used in [0, 1, 999_999, 1_048_575, 123_456_789].map(Duration::from_nanos) {
                let used = origin + used;
                let tick = ticks.at(used).tick;
                assert!(tick >= ticks.at(used + idle).idle_before, "{idle:?} is not over");
                assert!(tick < ticks.at(used + idle + late).idle_before, "{idle:?} is over");
            }
        }
    }

    #[test]
    fn time_before_the_origin_and_after_the_end_is_clamped() {
        let origin = crate::clock::now();
        let ticks = Ticks::new(origin, Duration::from_millis(1));
        assert_eq!(ticks.at(origin.checked_sub(Duration::from_secs(1)).unwrap_or(origin)).tick, 0);
        let end = origin + Duration::from_secs(100 * 365 * 24 * 3_600);
        assert_eq!(ticks.at(end).tick, MAX_TICK);
    }
}
