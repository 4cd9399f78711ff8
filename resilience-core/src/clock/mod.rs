//! The one clock.
//!
//! Engines never read time: they are told it. The glue around them reads it here and nowhere else
//! (`clippy.toml` bans the alternatives), so that a test under `tokio::time::pause` drives every
//! layer, budget and deadline of a stack together.
//!
//! # Far instants
//! Engines count nanoseconds from where the OS's clock was when the process first used one. Instants more
//! than 200 years before or after that count as 200 years before or after it. No instant changes how
//! another engine, or another key, sees the time. The engine that is handed an instant far ahead goes on
//! from there: earlier instants are late ones to it, and each engine documents what it does with those.
//!
//! ```
//! let earlier = resilience_core::clock::now();
//! assert!(resilience_core::clock::now() >= earlier);
//! ```

pub(crate) mod tick;

use std::time::{Duration, Instant};

#[cfg(feature = "tokio")]
use tick::Tick;

pub use crate::timestamp::wall_now;

/// Now, on tokio's clock (which a test may pause and advance); on the OS's monotonic clock when
/// the crate is built without the `tokio` feature.
///
/// Callable inside and outside of a runtime.
#[must_use]
#[inline]
pub fn now() -> Instant {
    #[cfg(feature = "tokio")]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    return tokio::time::Instant::now().into_std();
    #[cfg(not(feature = "tokio"))]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    return Instant::now();
}

/// Reads the OS's monotonic clock, whatever a test has done to tokio's. For the origin of ticks, which every
/// runtime of the process shares.
pub(crate) fn os_now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "the origin is no runtime's")]
    return Instant::now();
}

/// The time of one poll: read when it is first asked for, and then the same for everything that the
/// poll does.
///
/// A poll is taken for an instant, as tokio's timers take it. What must know how long something inside
/// took asks [`again`](Now::again).
#[cfg(feature = "tokio")]
#[derive(Debug)]
pub struct Now {
    /// As engines count it. Never, until it is read.
    tick: Tick,
    /// The same, if somebody asked for it.
    read: Option<Instant>,
}

#[cfg(feature = "tokio")]
impl Default for Now {
    fn default() -> Now {
        Now::unread()
    }
}

#[cfg(feature = "tokio")]
impl Now {
    /// Not read yet.
    #[must_use]
    #[inline]
    pub const fn unread() -> Now {
        Now { read: None, tick: Tick::NEVER }
    }

    /// When the poll was, as far as anybody has asked.
    #[inline]
    pub fn get(&mut self) -> Instant {
        match self.read {
            Some(read) => read,
            None if self.tick == Tick::NEVER => self.again(),
            None => *self.read.insert(self.tick.instant()),
        }
    }

    /// The same, as engines count it.
    #[inline]
    pub(crate) fn tick(&mut self) -> Tick {
        if self.tick == Tick::NEVER {
            self.tick = Tick::now();
        }
        self.tick
    }

    /// The clock, whatever was read before.
    pub fn again(&mut self) -> Instant {
        let now = now();
        (self.read, self.tick) = (Some(now), Tick::of(now));
        now
    }
}

/// The longest wait that anything here will be configured for: one year.
///
/// Longer ones are refused by name when they are configuration and shortened to this when they are
/// arithmetic, so that no instant computed from now can overflow (`Instant + Duration::MAX` panics).
pub const MAX_WAIT: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// `now + wait`, with `wait` limited to [`MAX_WAIT`].
#[must_use]
#[inline]
pub(crate) fn later(now: Instant, wait: Duration) -> Instant {
    // `checked_add`: a platform's clock may itself start close to its end.
    now.checked_add(wait.min(MAX_WAIT)).unwrap_or(now)
}

/// In 64 bits, which hold five hundred years of nanoseconds, and no more than they hold. All the way:
/// this is on the path of every call, and 128 bits are not for free.
#[inline]
pub(crate) const fn nanos(duration: Duration) -> u64 {
    let seconds = duration.as_secs().saturating_mul(1_000_000_000);
    seconds.saturating_add(duration.subsec_nanos() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nanoseconds_saturate() {
        assert_eq!(nanos(Duration::new(3, 7)), 3_000_000_007);
        assert_eq!(nanos(Duration::MAX), u64::MAX);
        assert_eq!(nanos(Duration::from_nanos(u64::MAX)), u64::MAX);
    }

    #[test]
    fn no_wait_overflows() {
        let now = now();
        assert_eq!(later(now, Duration::MAX), now + MAX_WAIT);
        assert_eq!(later(now, Duration::ZERO), now);
    }
}
