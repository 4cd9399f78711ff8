//! Instants in eight bytes: circuits and buckets keep several, and there may be a million of them. One line
//! for all, so that what a poll asks the time for is told it once.

mod told;

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::clock::nanos;
use told::Told;

/// What ticks are counted from: the first instant anybody asked about. Nothing depends on which it is,
/// since ticks before it are negative.
static ORIGIN: OnceLock<Origin> = OnceLock::new();

#[derive(Debug)]
struct Origin {
    instant: Instant,
    /// If instants can be read off.
    told: Option<Told>,
}

impl Origin {
    #[cold]
    fn at(instant: Instant) -> Origin {
        Origin { instant, told: Told::by(instant).filter(|_| told::is_so(instant)) }
    }
}

/// Nanoseconds from the origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Tick(i64);

impl Tick {
    /// Earlier than all others.
    pub(crate) const LONG_AGO: Tick = Tick(i64::MIN);
    /// Later than all others.
    pub(crate) const NEVER: Tick = Tick(i64::MAX);

    /// Told once a call, and by the usual way with one subtraction.
    #[inline]
    pub(crate) fn of(instant: Instant) -> Tick {
        let origin = ORIGIN.get_or_init(|| Origin::at(instant));
        match (origin.told, Told::by(instant)) {
            (Some(origin), Some(told)) => Tick(told.since(origin)),
            _ => Tick::apart(origin.instant, instant),
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
    fn apart(origin: Instant, instant: Instant) -> Tick {
        match instant.checked_duration_since(origin) {
            Some(ahead) => Tick(signed(nanos(ahead))),
            None => Tick(-signed(nanos(origin.saturating_duration_since(instant)))),
        }
    }

    /// The instant.
    pub(crate) fn instant(self) -> Instant {
        let origin = ORIGIN.get_or_init(|| Origin::at(crate::clock::now())).instant;
        let away = Duration::from_nanos(self.0.unsigned_abs());
        let instant = if self.0 < 0 { origin.checked_sub(away) } else { origin.checked_add(away) };
        instant.unwrap_or(origin)
    }

    /// Nanoseconds from the origin, which is not known.
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
    fn instants_before_the_origin_are_as_far_apart_as_those_after() {
        let now = crate::clock::now();
        let second = Duration::from_secs(1);
        let ticks = [now, now + second, now + second * 2].map(Tick::of);
        assert_eq!(ticks[1].since(ticks[0]), ticks[2].since(ticks[1]));
        if let Some(early) = now.checked_sub(second) {
            assert_eq!(ticks[0].left(Tick::of(early)), second);
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
                // Where there is nothing to read off, that is what is gone by.
                let expected = Tick::apart(origin, instant);
                assert_eq!(told.map_or(expected, |(to, from)| Tick(to.since(from))), expected);
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
