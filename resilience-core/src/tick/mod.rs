//! Instants in eight bytes: circuits and buckets keep several, and there may be a million of them. One line
//! for all, so that what a poll asks the time for is told it once.

mod told;

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::clock::{MAX_WAIT, nanos};
use told::Told;

/// The first instant anybody asked about. Nothing depends on which it is.
static FIRST: OnceLock<Instant> = OnceLock::new();
/// What ticks are counted from, as [told] by an instant; if instants can be read off, and once there is a first.
static ORIGIN: OnceLock<Told> = OnceLock::new();

/// The first instant on the line, in nanoseconds. Zero is as long before it as anything is ever waited for.
pub(crate) const START: u64 = nanos(MAX_WAIT);

fn first(instant: Instant) -> Instant {
    *FIRST.get_or_init(|| {
        if let Some(told) = Told::by(instant).filter(|_| told::is_so(instant)) {
            ORIGIN.get_or_init(|| told.earlier(MAX_WAIT));
        }
        instant
    })
}

/// Nanoseconds on the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Tick(i64);

impl Tick {
    /// Earlier than all others.
    pub(crate) const LONG_AGO: Tick = Tick(i64::MIN);
    /// Later than all others.
    pub(crate) const NEVER: Tick = Tick(i64::MAX);

    /// By what it tells; else by how far apart it is from the first.
    #[inline]
    pub(crate) fn of(instant: Instant) -> Tick {
        let told = ORIGIN.get().zip(Told::by(instant));
        match told.and_then(|(origin, told)| told.since(*origin)) {
            Some(ticks) => Tick(ticks),
            None => Tick::apart(first(instant), instant),
        }
    }

    /// Of the clock.
    // One for all who ask: in each of them, it would be most of what they are.
    #[cfg(feature = "tokio")]
    #[inline(never)]
    pub(crate) fn now() -> Tick {
        Tick::of(crate::clock::now())
    }

    /// The same where all there is to be had is the difference.
    #[cold]
    #[inline(never)]
    fn apart(first: Instant, instant: Instant) -> Tick {
        let ahead = match instant.checked_duration_since(first) {
            Some(ahead) => signed(nanos(ahead)),
            None => -signed(nanos(first.saturating_duration_since(instant))),
        };
        Tick(ahead.saturating_add(signed(START)))
    }

    /// The instant.
    pub(crate) fn instant(self) -> Instant {
        let first = FIRST.get().copied().unwrap_or_else(|| first(crate::clock::now()));
        let ahead = self.0.saturating_sub(signed(START));
        let away = Duration::from_nanos(ahead.unsigned_abs());
        let instant = if ahead < 0 { first.checked_sub(away) } else { first.checked_add(away) };
        instant.unwrap_or(first)
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

    #[test]
    fn what_an_instant_tells_is_what_it_is() {
        let now = crate::clock::now();
        let apart =
            [0, 1, 999_999_999, 1_000_000_000, 86_399_123_456_789].map(Duration::from_nanos);
        for origin in apart.map(|apart| now + apart) {
            for instant in apart.map(|apart| now + apart) {
                let told = Told::by(instant).zip(Told::by(origin));
                let told = told.and_then(|(to, from)| to.since(from.earlier(MAX_WAIT)));
                // Where there is nothing to read off, that is what is gone by.
                let expected = Tick::apart(origin, instant);
                assert_eq!(told.map_or(expected, Tick), expected);
            }
        }
    }

    /// Five hundred years are more nanoseconds than there are.
    #[test]
    fn what_is_too_far_away_is_as_far_as_it_goes() {
        let now = crate::clock::now();
        let far = now.checked_add(Duration::from_secs(500 * 365 * 24 * 60 * 60));
        for far in far.into_iter() {
            assert!(Tick::of(far) > Tick::of(now).after(Duration::from_secs(200 * 365 * 86_400)));
        }
    }
}
