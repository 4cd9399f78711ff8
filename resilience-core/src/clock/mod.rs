//! The one clock.
//!
//! Engines never read the time: it is an argument. The layers around them read it here and nowhere
//! else (`clippy.toml` bans the alternatives), so that a test under `tokio::time::pause` drives
//! every layer, budget and deadline of a stack together.
//!
//! # Far instants
//! Engines count nanoseconds from an origin: the time of the OS's clock when the process first used
//! an engine. Instants more than 200 years from the origin are taken as 200 years from it. An
//! instant that is passed to one engine does not affect other engines or keys. An engine that was
//! passed an instant far ahead continues from there: earlier instants are late for it, and each
//! engine documents its treatment of late instants.
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

/// Returns the current instant of tokio's clock, which a test may pause and advance. Without the
/// `tokio` feature, that of the OS's monotonic clock.
///
/// Works inside and outside of a runtime.
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

/// Reads the OS's monotonic clock, also where a test has paused tokio's. For the origin of ticks,
/// which all runtimes of the process share.
pub(crate) fn os_now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "the origin is no runtime's")]
    return Instant::now();
}

/// The time of one poll. The first use reads the clock; all later uses in the same poll return that
/// instant.
///
/// A poll counts as an instant, as for tokio's timers. Code that measures how long an inner poll
/// took reads the clock [`again`](Now::again).
#[cfg(feature = "tokio")]
#[derive(Debug)]
pub struct Now {
    /// The time as a tick; [`Tick::NEVER`] until the clock is read.
    tick: Tick,
    /// The time as an instant, once [`get`](Now::get) was called.
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
    /// Creates a time that is not read yet.
    #[must_use]
    pub const fn unread() -> Now {
        Now { read: None, tick: Tick::NEVER }
    }

    /// Returns the instant of the poll. Reads the clock at the first use.
    pub fn get(&mut self) -> Instant {
        match self.read {
            Some(read) => read,
            None if self.tick == Tick::NEVER => self.again(),
            None => *self.read.insert(self.tick.instant()),
        }
    }

    /// Returns the time of the poll as a tick.
    pub(crate) fn tick(&mut self) -> Tick {
        if self.tick == Tick::NEVER {
            self.tick = Tick::now();
        }
        self.tick
    }

    /// Reads the clock again, and returns the new time of the poll.
    pub fn again(&mut self) -> Instant {
        let now = now();
        self.read = Some(now);
        self.tick = Tick::of(now);
        now
    }
}

/// The longest wait of a configuration: 365 days.
///
/// A builder rejects a longer wait. Arithmetic shortens a longer wait to this one, so that no
/// instant overflows (`Instant + Duration::MAX` panics).
pub const MAX_WAIT: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Returns `now + wait`, with `wait` limited to [`MAX_WAIT`].
#[must_use]
pub(crate) fn later(now: Instant, wait: Duration) -> Instant {
    // `checked_add`: a platform's clock may itself start close to its end.
    now.checked_add(wait.min(MAX_WAIT)).unwrap_or(now)
}

/// Returns the nanoseconds of `duration`, saturating after 584 years.
// In 64 bits, and not by `as_nanos`: every call converts, and 128-bit arithmetic costs more.
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
