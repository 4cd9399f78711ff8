//! Lengths of time in nanoseconds and fractions of a nanosecond.
//!
//! Seven a minute is one every 8,571,428,571 and 3/7 nanoseconds. Rounded down, a limit admits too
//! many; rounded up, always a little too few. The remainder is therefore carried.

/// Nanoseconds and a fraction: `part / count` of a nanosecond, with the count of the quota. Spans
/// of one quota compare as numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FracNanos {
    pub(super) ns: u64,
    pub(super) part: u32,
}

impl FracNanos {
    pub(super) const ZERO: FracNanos = FracNanos::ns(0);

    pub(super) const fn ns(ns: u64) -> FracNanos {
        FracNanos { ns, part: 0 }
    }

    /// Converts parts, saturated at the longest span.
    pub(super) fn from_parts(parts: u128, whole: u32) -> FracNanos {
        let whole = u128::from(whole);
        match (u64::try_from(parts / whole), u32::try_from(parts % whole)) {
            (Ok(ns), Ok(part)) => FracNanos { ns, part },
            _ => FracNanos::ns(u64::MAX),
        }
    }

    pub(super) fn parts(self, whole: u32) -> u128 {
        u128::from(self.ns) * u128::from(whole) + u128::from(self.part)
    }

    #[inline]
    pub(super) fn plus(self, other: FracNanos, whole: u32) -> FracNanos {
        if self.part | other.part == 0 {
            return FracNanos::ns(self.ns.saturating_add(other.ns));
        }
        let parts = u64::from(self.part) + u64::from(other.part);
        let carry = u64::from(parts >= u64::from(whole));
        let part = parts - carry * u64::from(whole);
        let ns = self.ns.saturating_add(other.ns).saturating_add(carry);
        // Less than `whole`, since both were.
        FracNanos { ns, part: u32::try_from(part).unwrap_or(0) }
    }

    /// Returns the later of this and `ns`.
    #[inline]
    pub(super) const fn or_later(self, ns: u64) -> FracNanos {
        if self.ns >= ns { self } else { FracNanos::ns(ns) }
    }

    /// Returns `true` if this is at most `length` after `start`.
    #[inline]
    pub(super) const fn is_within(self, start: u64, length: FracNanos) -> bool {
        let end = start.saturating_add(length.ns);
        self.ns < end || (self.ns == end && self.part <= length.part)
    }

    /// Returns the difference; zero if `other` is longer.
    #[inline]
    pub(super) fn minus(self, other: FracNanos, whole: u32) -> FracNanos {
        if self <= other {
            return FracNanos::ZERO;
        }
        if self.part >= other.part {
            FracNanos { ns: self.ns - other.ns, part: self.part - other.part }
        } else {
            FracNanos { ns: self.ns - other.ns - 1, part: whole - (other.part - self.part) }
        }
    }

    /// Returns whole nanoseconds, rounded up: a wait that is rounded down ends too early.
    #[inline]
    pub(super) const fn ceil(self) -> u64 {
        self.ns.saturating_add((self.part > 0) as u64)
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use super::*;

    #[test]
    fn sevenths_add_up() {
        let seventh = FracNanos::from_parts(60_000_000_000, 7);
        let sum = (0..7).fold(FracNanos::ZERO, |sum, _| sum.plus(seventh, 7));
        assert_eq!(sum, FracNanos::ns(60_000_000_000));
        assert_eq!((0..7).fold(sum, |left, _| left.minus(seventh, 7)), FracNanos::ZERO);
        assert_eq!((seventh.ns, seventh.part, seventh.ceil()), (8_571_428_571, 3, 8_571_428_572));
    }

    #[test]
    fn nothing_overflows() {
        let longest = FracNanos { ns: u64::MAX, part: 6 };
        assert_eq!(longest.plus(longest, 7).ns, u64::MAX);
        assert_eq!(FracNanos::from_parts(u128::MAX, 7), FracNanos::ns(u64::MAX));
        assert_eq!(FracNanos::ZERO.minus(longest, 7), FracNanos::ZERO);
        assert_eq!(longest.ceil(), u64::MAX);
    }
}
