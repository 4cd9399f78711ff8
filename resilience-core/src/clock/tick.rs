//! Instants in eight bytes: circuits and buckets keep several, and there may be a million of them.
//!
//! All ticks lie on one line, which is the process's: a poll converts its instant once, for everything that
//! reads it. The line begins where the OS's clock was at the first conversion, so no instant that a caller
//! hands in moves it. Instants more than [`FARTHEST`] away are clamped to that distance. What engines add to
//! an instant is a few years at most, so their sums stay on the line, and [`Tick::NEVER`] is later than any.

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

/// Nanoseconds after the origin of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Tick(i64);

impl Tick {
    /// Earlier than all others.
    pub(crate) const LONG_AGO: Tick = Tick(i64::MIN);
    /// Later than all others.
    pub(crate) const NEVER: Tick = Tick(i64::MAX);

    /// Returns the tick of this instant, or the farthest one in its direction if it is more than 200 years
    /// away.
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

    /// Returns the instant, or the line's origin where the platform has no instant so far away.
    pub(crate) fn instant(self) -> Instant {
        let origin = origin();
        let away = Duration::from_nanos(self.0.unsigned_abs());
        let instant = if self.0 < 0 { origin.checked_sub(away) } else { origin.checked_add(away) };
        instant.unwrap_or(origin)
    }

    /// Nanoseconds on the line.
    #[inline]
    pub(crate) const fn as_i64(self) -> i64 {
        self.0
    }

    #[inline]
    pub(crate) const fn from_i64(ticks: i64) -> Tick {
        Tick(ticks)
    }

    #[inline]
    pub(crate) fn after(self, wait: Duration) -> Tick {
        self.after_ns(nanos(wait))
    }

    pub(crate) fn after_ns(self, wait: u64) -> Tick {
        Tick(self.0.saturating_add(signed(wait)))
    }

    pub(crate) fn before(self, wait: Duration) -> Tick {
        Tick(self.0.saturating_sub(signed(nanos(wait))))
    }

    /// Nanoseconds from `earlier` to this; none if it is not earlier.
    #[inline]
    pub(crate) fn since(self, earlier: Tick) -> u64 {
        if self <= earlier { 0 } else { self.0.abs_diff(earlier.0) }
    }

    /// How long from `now` to this.
    pub(crate) fn left(self, now: Tick) -> Duration {
        Duration::from_nanos(self.since(now))
    }
}

#[inline]
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

    /// Five hundred years are more nanoseconds than there are.
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
