//! Instants in eight bytes: circuits and buckets keep several, and there may be a million of them.
//!
//! All ticks of the process have one origin, so a poll converts its instant once for all engines.
//! The origin is the time of the OS's clock at the first conversion, and does not depend on the
//! instants that callers pass. Instants more than [`FARTHEST`] from the origin are clamped to that
//! distance. Engines add a few years to an instant at most, so their sums do not overflow, and
//! [`Tick::NEVER`] is later than all of them.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::clock::{self, nanos};

/// The instant of tick zero.
static ORIGIN: OnceLock<Instant> = OnceLock::new();

/// The farthest tick of an instant, in both directions: 200 years, of the 292 that 64 bits hold.
const FARTHEST: i64 = 200 * 365 * 24 * 60 * 60 * 1_000_000_000;

fn origin() -> Instant {
    *ORIGIN.get_or_init(clock::os_now)
}

/// Nanoseconds after the origin; negative before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Tick(i64);

impl Tick {
    /// The earliest tick.
    pub(crate) const LONG_AGO: Tick = Tick(i64::MIN);
    /// The latest tick.
    pub(crate) const NEVER: Tick = Tick(i64::MAX);

    /// Returns the tick of this instant, or the farthest one in its direction if it is more than
    /// 200 years away.
    #[inline]
    pub(crate) fn of(instant: Instant) -> Tick {
        // See docs/decisions/0026-time-is-one-number.md.
        let origin = origin();
        let ahead = signed(nanos(instant.saturating_duration_since(origin)));
        if ahead > 0 {
            return Tick(ahead.min(FARTHEST));
        }
        let behind = signed(nanos(origin.saturating_duration_since(instant)));
        Tick(-behind.min(FARTHEST))
    }

    /// Returns the tick of the clock.
    #[cfg(feature = "tokio")]
    pub(crate) fn now() -> Tick {
        Tick::of(clock::now())
    }

    /// Returns the instant, or the origin where the platform has no instant that far away.
    pub(crate) fn instant(self) -> Instant {
        let origin = origin();
        let away = Duration::from_nanos(self.0.unsigned_abs());
        let instant = if self.0 < 0 { origin.checked_sub(away) } else { origin.checked_add(away) };
        instant.unwrap_or(origin)
    }

    /// Returns the nanoseconds after the origin.
    pub(crate) const fn as_i64(self) -> i64 {
        self.0
    }

    pub(crate) const fn from_i64(ticks: i64) -> Tick {
        Tick(ticks)
    }

    pub(crate) fn after(self, wait: Duration) -> Tick {
        self.after_ns(nanos(wait))
    }

    pub(crate) fn after_ns(self, wait: u64) -> Tick {
        Tick(self.0.saturating_add(signed(wait)))
    }

    pub(crate) fn before(self, wait: Duration) -> Tick {
        Tick(self.0.saturating_sub(signed(nanos(wait))))
    }

    /// Returns the nanoseconds from `earlier` to this tick; 0 if `earlier` is later.
    pub(crate) fn since(self, earlier: Tick) -> u64 {
        if self <= earlier { 0 } else { self.0.abs_diff(earlier.0) }
    }

    /// Returns the time from `now` to this tick; zero if the tick has passed.
    pub(crate) fn left(self, now: Tick) -> Duration {
        Duration::from_nanos(self.since(now))
    }
}

fn signed(nanos: u64) -> i64 {
    i64::try_from(nanos).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use super::*;

    #[test]
    fn instants_before_the_first_are_as_far_apart_as_those_after() {
        let now = crate::clock::now();
        let second = Duration::from_secs(1);
        let ticks = [now, now + second, now + second * 2].map(Tick::of);
        assert_eq!(ticks[1].since(ticks[0]), ticks[2].since(ticks[1]));
        if let Some(early) = now.checked_sub(second) {
            assert_eq!(ticks[0].left(Tick::of(early)), second);
            assert_eq!(Tick::of(early).instant(), early);
        }
        assert_eq!(ticks[0].since(ticks[1]), 0);
        assert_eq!(Tick::NEVER.since(Tick::LONG_AGO), u64::MAX);
        assert_eq!(ticks[0].after(Duration::MAX), Tick::NEVER);
        assert_eq!(ticks.map(Tick::instant), [now, now + second, now + second * 2]);
    }

    /// A span of 500 years overflows an `i64` of nanoseconds.
    #[test]
    fn instants_too_far_away_are_two_hundred_years_away() {
        let now = crate::clock::now();
        let years = |years: u64| Duration::from_secs(years * 365 * 24 * 60 * 60);
        let ahead = [201, 293, 500, 1_000_000].map(|far| now.checked_add(years(far)));
        for far in ahead.into_iter().flatten() {
            assert_eq!(Tick::of(far), Tick(FARTHEST));
            assert!(Tick::of(far).after(years(3)) < Tick::NEVER, "sums stay on the line");
            assert_eq!(Tick::of(Tick::of(far).instant()), Tick(FARTHEST));
        }
        let behind = [201, 293, 500].map(|far| now.checked_sub(years(far)));
        for far in behind.into_iter().flatten() {
            assert_eq!(Tick::of(far), Tick(-FARTHEST));
            assert!(Tick::of(far).before(years(3)) > Tick::LONG_AGO);
        }
        for near in [1, 68, 69, 199].map(years) {
            assert_eq!(Tick::of(now + near).left(Tick::of(now)), near);
            assert_eq!(Tick::of(now + near).instant(), now + near);
        }
    }
}
