//! What an instant is made of.
//!
//! std does not say: all there is to be had of two instants is their difference, by a call that takes longer than
//! anything else that is done with the time. But an instant can be hashed, and what it tells a hasher is its
//! seconds and its nanoseconds. Nobody promised that; so whoever goes by it [makes sure](is_so) that it is so, and
//! does without if not.

use std::hash::{Hash, Hasher};
use std::time::{Duration, Instant};

/// On a line of the platform's own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    seconds: i64,
    nanos: u32,
}

impl Told {
    /// `None` where instants tell something else.
    #[inline(always)]
    pub(super) fn by(instant: Instant) -> Option<Told> {
        let mut ear = Ear::default();
        instant.hash(&mut ear);
        Some(Told { seconds: ear.seconds?, nanos: ear.nanos? })
    }

    /// Nanoseconds from `origin` to this, if that is less than a lifetime: no step of it overflows then.
    #[inline(always)]
    pub(super) fn since(self, origin: Told) -> Option<i64> {
        let seconds = i32::try_from(self.seconds.wrapping_sub(origin.seconds)).ok()?;
        let nanos = i64::from(self.nanos) - i64::from(origin.nanos);
        Some(i64::from(seconds) * 1_000_000_000 + nanos)
    }
}

/// Whether instants around this one are as far apart as they say: by less than a second, over the end of one, and
/// by many.
pub(super) fn is_so(instant: Instant) -> bool {
    let is_so = |ahead: u32| {
        let later = instant.checked_add(Duration::from_nanos(ahead.into()))?;
        Some(Told::by(later)?.since(Told::by(instant)?)? == i64::from(ahead))
    };
    [1, 999_999_999, 1_000_000_000, u32::MAX].into_iter().all(|ahead| is_so(ahead) == Some(true))
}

/// A hasher that keeps what it hears.
#[derive(Default)]
struct Ear {
    seconds: Option<i64>,
    nanos: Option<u32>,
}

impl Hasher for Ear {
    #[inline(always)]
    fn write_i64(&mut self, seconds: i64) {
        self.seconds = Some(seconds);
    }

    #[inline(always)]
    fn write_u32(&mut self, nanos: u32) {
        self.nanos = Some(nanos);
    }

    fn write(&mut self, _: &[u8]) {}

    fn finish(&self) -> u64 {
        0
    }
}
